/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, and what they carry: POSIX ACLs, and under the empty name the target of a
 * symbolic link. The same merged view as of entries: overlay, frozen overlay, LMDB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "store/acl.h"
#include "store/store_i.h"
#include "util/cleanup.h"

#define XATTR_LIST_LIMIT 65536u

/* The value as it is now, in memory that lives as long as the lock is held. */
static int find(struct store *s, const struct inode *i, const char *name, size_t namelen,
		struct kv_val *ret_val)
{
	struct xent *x;
	uint8_t key[KEY_MAX];
	struct kv_val v;
	size_t len;
	int r;

	if (i->no_xattrs)
		return -ENODATA;
	x = layer_xent(s->active, i->ino, name, namelen);
	if (!x)
		x = layer_xent(s->frozen, i->ino, name, namelen);
	if (x) {
		*ret_val = (struct kv_val){ x->name + x->namelen, x->size };
		return x->gone ? -ENODATA : 0;
	}
	len = key_xattr(key, i->ino, name, namelen);
	r = kv_get(s->rtxn, ZCF_DB_XATTR, key, len, &v);
	if (r == 0)
		r = rec_verify(ZCF_DB_XATTR, key, len, v, sizeof(struct zcf_xattr));
	if (r < 0)
		return r == -ENOENT ? -ENODATA : r;
	*ret_val = (struct kv_val){ (const char *)v.data + sizeof(struct zcf_xattr),
				    v.size - sizeof(struct zcf_xattr) };
	return 0;
}

ssize_t xattr_get(struct store *s, const struct inode *i, const char *name, size_t namelen,
		  void *buf, size_t size)
{
	struct kv_val v;
	int r = find(s, i, name, namelen, &v);

	if (r < 0)
		return r;
	if (!size)
		return (ssize_t)v.size;
	if (v.size > size)
		return -ERANGE;
	memcpy(buf, v.data, v.size);
	return (ssize_t)v.size;
}

int xattr_set(struct store *s, struct inode *i, const char *name, size_t namelen, const void *value,
	      size_t size)
{
	int r = layer_set_xent(s->active, i->ino, name, namelen, value, size, false);

	if (r == 0)
		i->no_xattrs = false;
	return r;
}

int xattr_del(struct store *s, struct inode *i, const char *name, size_t namelen)
{
	return layer_set_xent(s->active, i->ino, name, namelen, NULL, 0, true);
}

void xattr_drop_all(struct store *s, struct inode *i)
{
	struct xent *x, *next;

	for (x = layer_xent_from(s->active, i->ino); x; x = next) {
		next = layer_xent_next(s->active, x);
		RB_REMOVE(xent_tree, &s->active->xents, x);
		free(x);
		s->active->count--;
	}
}

/* Walk all names, merged: calls `fn` with each that is there. */
typedef int name_fn(void *arg, const char *name, size_t namelen);

static int disk_name(struct store *s, uint64_t ino, int r, const struct kv_val *k,
		     const char **ret_name, size_t *ret_len)
{
	uint8_t key[KEY_MAX];

	(void)s;
	*ret_name = NULL;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	key_orphan(key, ino); /* just the number, big-endian */
	if (k->size < 16 || memcmp(k->data, key, 8) != 0)
		return 0;
	*ret_name = (const char *)k->data + 8;
	*ret_len = k->size - 16;
	return 0;
}

/* The names of an overlay, without those that `upper` hides. */
static int walk_layer(struct layer *l, struct layer *upper, uint64_t ino, name_fn *fn, void *arg)
{
	int r = 0;

	for (struct xent *x = layer_xent_from(l, ino); x && r == 0; x = layer_xent_next(l, x))
		if (x->namelen && !x->gone && !layer_xent(upper, ino, x->name, x->namelen))
			r = fn(arg, x->name, x->namelen);
	return r;
}

/* Their order is not the same in overlays and LMDB (a key ends in its epoch), so each is asked
 * whether it has the name. */
static int walk_names(struct store *s, const struct inode *i, name_fn *fn, void *arg)
{
	struct kv_cursor *cursor;
	struct kv_val k, v;
	const char *name = NULL;
	size_t len = 0;
	uint8_t key[KEY_MAX];
	int r = kv_cursor_open(s->rtxn, ZCF_DB_XATTR, &cursor);

	if (r < 0)
		return r;
	r = walk_layer(s->active, NULL, i->ino, fn, arg);
	if (r == 0)
		r = walk_layer(s->frozen, s->active, i->ino, fn, arg);
	if (r == 0)
		r = disk_name(s, i->ino,
			      kv_seek(cursor, key, key_xattr(key, i->ino, "", 0) - 8, &k, &v), &k,
			      &name, &len);
	while (r == 0 && name) {
		if (len && !layer_xent(s->active, i->ino, name, len) &&
		    !layer_xent(s->frozen, i->ino, name, len))
			r = fn(arg, name, len);
		if (r == 0)
			r = disk_name(s, i->ino, kv_next(cursor, &k, &v), &k, &name, &len);
	}
	kv_cursor_close(cursor);
	return r;
}

