/* SPDX-License-Identifier: MIT */
/*
 * passthrough_table.c - the inodes that are open with -o passthrough, or have an image.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "live.h"
#include "passthrough_i.h"

struct pt_all pt = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the table; lock held ---------------------------------------------------------------- */

struct pt_inode *pt_find(uint64_t ino)
{
	struct pt_inode *i;

	LIST_FOREACH(i, &pt.table[ino % PT_BUCKETS], link)
		if (i->ino == ino)
			break;
	return i;
}

struct pt_inode *pt_find_or_add(uint64_t ino)
{
	struct pt_inode *i = pt_find(ino);

	if (i)
		return i;
	i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	i->ino = ino;
	i->memory.fd = -1;
	LIST_INSERT_HEAD(&pt.table[ino % PT_BUCKETS], i, link);
	return i;
}

/* Its size is another one. */
void pt_count(struct pt_inode *i, uint64_t size)
{
	live_room_change(fs_live_room, i->uid, i->counted, size);
	pt.bytes += size - i->counted;
	i->counted = size;
}

void pt_remove(struct pt_inode *i)
{
	LIST_REMOVE(i, link);
	pt_count(i, 0);
	if (i->state == PT_READY || i->state == PT_FILLING) {
		atomic_store(&pt.any_ended, true);
		atomic_fetch_sub(&pt.images, 1);
	}
}

bool pt_idle(const struct pt_inode *i)
{
	return i->state == PT_READY && !i->opens && !i->attached && !i->users;
}

void pt_retire_soon(struct pt_inode *i)
{
	if (!pt_idle(i) || i->retiring)
		return;
	i->retiring = pt_job(pt_retire, i->ino, NULL) == 0;
	i->lingers = !i->retiring; /* the next tick tries again */
}

/* ---- using an image ---------------------------------------------------------------------- */

struct pt_inode *pt_use(uint64_t ino)
{
	struct pt_inode *i;

	if (atomic_load(&pt.images) == 0)
		return NULL;
	pthread_mutex_lock(&pt.lock);
	i = pt_find(ino);
	if (i && i->state == PT_READY)
		i->users++;
	else
		i = NULL;
	pthread_mutex_unlock(&pt.lock);
	return i;
}

void pt_unuse(struct pt_inode *i)
{
	pthread_mutex_lock(&pt.lock);
	i->users--;
	pt_retire_soon(i);
	pthread_mutex_unlock(&pt.lock);
}

bool passthrough_has(uint64_t ino)
{
	struct pt_inode *i;
	bool has;

	if (atomic_load(&pt.images) == 0)
		return false;
	if (ino == 0)
		return true;
	pthread_mutex_lock(&pt.lock);
	i = pt_find(ino);
	has = i && (i->state == PT_READY || i->state == PT_FILLING);
	pthread_mutex_unlock(&pt.lock);
	return has;
}

/* ---- facts ------------------------------------------------------------------------------- */

static uint64_t resident(const struct pt_inode *i)
{
	struct stat st;

	if (i->state != PT_READY || fstat(i->memory.fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

static void facts_of(const struct pt_inode *i, struct passthrough_facts *ret_facts)
{
	struct stat st = { 0 };

	fstat(i->memory.fd, &st);
	*ret_facts = (struct passthrough_facts){
		.ino = i->ino,
		.size = (uint64_t)st.st_size,
		.resident = (uint64_t)st.st_blocks * 512,
		.dirty_pages = atomic_load(&i->memory.dirty_pages),
		.opens = i->opens,
		.writers = i->writers,
		.attached = i->attached,
		.committed_ms = i->committed_ms,
	};
}

void passthrough_each(passthrough_fn *fn, void *arg)
{
	struct passthrough_facts facts;
	struct pt_inode *i;

	if (atomic_load(&pt.images) == 0)
		return;
	pthread_mutex_lock(&pt.lock);
	for (unsigned b = 0; b < PT_BUCKETS; b++) {
		LIST_FOREACH(i, &pt.table[b], link) {
			if (i->state != PT_READY)
				continue;
			facts_of(i, &facts);
			fn(arg, &facts);
		}
	}
	pthread_mutex_unlock(&pt.lock);
}

void passthrough_get_totals(struct passthrough_totals *ret_totals)
{
	struct pt_inode *i;

	pthread_mutex_lock(&pt.lock);
	*ret_totals = pt.totals;
	ret_totals->images = atomic_load(&pt.images);
	ret_totals->bytes = pt.bytes;
	ret_totals->lingering = ret_totals->resident = 0;
	for (unsigned b = 0; b < PT_BUCKETS; b++) {
		LIST_FOREACH(i, &pt.table[b], link) {
			ret_totals->lingering += pt_idle(i);
			ret_totals->resident += resident(i);
		}
	}
	pthread_mutex_unlock(&pt.lock);
	ret_totals->compared_bytes = atomic_load(&pt_compared_bytes);
	ret_totals->stored_bytes = atomic_load(&pt_stored_bytes);
}
