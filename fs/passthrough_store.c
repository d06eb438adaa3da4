/* SPDX-License-Identifier: MIT */
/*
 * passthrough_store.c - the bytes of images go to the store, atomically.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "passthrough_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum { NUMBERS = 64 };

_Atomic uint64_t pt_stored_bytes;
static _Atomic unsigned taken_back[NUMBERS];

/* ---- of one image ------------------------------------------------------------------------ */

/* Does the image have no bytes there at all? (Only asked for zeros: looking for the next hole from bytes
 * on would visit every page of the file.) */
static bool is_hole(const struct pt_diff *d, uint64_t at, uint64_t end)
{
	off_t data = lseek(d->m->fd, (off_t)at, SEEK_DATA);

	return data < 0 || (uint64_t)data >= end;
}

/* Bytes of the image at `at`: zeros all of them, or none of their pages. */
static int write_piece(const struct pt_diff *d, uint64_t at, const char *bytes, size_t n,
		       bool zeros)
{
	struct store_source source = { .buf = bytes, .pipe_fd = -1 };
	ssize_t done;

	if (zeros && is_hole(d, at, at + n))
		return store_fallocate(fs.store, d->ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       at, n);
	done = store_write(fs.store, d->ino, at, n, &source, STORE_WRITE_KEEP_TIMES);
	return done < 0 ? (int)done : 0;
}

static size_t page_at(size_t at, size_t n)
{
	return n - at < FS_PAGE ? n - at : FS_PAGE;
}

/* The buffer in pieces of pages that are zeros and pages that are not. */
static int write_buffer(const struct pt_diff *d, uint64_t at, size_t n)
{
	size_t from = 0, to;
	int r = 0;

	while (from < n && r == 0) {
		bool zeros = pt_all_zero(d->buf + from, page_at(from, n));

		to = from + page_at(from, n);
		while (to < n && pt_all_zero(d->buf + to, page_at(to, n)) == zeros)
			to += page_at(to, n);
		r = write_piece(d, at + from, d->buf + from, to - from, zeros);
		from = to;
	}
	return r;
}

/* Its bytes, and its holes as holes. */
static int write_run(const struct pt_diff *d, const struct pt_run *run)
{
	uint64_t at = run->page * FS_PAGE, end = at + run->count * FS_PAGE;
	int r = 0;

	if (end > d->size)
		end = d->size;
	while (at < end && r == 0) {
		size_t n = end - at < PT_CHUNK ? (size_t)(end - at) : PT_CHUNK;
		ssize_t got = zu_pread_full(d->m->fd, d->buf, n, (off_t)at);

		if (got < 0)
			return (int)got;
		/* Cut since: the next commit takes the new size. */
		memset(d->buf + got, 0, n - (size_t)got);
		r = write_buffer(d, at, n);
		at += n;
	}
	return r;
}

static int write_diff(const struct pt_diff *d, const struct store_attr *to)
{
	struct store_attr attr;
	int r = store_getattr(fs.store, d->ino, &attr);

	if (r == 0 && attr.size != to->size)
		r = store_setattr(fs.store, d->ino, STORE_SET_SIZE | STORE_SET_KEEP_TIMES, to,
				  &attr);
	for (size_t i = 0; i < d->n && r == 0; i++)
		r = write_run(d, &d->runs[i]);
	if (r == 0)
		r = store_setattr(fs.store, d->ino, STORE_SET_MTIME | STORE_SET_CTIME, to, &attr);
	return r;
}

/* Is there room for all of it? (A guess: some pages may be rewritten in place.) */
static bool has_room(const struct pt_diff *d)
{
	struct store_space space;

	store_get_space(fs.store, &space);
	return d->pages + 64 <= space.avail_pages;
}

/* All or nothing. After a failure half of it may be there, which take_back() ends. */
static int write_held(const struct pt_diff *d, const struct store_attr *to)
{
	int r = has_room(d) ? 0 : -ENOSPC;

	if (r < 0)
		return r;
	if (!d->held)
		store_hold_begin(fs.store);
	r = write_diff(d, to);
	if (!d->held)
		store_hold_end(fs.store);
	if (r < 0)
		atomic_store(&d->m->half, true);
	return r;
}

/* The image has all the bytes, so those of the last commit do in the store: the next time more will
 * differ. Not while the store is held. */
static void take_back(struct pt_memory *m, uint64_t ino)
{
	struct store_attr attr;

	if (!atomic_load(&m->half))
		return;
	/* First: who sees the number as it was has committed before this. */
	atomic_fetch_add(&taken_back[ino % NUMBERS], 1);
	if (store_rollback(fs.store, ino, &attr) == 0)
		atomic_store(&m->half, false);
}

unsigned passthrough_taken_back(uint64_t ino)
{
	return atomic_load(&taken_back[ino % NUMBERS]);
}

static int store_diff(struct pt_diff *d, const struct stat *before)
{
	struct store_attr attr, to = { .size = d->size };
	bool changed;
	int r = store_getattr(fs.store, d->ino, &attr);

	if (r < 0)
		return r;
	changed = d->n || attr.size != d->size;
	if (!changed && !pt_written(before))
		return 0;
	to.mtime = before->st_mtim;
	if (!pt_written(before)) /* stored through a mapping */
		clock_gettime(CLOCK_REALTIME, &to.mtime);
	to.ctime = to.mtime;
	/* What was written before, the program does not want to see in the times. */
	if (d->times_set && !pt_written(before)) {
		to.mtime = attr.mtime;
		to.ctime = attr.ctime;
	}
	r = write_held(d, &to);
	if (r == -ENOSPC && !d->held) { /* a commit frees what others have replaced: once more */
		r = store_make_room(fs.store, d->pages + 64);
		if (r == 0)
			r = write_held(d, &to);
	}
	if (r == 0)
		atomic_fetch_add(&pt_stored_bytes, d->pages * FS_PAGE);
	return r;
}

