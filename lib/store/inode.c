/* SPDX-License-Identifier: MIT */
/*
 * Inodes in memory: those that somebody refers to, and those that changed since the last commit.
 * Everything here runs under the store's lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "store/store_i.h"

#define FIRST_HASH 1024u

static size_t slot(const struct store *s, uint64_t ino)
{
	return (size_t)((ino * 0x9e3779b97f4a7c15ull) >> 20) & (s->hash_size - 1);
}

static int hash_grow(struct store *s)
{
	size_t old = s->hash_size, size = old ? old * 2 : FIRST_HASH;
	struct inode **was = s->hash, **now = calloc(size, sizeof(struct inode *));

	if (!now)
		return old ? 0 : -ENOMEM;
	s->hash = now;
	s->hash_size = size;
	for (size_t n = 0; n < old; n++)
		for (struct inode *i = was[n], *next; i; i = next) {
			next = i->hash_next;
			i->hash_next = now[slot(s, i->ino)];
			now[slot(s, i->ino)] = i;
		}
	free(was);
	return 0;
}

static int hash_add(struct store *s, struct inode *i)
{
	if (s->cached >= s->hash_size && hash_grow(s) < 0)
		return -ENOMEM;
	i->hash_next = s->hash[slot(s, i->ino)];
	s->hash[slot(s, i->ino)] = i;
	s->cached++;
	return 0;
}

static void inode_free(struct store *s, struct inode *i)
{
	struct inode **at = &s->hash[slot(s, i->ino)];

	while (*at != i)
		at = &(*at)->hash_next;
	*at = i->hash_next;
	s->cached--;
	free(i);
}

struct inode *inode_cached(struct store *s, uint64_t ino)
{
	if (!s->hash_size)
		return NULL;
	for (struct inode *i = s->hash[slot(s, ino)]; i; i = i->hash_next)
		if (i->ino == ino)
			return i;
	return NULL;
}

static struct timespec from_rec(struct rec_time t)
{
	return (struct timespec){ .tv_sec = t.sec, .tv_nsec = t.nsec };
}

static struct rec_time to_rec(struct timespec t)
{
	return (struct rec_time){ .sec = t.tv_sec, .nsec = (uint32_t)t.tv_nsec };
}

int inode_get(struct store *s, uint64_t ino, struct inode **ret_inode)
{
	struct inode *i = inode_cached(s, ino);
	uint8_t key[KEY_MAX];
	struct rec_inode rec;
	struct kv_val v;
	int r;

	if (i) {
		*ret_inode = i;
		return i->dead ? -ENOENT : 0;
	}
	r = kv_get(s->rtxn, ZCF_DB_INODE, key, key_inode(key, ino), &v);
	if (r == 0)
		r = rec_get_inode(v, ino, &rec);
	if (r < 0)
		return r;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->ino = ino;
	i->mode = rec.mode;
	i->uid = rec.uid;
	i->gid = rec.gid;
	i->nlink = rec.nlink;
	i->flags = rec.flags;
	i->generation = rec.generation;
	i->parent = rec.parent;
	i->rdev = makedev(rec.rdev >> 32, rec.rdev & 0xffffffff);
	i->atime = from_rec(rec.atime);
	i->btime = from_rec(rec.btime);
	i->ctime = from_rec(rec.ctime);
	i->now =
		(struct data_half){ rec.size, rec.pages, from_rec(rec.mtime), from_rec(rec.ctime) };
	i->kept = i->now;
	i->stored = true;
	i->orphan = rec.nlink == 0;
	if (hash_add(s, i) < 0) {
		free(i);
		return -ENOMEM;
	}
	*ret_inode = i;
	return 0;
}

struct inode *inode_new(struct store *s, mode_t mode)
{
	struct inode *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->ino = s->next_ino;
	i->mode = mode;
	i->generation = 1;
	i->atime = i->ctime = i->btime = i->now.mtime = i->now.ctime = store_now();
	i->kept = i->now;
	i->no_xattrs = true;
	if (hash_add(s, i) < 0) {
		free(i);
		return NULL;
	}
	s->next_ino++;
	s->inodes_now++;
	return i;
}

void inode_dirty(struct store *s, struct inode *i)
{
	if (i->dirty)
		return;
	i->dirty = true;
	i->dirty_prev = NULL;
	i->dirty_next = s->dirty;
	if (s->dirty)
		s->dirty->dirty_prev = i;
	s->dirty = i;
	s->ndirty++;
	commit_kick(s);
}

void inode_undirty(struct store *s, struct inode *i)
{
	if (!i->dirty)
		return;
	i->dirty = false;
	if (i->dirty_prev)
		i->dirty_prev->dirty_next = i->dirty_next;
	else
		s->dirty = i->dirty_next;
	if (i->dirty_next)
		i->dirty_next->dirty_prev = i->dirty_prev;
	s->ndirty--;
}

void inode_data_dirty(struct store *s, struct inode *i)
{
	if (i->data_dirty)
		return;
	if (!S_ISREG(i->mode)) {
		inode_dirty(s, i); /* everything of it is its namespace half */
		return;
	}
	i->data_dirty = true;
	i->data_prev = NULL;
	i->data_next = s->data_dirty;
	if (s->data_dirty)
		s->data_dirty->data_prev = i;
	s->data_dirty = i;
	s->ndata_dirty++;
}

