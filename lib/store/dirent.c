/* SPDX-License-Identifier: MIT */
/*
 * Entries of directories: the merged view of both overlays and LMDB, in the order of their cookies.
 * A cookie is the keyed hash of the name, so looking a name up and seeking in a listing are both
 * one search. Names whose hashes collide take one of the next COOKIE_STEPS cookies.
 */
#include <errno.h>
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"

/* Where a walk through one directory stands in each of the three. */
struct walk {
	struct store *s;
	uint64_t parent;
	struct dent *active, *frozen;
	bool disk; /* cookie and value below are valid */
	uint64_t disk_cookie;
	struct kv_val key, value;
};

static int walk_disk(struct walk *w, int r)
{
	w->disk = false;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (w->key.size != sizeof(struct zcf_key_dirent) || zu_get_be64(w->key.data) != w->parent)
		return 0;
	w->disk = true;
	w->disk_cookie = zu_get_be64((const uint8_t *)w->key.data + 8);
	return 0;
}

static int walk_start(struct walk *w, struct store *s, uint64_t parent, uint64_t cookie)
{
	uint8_t key[KEY_MAX];
	size_t len = key_dirent(key, parent, cookie);

	w->s = s;
	w->parent = parent;
	w->active = layer_dent_from(s->active, parent, cookie);
	w->frozen = layer_dent_from(s->frozen, parent, cookie);
	return walk_disk(w, kv_seek(s->dent_cursor, key, len, &w->key, &w->value));
}

static void view_set(struct dent_view *v, uint64_t cookie, uint64_t ino, uint8_t type,
		     const char *name, uint8_t namelen)
{
	v->cookie = cookie;
	v->ino = ino;
	v->type = type;
	v->namelen = namelen;
	memcpy(v->name, name, namelen);
	v->name[namelen] = 0;
}

/* Take the smallest cookie of the three, the upper one where they are equal, and step over it in
 * all. -ENOENT at the end. */
static int walk_next(struct walk *w, struct dent_view *v)
{
	for (;;) {
		uint64_t cookie = UINT64_MAX;
		struct dent *d = NULL;
		bool gone = false;
		int r = 0;

		if (w->disk)
			cookie = w->disk_cookie;
		if (w->frozen && w->frozen->cookie <= cookie)
			cookie = (d = w->frozen)->cookie;
		if (w->active && w->active->cookie <= cookie)
			cookie = (d = w->active)->cookie;
		if (!d && !w->disk)
			return -ENOENT;
		if (d) {
			gone = d->gone;
			view_set(v, cookie, d->ino, d->type, d->name, d->namelen);
		} else {
			struct rec_dirent rec;

			r = rec_get_dirent(w->value, w->key.data, w->key.size, &rec);
			if (r < 0)
				return r;
			view_set(v, cookie, rec.ino, rec.type, rec.name, rec.namelen);
		}
		if (w->active && w->active->cookie == cookie)
			w->active = layer_dent_next(w->s->active, w->active);
		if (w->frozen && w->frozen->cookie == cookie)
			w->frozen = layer_dent_next(w->s->frozen, w->frozen);
		if (w->disk && w->disk_cookie == cookie)
			r = walk_disk(w, kv_next(w->s->dent_cursor, &w->key, &w->value));
		if (r < 0)
			return r;
		if (!gone)
			return 0;
	}
}

int dent_next(struct store *s, uint64_t parent, uint64_t cookie, uint64_t last,
	      struct dent_view *ret_view)
{
	struct walk w;
	int r = walk_start(&w, s, parent, cookie);

	if (r == 0)
		r = walk_next(&w, ret_view);
	if (r == 0 && ret_view->cookie > last)
		return -ENOENT;
	return r;
}

int dent_find(struct store *s, uint64_t parent, const char *name, size_t namelen,
	      struct dent_view *ret_view)
{
	uint64_t cookie = rec_cookie(s->super.secret, name, namelen);
	uint64_t last = cookie + COOKIE_STEPS - 1;

	for (; cookie <= last; cookie = ret_view->cookie + 1) {
		int r = dent_next(s, parent, cookie, last, ret_view);

		if (r < 0)
			return r;
		if (ret_view->namelen == namelen && memcmp(ret_view->name, name, namelen) == 0)
			return 0;
	}
	return -ENOENT;
}

int dent_add(struct store *s, struct inode *parent, const char *name, size_t namelen, uint64_t ino,
	     mode_t mode)
{
	uint64_t cookie = rec_cookie(s->super.secret, name, namelen);
	uint64_t last = cookie + COOKIE_STEPS - 1;
	struct dent_view v;
	int r;

	for (; cookie <= last; cookie++) {
		r = dent_next(s, parent->ino, cookie, cookie, &v);
		if (r == -ENOENT)
			break;
		if (r < 0)
			return r;
	}
	if (cookie > last)
		return -ENOSPC; /* needs 16 names with neighbouring 63-bit keyed hashes */
	r = layer_set_dent(s->active, parent->ino, cookie, ino, (uint8_t)(mode >> 12), name,
			   namelen, false);
	if (r < 0)
		return r;
	parent->now.size++;
	parent->now.mtime = store_now();
	parent->ctime = parent->now.mtime;
	inode_dirty(s, parent);
	return 0;
}

int dent_set(struct store *s, uint64_t parent, const struct dent_view *v, uint64_t ino, mode_t mode)
{
	return layer_set_dent(s->active, parent, v->cookie, ino, (uint8_t)(mode >> 12), v->name,
			      v->namelen, false);
}

int dent_del(struct store *s, struct inode *parent, const struct dent_view *v)
{
	int r = layer_set_dent(s->active, parent->ino, v->cookie, v->ino, v->type, v->name,
			       v->namelen, true);

	if (r < 0)
		return r;
	parent->now.size--;
	parent->now.mtime = store_now();
	parent->ctime = parent->now.mtime;
	inode_dirty(s, parent);
	return 0;
}

int store_readdir(struct store *s, uint64_t dir, uint64_t cookie, unsigned flags, store_dir_fn *fn,
		  void *arg)
{
	LOCKED(s);
	struct inode *d;
	struct dent_view v;
	struct walk w;
	int r = inode_get(s, dir, &d);

	if (r < 0)
		return r;
	if (!S_ISDIR(d->mode))
		return -ENOTDIR;
	for (r = walk_start(&w, s, dir, cookie); r == 0 && (r = walk_next(&w, &v)) == 0;) {
		struct store_entry e = { v.name, v.namelen, v.ino, v.cookie, (mode_t)v.type << 12,
					 NULL };
		bool ref = flags & STORE_DIR_REF, taken;
		struct store_attr attr;

		if (flags) {
			r = inode_look(s, v.ino, ref, &attr);
			if (r < 0)
				break;
			e.attr = &attr;
		}
		taken = fn(arg, &e);
		if (!taken && ref)
			inode_forget(s, v.ino, 1);
		if (!taken)
			break;
	}
	return r == -ENOENT ? 0 : r;
}