/* It was not stored: the image still is newer. (Unless it was written again.) */
static void put_time_back(const struct pt_memory *m, const struct stat *before)
{
	const struct timespec times[2] = { before->st_mtim, before->st_mtim };
	struct stat now;

	if (fstat(m->fd, &now) == 0 && !pt_written(&now))
		futimens(m->fd, times);
}

/* `io` held. */
static int store_memory(struct pt_memory *m, uint64_t ino, bool held)
{
	zu_cleanup_free char *buf = malloc(PT_CHUNK), *other = malloc(PT_CHUNK);
	struct pt_diff d = { .m = m, .ino = ino, .held = held, .buf = buf, .other = other };
	struct stat before;
	int r;

	if (!buf || !other)
		return -ENOMEM;
	if (!held)
		take_back(m, ino);
	r = fstat(m->fd, &before) < 0 ? -errno : 0;
	/* What is written from here on shows by its time again. */
	if (r == 0 && pt_written(&before))
		pt_clear_time(m);
	d.times_set = atomic_exchange(&m->times_set, false);
	if (r == 0)
		r = pt_find_diff(&d);
	if (r == 0)
		r = store_diff(&d, &before);
	if (r == 0)
		atomic_store(&m->dirty_pages, d.pages);
	else if (pt_written(&before))
		put_time_back(m, &before);
	if (!held)
		take_back(m, ino);
	free(d.runs);
	return r;
}

int pt_memory_store(struct pt_memory *m, uint64_t ino)
{
	int r;

	pthread_mutex_lock(&m->io);
	r = store_memory(m, ino, false);
	pthread_mutex_unlock(&m->io);
	return r;
}

/* ---- of inodes --------------------------------------------------------------------------- */

static void note_stored(struct pt_inode *i)
{
	pthread_mutex_lock(&pt.lock);
	i->committed_ms = fs_now_ms();
	pthread_mutex_unlock(&pt.lock);
}

int passthrough_store(uint64_t ino)
{
	struct pt_inode *i = pt_use(ino);
	int r = 0;

	if (!i)
		return 0;
	if (i->written)
		r = pt_memory_store(&i->memory, ino);
	if (r == 0)
		note_stored(i);
	pt_unuse(i);
	return r;
}

struct passthrough_hold {
	size_t n;
	struct pt_inode *inodes[]; /* used, `io` held */
};

int passthrough_hold_begin(const uint64_t *inos, size_t n, struct passthrough_hold **ret_hold)
{
	zu_cleanup_free struct passthrough_hold *h = NULL;

	if (atomic_load(&pt.images) == 0)
		return 0;
	h = malloc(sizeof(*h) + n * sizeof(struct pt_inode *));
	if (!h)
		return -ENOMEM;
	h->n = 0;
	for (size_t k = 0; k < n; k++) {
		struct pt_inode *i = k && inos[k] == inos[k - 1] ? NULL : pt_use(inos[k]);

		if (!i)
			continue;
		pthread_mutex_lock(&i->memory.io);
		h->inodes[h->n++] = i;
	}
	if (h->n)
		*ret_hold = TAKE_PTR(h);
	return 0;
}

/* All or none. */
int passthrough_hold_store(struct passthrough_hold *h)
{
	int r = 0;

	for (size_t k = 0; k < h->n && r == 0; k++)
		if (h->inodes[k]->written)
			r = store_memory(&h->inodes[k]->memory, h->inodes[k]->ino, true);
	for (size_t k = 0; k < h->n; k++) {
		atomic_store(&h->inodes[k]->memory.half, r < 0);
		if (r == 0)
			note_stored(h->inodes[k]);
	}
	return r;
}

void passthrough_hold_end(struct passthrough_hold *h)
{
	for (size_t k = h->n; k-- > 0;) {
		struct pt_inode *i = h->inodes[k];

		take_back(&i->memory, i->ino);
		pthread_mutex_unlock(&i->memory.io);
		pt_unuse(i);
	}
	free(h);
}

/* The inodes that have an image which may differ from the store. */
static uint64_t *list_written(size_t *ret_n)
{
	unsigned room = atomic_load(&pt.images) + 64;
	uint64_t *inos = reallocarray(NULL, room, sizeof(*inos));
	struct pt_inode *i;
	size_t n = 0;

	pthread_mutex_lock(&pt.lock);
	for (unsigned b = 0; b < PT_BUCKETS && inos; b++)
		LIST_FOREACH(i, &pt.table[b], link)
			if (i->state == PT_READY && i->written && n < room)
				inos[n++] = i->ino;
	pthread_mutex_unlock(&pt.lock);
	*ret_n = inos ? n : 0;
	return inos;
}

static bool is_explicit(uint64_t ino)
{
	struct store_attr attr;

	return store_getattr(fs.store, ino, &attr) < 0 || attr.flags & STORE_INODE_EXPLICIT;
}

int passthrough_store_all(bool also_explicit)
{
	zu_cleanup_free uint64_t *inos = NULL;
	size_t n;
	int r = 0, result;

	if (atomic_load(&pt.images) == 0)
		return 0;
	inos = list_written(&n);
	if (!inos)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		if (!also_explicit && is_explicit(inos[k]))
			continue;
		result = passthrough_store(inos[k]);
		r = r < 0 ? r : result;
	}
	return r;
}

int passthrough_reset(uint64_t ino)
{
	struct pt_inode *i = pt_use(ino);
	int r;

	if (!i)
		return 0;
	r = pt_memory_reset(&i->memory, ino);
	pt_unuse(i);
	return r;
}
