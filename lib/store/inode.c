/* SPDX-License-Identifier: MIT */
/*
 * Inodes. In memory are those that changed since the last commit, that a call works with, or that
 * did lately; of all others to which the kernel refers only the number of its references is kept
 * (table.c), and what is asked about them is read from LMDB. Everything here runs under the store's
 * lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "store/store_i.h"

static struct inode *in_memory(const struct known *k)
{
	return k && !(k->what & 1) ? (struct inode *)k->what : NULL;
}

static struct known only_counted(uint64_t ino, uint64_t refs)
{
	return (struct known){ .ino = ino, .what = refs << 1 | 1 };
}

static int remember(struct store *s, struct inode *i)
{
	struct known k = { .ino = i->ino, .what = (uintptr_t)i };
	int r = table_add(&s->known, &k);

	if (r == 0)
		s->cached++;
	return r;
}

/* ---- idle inodes --------------------------------------------------------------------------- */

static bool is_clean(const struct inode *i)
{
	return !i->pins && !i->dirty && !i->data_dirty && !i->frozen && !i->cap && !i->pend;
}

/* Everything of it is in LMDB, or in the count of references. (One without a name is watched.) */
static bool is_idle(const struct inode *i)
{
	return is_clean(i) && i->stored && i->nlink && !i->unnamed && !i->dead &&
	       i->ino != ZCF_ROOT_INO;
}

static void idle_add(struct store *s, struct inode *i)
{
	if (i->idle_listed)
		return;
	i->idle_listed = true;
	TAILQ_INSERT_TAIL(&s->idle, i, idle);
	s->nidle++;
}

static void idle_del(struct store *s, struct inode *i)
{
	if (!i->idle_listed)
		return;
	i->idle_listed = false;
	TAILQ_REMOVE(&s->idle, i, idle);
	s->nidle--;
}

static void inode_free(struct store *s, struct inode *i)
{
	idle_del(s, i);
	table_remove(&s->known, table_find(&s->known, i->ino));
	s->cached--;
	free(i);
}

/* What is left of an idle inode in memory is how often the kernel refers to it. */
static void reduce(struct store *s, struct inode *i)
{
	struct known *k = table_find(&s->known, i->ino);

	if (!i->refs) {
		inode_free(s, i);
		return;
	}
	*k = only_counted(i->ino, i->refs);
	s->cached--;
	free(i);
}

void inode_trim(struct store *s)
{
	for (size_t tries = 2 * s->nidle; tries && s->nidle > s->idle_most / 8 * 7; tries--) {
		struct inode *i = TAILQ_FIRST(&s->idle);

		idle_del(s, i);
		if (!is_idle(i))
			continue; /* inode_put() lists it again */
		if (i->used) {
			i->used = false;
			idle_add(s, i); /* a second chance */
		} else {
			reduce(s, i);
		}
	}
}

/* ---- getting and putting ------------------------------------------------------------------- */

struct inode *inode_cached(struct store *s, uint64_t ino)
{
	return in_memory(table_find(&s->known, ino));
}

static struct timespec from_rec(struct rec_time t)
{
	return (struct timespec){ .tv_sec = t.sec, .tv_nsec = t.nsec };
}

static struct rec_time to_rec(struct timespec t)
{
	return (struct rec_time){ .sec = t.tv_sec, .nsec = (uint32_t)t.tv_nsec };
}

/* As of the last commit, without anything that only memory has. */
static int load(struct store *s, uint64_t ino, struct inode *ret_inode)
{
	uint8_t key[KEY_MAX];
	struct rec_inode rec;
	struct kv_val v;
	int r = kv_get(s->rtxn, ZCF_DB_INODE, key, key_inode(key, ino), &v);

	if (r == 0)
		r = rec_get_inode(v, ino, &rec);
	if (r < 0)
		return r;
	*ret_inode = (struct inode){
		.ino = ino,
		.mode = rec.mode,
		.uid = rec.uid,
		.gid = rec.gid,
		.nlink = rec.nlink,
		.flags = rec.flags,
		.generation = rec.generation,
		.parent = rec.parent,
		.rdev = makedev(rec.rdev >> 32, rec.rdev & 0xffffffff),
		.atime = from_rec(rec.atime),
		.btime = from_rec(rec.btime),
		.ctime = from_rec(rec.ctime),
		.now = { rec.size, rec.pages, from_rec(rec.mtime), from_rec(rec.ctime) },
		.stored = true,
		.orphan = rec.nlink == 0,
	};
	ret_inode->kept = ret_inode->now;
	return 0;
}