/* ---- attributes that are flags of the inode ------------------------------------------------- */

struct flag_xattr {
	const char *name;
	uint32_t flag;
	const char *on, *off;
};
static const struct flag_xattr flag_xattrs[] = {
	{ STORE_XATTR_POLICY, ZCF_INODE_EXPLICIT, "explicit", "auto" },
	{ STORE_XATTR_LIVE, ZCF_INODE_LIVE, "on", "off" },
};
enum { FLAG_XATTRS = sizeof(flag_xattrs) / sizeof(flag_xattrs[0]) };

static const struct flag_xattr *find_flag(const char *name)
{
	for (size_t k = 0; k < FLAG_XATTRS; k++)
		if (strcmp(name, flag_xattrs[k].name) == 0)
			return &flag_xattrs[k];
	return NULL;
}

/* Nothing behind the prefix: "user." */
static bool is_bare(const char *name)
{
	size_t n = strlen(name);

	return n && name[n - 1] == '.' && !memchr(name, '.', n - 1);
}

static ssize_t get_flag(const struct inode *i, const struct flag_xattr *f, void *buf, size_t size)
{
	const char *value = i->flags & f->flag ? f->on : f->off;
	size_t n = strlen(value);

	if (!inode_has_flags(i))
		return -ENODATA;
	if (!size)
		return (ssize_t)n;
	if (n > size)
		return -ERANGE;
	memcpy(buf, value, n);
	return (ssize_t)n;
}

static bool is_text(const void *value, size_t size, const char *text)
{
	return size == strlen(text) && memcmp(value, text, size) == 0;
}

static int set_flag(struct inode *i, const struct flag_xattr *f, const void *value, size_t size)
{
	if (!inode_has_flags(i))
		return -EINVAL;
	if (is_text(value, size, f->on))
		i->flags |= f->flag;
	else if (is_text(value, size, f->off))
		i->flags &= ~f->flag;
	else
		return -EINVAL;
	return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

struct list {
	char *buf;
	size_t size, used;
};

static int list_name(void *arg, const char *name, size_t namelen)
{
	struct list *l = arg;

	if (l->used + namelen + 1 > XATTR_LIST_LIMIT)
		return -E2BIG;
	if (l->size) {
		if (l->used + namelen + 1 > l->size)
			return -ERANGE;
		memcpy(l->buf + l->used, name, namelen);
		l->buf[l->used + namelen] = 0;
	}
	l->used += namelen + 1;
	return 0;
}

ssize_t store_listxattr(struct store *s, uint64_t ino, char *buf, size_t size)
{
	LOCKED(s);
	struct list l = { buf, size, 0 };
	struct inode *i;
	int r = inode_get(s, ino, &i);

	if (r < 0)
		return r;
	r = i->no_xattrs ? 0 : walk_names(s, i, list_name, &l);
	for (size_t k = 0; k < FLAG_XATTRS && r == 0; k++)
		if (inode_has_flags(i) && i->flags & flag_xattrs[k].flag)
			r = list_name(&l, flag_xattrs[k].name, strlen(flag_xattrs[k].name));
	inode_put(s, i);
	return r < 0 ? r : (ssize_t)l.used;
}

ssize_t store_getxattr(struct store *s, uint64_t ino, const char *name, void *buf, size_t size)
{
	LOCKED(s);
	const struct flag_xattr *flag = find_flag(name);
	struct inode *i;
	ssize_t n;
	int r = is_bare(name) ? -EINVAL : inode_get(s, ino, &i);

	if (r < 0)
		return r;
	if (flag)
		n = get_flag(i, flag, buf, size);
	else
		n = *name ? xattr_get(s, i, name, strlen(name), buf, size) : -ENODATA;
	inode_put(s, i);
	return n;
}

/* ---- setting and removing ------------------------------------------------------------------ */

static int set_acl(struct store *s, struct inode *i, const char *name, const void *value,
		   size_t size, int flags)
{
	bool access = strcmp(name, ACL_ACCESS) == 0;
	mode_t mode = i->mode;
	int r = acl_check(value, size);

	if (r < 0)
		return r;
	if (S_ISLNK(i->mode))
		return -EOPNOTSUPP;
	if (!access && !S_ISDIR(i->mode))
		return r ? 0 : -EACCES;
	if (access && !r)
		r = acl_to_mode(value, size, &mode);
	if (r)
		r = xattr_del(s, i, name, strlen(name));
	else
		r = xattr_set(s, i, name, strlen(name), value, size);
	if (r < 0)
		return r;
	if (access && (flags & STORE_XATTR_KILL_SGID))
		mode &= ~(mode_t)S_ISGID;
	i->mode = mode;
	return 0;
}

static int set_plain(struct store *s, struct inode *i, const char *name, const void *value,
		     size_t size, int flags)
{
	ssize_t had = xattr_get(s, i, name, strlen(name), NULL, 0);
	struct list l = { 0 };
	int r;

	if (had < 0 && had != -ENODATA)
		return (int)had;
	if ((flags & XATTR_CREATE) && had >= 0)
		return -EEXIST;
	if ((flags & XATTR_REPLACE) && had < 0)
		return -ENODATA;
	if (had < 0 && !i->no_xattrs) {
		r = walk_names(s, i, list_name, &l);
		if (r < 0)
			return r == -E2BIG ? -ENOSPC : r;
		if (l.used + strlen(name) + 1 > XATTR_LIST_LIMIT)
			return -ENOSPC;
	}
	return xattr_set(s, i, name, strlen(name), value, size);
}

int store_setxattr(struct store *s, uint64_t ino, const char *name, const void *value, size_t size,
		   int flags)
{
	LOCKED(s);
	struct inode *i;
	int r = store_may_change(s);

	if (r < 0)
		return r;
	if (is_bare(name))
		return -EINVAL;
	if (!*name || strlen(name) > ZCF_NAME_MAX)
		return -ERANGE;
	if (size > ZCF_XATTR_MAX)
		return -E2BIG;
	if (atomic_load(&s->meta_low))
		return -ENOSPC;
	r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	if (!strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT))
		r = set_acl(s, i, name, value, size, flags);
	else if (find_flag(name))
		r = set_flag(i, find_flag(name), value, size);
	else
		r = set_plain(s, i, name, value, size, flags);
	if (r == 0) {
		inode_touch(i);
		inode_dirty(s, i);
	}
	inode_put(s, i);
	return r;
}