void inode_data_clean(struct store *s, struct inode *i)
{
	if (!i->data_dirty)
		return;
	i->data_dirty = false;
	if (i->data_prev)
		i->data_prev->data_next = i->data_next;
	else
		s->data_dirty = i->data_next;
	if (i->data_next)
		i->data_next->data_prev = i->data_prev;
	s->ndata_dirty--;
}

void inode_put(struct store *s, struct inode *i)
{
	if (i->refs || i->ino == ZCF_ROOT_INO)
		return;
	if (i->nlink == 0 && !i->dead && !s->read_only && !s->failed) {
		i->dead = true;
		s->inodes_now--;
		if (i->pend) {
			pending_drop(s, i->pend);
			i->pend = NULL;
		}
		inode_data_clean(s, i);
		if (i->stored) {
			inode_dirty(s, i);
		} else {
			inode_undirty(s, i);
			xattr_drop_all(s, i);
		}
	}
	if (!i->dirty && !i->data_dirty && !i->frozen && !i->cap && !i->pend)
		inode_free(s, i);
}

void inode_touch(struct inode *i)
{
	i->ctime = store_now();
}

void inode_attr(const struct inode *i, struct store_attr *ret_attr)
{
	*ret_attr = (struct store_attr){
		.ino = i->ino,
		.generation = i->generation,
		.flags = i->flags,
		.mode = i->mode,
		.nlink = i->nlink,
		.uid = i->uid,
		.gid = i->gid,
		.rdev = i->rdev,
		.size = S_ISDIR(i->mode) ? PAGE : i->now.size,
		.blocks = S_ISDIR(i->mode) ? PAGE / 512 : i->now.pages * (PAGE / 512),
		.atime = i->atime,
		.mtime = i->now.mtime,
		.ctime = time_after(&i->now.ctime, &i->ctime) ? i->now.ctime : i->ctime,
		.btime = i->btime,
	};
}

/* The record: the namespace half as it is now, the data half as it was captured last. */
void inode_record(const struct inode *i, struct rec_inode *ret_rec)
{
	const struct data_half *d = &i->kept;

	*ret_rec = (struct rec_inode){
		.mode = i->mode,
		.uid = i->uid,
		.gid = i->gid,
		.nlink = i->nlink,
		.flags = i->flags,
		.generation = i->generation,
		.size = d->size,
		.pages = d->pages,
		.rdev = (uint64_t)major(i->rdev) << 32 | minor(i->rdev),
		.parent = i->parent,
		.atime = to_rec(i->atime),
		.mtime = to_rec(d->mtime),
		.ctime = to_rec(time_after(&d->ctime, &i->ctime) ? d->ctime : i->ctime),
		.btime = to_rec(i->btime),
	};
}

/* At the end: nothing is committed any more. */
void inode_free_all(struct store *s)
{
	for (size_t n = 0; n < s->hash_size; n++)
		for (struct inode *i = s->hash[n], *next; i; i = next) {
			next = i->hash_next;
			if (i->pend)
				pending_free(i->pend);
			if (i->cap)
				pending_free(i->cap);
			free(i);
		}
	free(s->hash);
	s->hash = NULL;
	s->hash_size = s->cached = 0;
}

int store_getattr(struct store *s, uint64_t ino, struct store_attr *ret_attr)
{
	LOCKED(s);
	struct inode *i;
	int r = inode_get(s, ino, &i);

	if (r < 0)
		return r;
	inode_attr(i, ret_attr);
	inode_put(s, i);
	return 0;
}

int store_parent(struct store *s, uint64_t dir, uint64_t *ret_parent)
{
	LOCKED(s);
	struct inode *i;
	int r = inode_get(s, dir, &i);

	if (r < 0)
		return r;
	if (!S_ISDIR(i->mode))
		return -ENOTDIR;
	*ret_parent = i->parent;
	inode_put(s, i);
	return 0;
}

int store_ref(struct store *s, uint64_t ino, struct store_attr *ret_attr)
{
	LOCKED(s);
	struct inode *i;
	int r = inode_get(s, ino, &i);

	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	i->refs++;
	inode_attr(i, ret_attr);
	return 0;
}

void store_forget(struct store *s, uint64_t ino, uint64_t n)
{
	LOCKED(s);
	struct inode *i = inode_cached(s, ino);

	if (!i)
		return;
	i->refs -= MIN(n, i->refs);
	inode_put(s, i);
}
