/* SPDX-License-Identifier: MIT */
/* Looking up, making and removing names. */
#include <errno.h>
#include <string.h>

#include "store/store_i.h"
#include "util/cleanup.h"

#define LINK_MAX_FILE 0x7fffffffu

static int directory_get(struct store *s, uint64_t ino, struct inode **ret_dir)
{
	int r = inode_get(s, ino, ret_dir);

	if (r < 0)
		return r;
	return S_ISDIR((*ret_dir)->mode) ? 0 : -ENOTDIR;
}

static int name_check(const char *name)
{
	size_t len = strlen(name);

	if (!len || strchr(name, '/'))
		return -EINVAL;
	return len > ZCF_NAME_MAX ? -ENAMETOOLONG : 0;
}

static int lookup(struct store *s, uint64_t parent, const char *name, bool ref,
		  struct store_attr *ret_attr)
{
	struct dent_view v;
	struct inode *dir;
	int r = directory_get(s, parent, &dir);

	if (r == 0)
		r = name_check(name);
	if (r == 0)
		r = dent_find(s, parent, name, strlen(name), &v);
	if (r < 0)
		return r;
	r = inode_look(s, v.ino, ref, ret_attr);
	return r == -ENOENT ? -EIO : r; /* an entry that names nothing: the store is damaged */
}

int store_lookup(struct store *s, uint64_t parent, const char *name, struct store_attr *ret_attr)
{
	LOCKED(s);

	return lookup(s, parent, name, true, ret_attr);
}

int store_peek(struct store *s, uint64_t parent, const char *name, struct store_attr *ret_attr)
{
	LOCKED(s);

	return lookup(s, parent, name, false, ret_attr);
}

/* The directory that gets a new name: it must exist by name itself, and not have that name. */
static int may_create(struct store *s, uint64_t parent, const char *name, struct inode **ret_dir)
{
	struct dent_view v;
	int r = store_may_change(s);

	if (r == 0)
		r = directory_get(s, parent, ret_dir);
	if (r == 0 && !(*ret_dir)->nlink)
		r = -ENOENT;
	if (r < 0 || !name)
		return r;
	r = name_check(name);
	if (r == 0)
		r = dent_find(s, parent, name, strlen(name), &v);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : -EEXIST;
}

/* A new inode without a name, its owner, mode, ACLs and policy set. */
static int make_inode(struct store *s, struct inode *dir, mode_t mode,
		      const struct store_cred *cred, struct inode **ret_inode)
{
	struct inode *i;
	int r;

	if (atomic_load(&s->meta_low))
		return -ENOSPC;
	i = inode_new(s, mode);
	if (!i)
		return -ENOMEM;
	i->refs = 1;
	i->uid = cred->uid;
	i->gid = cred->gid;
	if (inode_has_flags(i))
		i->flags = dir->flags & ZCF_INODE_FLAGS;
	if (inode_has_flags(i) && s->options.explicit_policy)
		i->flags |= ZCF_INODE_EXPLICIT;
	if (dir->mode & S_ISGID) {
		i->gid = dir->gid;
		if (S_ISDIR(mode))
			i->mode |= S_ISGID;
	}
	r = xattr_inherit(s, dir, i, cred->umask);
	if (r < 0) {
		i->refs = 0;
		inode_put(s, i);
		return r;
	}
	*ret_inode = i;
	return 0;
}

/* Give the new inode its name; without one it goes again. */
static int name_inode(struct store *s, struct inode *dir, const char *name, struct inode *i,
		      struct store_attr *ret_attr)
{
	int r = dent_add(s, dir, name, strlen(name), i->ino, i->mode);

	if (r < 0) {
		i->refs = 0;
		inode_put(s, i);
		return r;
	}
	i->nlink = S_ISDIR(i->mode) ? 2 : 1;
	if (S_ISDIR(i->mode)) {
		i->parent = dir->ino;
		dir->nlink++;
	}
	inode_dirty(s, i);
	inode_attr(i, ret_attr);
	return 0;
}

static int make(struct store *s, uint64_t parent, const char *name, mode_t mode, dev_t rdev,
		const struct store_cred *cred, struct store_attr *ret_attr)
{
	struct inode *dir, *i;
	int r = may_create(s, parent, name, &dir);

	if (r < 0)
		return r;
	r = make_inode(s, dir, mode, cred, &i);
	if (r < 0)
		return r;
	i->rdev = rdev;
	return name_inode(s, dir, name, i, ret_attr);
}