int store_removexattr(struct store *s, uint64_t ino, const char *name)
{
	LOCKED(s);
	bool acl = !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
	const struct flag_xattr *flag = find_flag(name);
	struct inode *i;
	ssize_t had;
	int r = is_bare(name) ? -EINVAL : store_may_change(s);

	if (r == 0)
		r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	if (flag)
		had = i->flags & flag->flag ? 0 : -ENODATA;
	else
		had = *name ? xattr_get(s, i, name, strlen(name), NULL, 0) : -ENODATA;
	if (had >= 0) {
		i->flags &= flag ? ~flag->flag : ~0u;
		r = flag ? 0 : xattr_del(s, i, name, strlen(name));
		if (r == 0) {
			inode_touch(i);
			inode_dirty(s, i);
		}
	} else {
		r = acl && had == -ENODATA ? 0 : (int)had; /* no ACL: there is nothing to do */
	}
	inode_put(s, i);
	return r;
}

int xattr_chmod(struct store *s, struct inode *i, mode_t mode)
{
	zu_cleanup_free void *acl = NULL;
	struct kv_val v;
	int r = find(s, i, ACL_ACCESS, strlen(ACL_ACCESS), &v);

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	acl = malloc(v.size);
	if (!acl)
		return -ENOMEM;
	memcpy(acl, v.data, v.size);
	acl_chmod(acl, v.size, mode);
	return xattr_set(s, i, ACL_ACCESS, strlen(ACL_ACCESS), acl, v.size);
}

int xattr_inherit(struct store *s, struct inode *dir, struct inode *i, mode_t umask)
{
	zu_cleanup_free void *acl = NULL;
	struct kv_val v;
	mode_t mode = i->mode;
	int r = S_ISLNK(mode) ? -ENODATA : find(s, dir, ACL_DEFAULT, strlen(ACL_DEFAULT), &v);

	if (r == -ENODATA) {
		if (!S_ISLNK(mode))
			i->mode &= ~(umask & 0777);
		return 0;
	}
	if (r < 0)
		return r;
	acl = malloc(v.size);
	if (!acl)
		return -ENOMEM;
	memcpy(acl, v.data, v.size);
	if (S_ISDIR(mode)) {
		r = xattr_set(s, i, ACL_DEFAULT, strlen(ACL_DEFAULT), acl, v.size);
		if (r < 0)
			return r;
	}
	r = acl_create(acl, v.size, &mode);
	if (r == 0)
		r = xattr_set(s, i, ACL_ACCESS, strlen(ACL_ACCESS), acl, v.size);
	if (r < 0)
		return r;
	i->mode = mode;
	return 0;
}