int inode_get(struct store *s, uint64_t ino, struct inode **ret_inode)
{
	struct known *k = table_find(&s->known, ino);
	struct inode *i = in_memory(k);
	int r;

	if (i) {
		i->used = true;
		*ret_inode = i;
		return i->dead ? -ENOENT : 0;
	}
	i = malloc(sizeof(*i));
	if (!i)
		return -ENOMEM;
	r = load(s, ino, i);
	if (r == 0 && !k)
		r = remember(s, i);
	if (r < 0) {
		free(i);
		return r;
	}
	if (k) {
		i->refs = k->what >> 1;
		k->what = (uintptr_t)i;
		s->cached++;
	}
	if (ino != ZCF_ROOT_INO)
		idle_add(s, i);
	*ret_inode = i;
	return 0;
}

int inode_look(struct store *s, uint64_t ino, unsigned refs, struct store_attr *ret_attr)
{
	struct known *k = table_find(&s->known, ino), fresh = only_counted(ino, refs);
	struct inode *i = in_memory(k), loaded;
	int r = 0;

	if (!i) {
		r = load(s, ino, &loaded);
		if (r < 0)
			return r;
		if (loaded.nlink) {
			if (k)
				k->what += (uintptr_t)refs << 1;
			else if (refs)
				r = table_add(&s->known, &fresh);
			if (r == 0)
				inode_attr(&loaded, ret_attr);
			return r;
		}
		r = inode_get(s, ino, &i); /* it goes with its last reference */
	}
	if (r < 0 || i->dead)
		return r < 0 ? r : -ENOENT;
	i->refs += refs;
	inode_attr(i, ret_attr);
	inode_put(s, i);
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
	if (remember(s, i) < 0) {
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

/* Nobody refers to it, and it has no name: everything of it goes. */
static void die(struct store *s, struct inode *i)
{
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

void inode_put(struct store *s, struct inode *i)
{
	if (i->ino == ZCF_ROOT_INO)
		return;
	if (i->refs || i->pins) {
		if (is_idle(i))
			idle_add(s, i);
		return;
	}
	if (i->nlink == 0 && !i->dead && !s->read_only && !s->failed)
		die(s, i);
	if (is_clean(i))
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
	for (size_t n = 0; n < s->known.size; n++) {
		struct inode *i = s->known.slots[n].ino ? in_memory(&s->known.slots[n]) : NULL;

		if (!i)
			continue;
		if (i->pend)
			pending_free(i->pend);
		if (i->cap)
			pending_free(i->cap);
		free(i);
	}
	table_free(&s->known);
	TAILQ_INIT(&s->idle);
	s->cached = s->nidle = 0;
}

int store_getattr(struct store *s, uint64_t ino, struct store_attr *ret_attr)
{
	LOCKED(s);

	return inode_look(s, ino, 0, ret_attr);
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
	int r = inode_look(s, ino, 1, ret_attr);

	return r == -ENOENT ? -ESTALE : r;
}

void inode_forget(struct store *s, uint64_t ino, uint64_t n)
{
	struct known *k = table_find(&s->known, ino);
	struct inode *i = in_memory(k);

	if (i) {
		i->refs -= MIN(n, i->refs);
		inode_put(s, i);
	} else if (k && k->what >> 1 <= n) {
		table_remove(&s->known, k);
	} else if (k) {
		k->what -= (uintptr_t)n << 1;
	}
}

void store_forget(struct store *s, uint64_t ino, uint64_t n)
{
	LOCKED(s);

	inode_forget(s, ino, n);
}