int store_mknod(struct store *s, uint64_t parent, const char *name, mode_t mode, dev_t rdev,
		const struct store_cred *cred, struct store_attr *ret_attr)
{
	LOCKED(s);
	bool device = S_ISCHR(mode) || S_ISBLK(mode);

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !device)
		return -EINVAL;
	return make(s, parent, name, mode, device ? rdev : 0, cred, ret_attr);
}

int store_mkdir(struct store *s, uint64_t parent, const char *name, mode_t mode,
		const struct store_cred *cred, struct store_attr *ret_attr)
{
	LOCKED(s);

	return make(s, parent, name, S_IFDIR | (mode & 07777), 0, cred, ret_attr);
}

int store_symlink(struct store *s, uint64_t parent, const char *name, const char *target,
		  const struct store_cred *cred, struct store_attr *ret_attr)
{
	LOCKED(s);
	struct inode *dir, *i;
	size_t len = strlen(target);
	int r = may_create(s, parent, name, &dir);

	if (r < 0)
		return r;
	if (!len || len > ZCF_SYMLINK_MAX)
		return len ? -ENAMETOOLONG : -ENOENT;
	r = make_inode(s, dir, S_IFLNK | 0777, cred, &i);
	if (r < 0)
		return r;
	r = xattr_set(s, i, "", 0, target, len);
	if (r < 0) {
		i->refs = 0;
		inode_put(s, i);
		return r;
	}
	i->now.size = i->kept.size = len;
	return name_inode(s, dir, name, i, ret_attr);
}

int store_tmpfile(struct store *s, uint64_t parent, mode_t mode, const struct store_cred *cred,
		  struct store_attr *ret_attr)
{
	LOCKED(s);
	struct inode *dir, *i;
	int r = may_create(s, parent, NULL, &dir);

	if (r == 0)
		r = make_inode(s, dir, S_IFREG | (mode & 07777), cred, &i);
	if (r < 0)
		return r;
	i->unnamed = true;
	inode_dirty(s, i);
	inode_attr(i, ret_attr);
	return 0;
}

ssize_t store_readlink(struct store *s, uint64_t ino, char *buf, size_t size)
{
	LOCKED(s);
	struct inode *i;
	ssize_t n;
	int r = inode_get(s, ino, &i);

	if (r < 0)
		return r;
	n = S_ISLNK(i->mode) ? xattr_get(s, i, "", 0, buf, size) : -EINVAL;
	inode_put(s, i);
	return n == -ENODATA ? -EIO : n;
}

int store_link(struct store *s, uint64_t ino, uint64_t parent, const char *name,
	       struct store_attr *ret_attr)
{
	LOCKED(s);
	struct inode *dir, *i;
	int r = may_create(s, parent, name, &dir);

	if (r == 0)
		r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	if (S_ISDIR(i->mode))
		r = -EPERM;
	else if (atomic_load(&s->meta_low))
		r = -ENOSPC;
	else if (!i->nlink && !i->unnamed)
		r = -ENOENT;
	else if (i->nlink >= LINK_MAX_FILE)
		r = -EMLINK;
	else
		r = dent_add(s, dir, name, strlen(name), ino, i->mode);
	if (r < 0) {
		inode_put(s, i);
		return r;
	}
	if (i->unnamed && S_ISREG(i->mode))
		i->capture = true;
	i->unnamed = false;
	i->nlink++;
	i->refs++;
	inode_touch(i);
	inode_dirty(s, i);
	inode_attr(i, ret_attr);
	return 0;
}

static int remove_name(struct store *s, uint64_t parent, const char *name, bool directory)
{
	struct dent_view v;
	struct inode *dir, *i;
	int r = store_may_change(s);

	if (r == 0)
		r = directory_get(s, parent, &dir);
	if (r == 0)
		r = name_check(name);
	if (r == 0)
		r = dent_find(s, parent, name, strlen(name), &v);
	if (r == 0)
		r = inode_get(s, v.ino, &i);
	if (r < 0)
		return r;
	if (directory != S_ISDIR(i->mode))
		r = directory ? -ENOTDIR : -EISDIR;
	else if (directory && i->now.size)
		r = -ENOTEMPTY;
	else
		r = dent_del(s, dir, &v);
	if (r == 0) {
		if (directory)
			dir->nlink--;
		i->nlink = directory ? 0 : i->nlink - 1;
		inode_touch(i);
		inode_dirty(s, i);
	}
	inode_put(s, i);
	return r;
}

int store_unlink(struct store *s, uint64_t parent, const char *name)
{
	LOCKED(s);

	return remove_name(s, parent, name, false);
}

int store_rmdir(struct store *s, uint64_t parent, const char *name)
{
	LOCKED(s);

	return remove_name(s, parent, name, true);
}
