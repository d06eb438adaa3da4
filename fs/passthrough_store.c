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

/* Up to so many pages are few. */
#define FEW 24u

/* What one image has for the store, on its way there. */
struct pt_put {
	struct pt_diff d;
	struct stat before;
	struct store_attr to;
	bool cleared;	    /* its time is, which said that it was written to */
	unsigned set_count; /* of the memory, then */
	bool changed, half; /* half: something may have changed in the store */
	struct store_ahead *ahead;
	struct {
		uint64_t at, n;
	} * holes;
	size_t nholes, room;
};

static int punch(const struct pt_put *p, uint64_t at, uint64_t n)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE | STORE_FALLOCATE_KEEP_TIMES;

	return store_fallocate(fs.store, p->d.ino, mode, at, n);
}

static int note_hole(struct pt_put *p, uint64_t at, uint64_t n)
{
	if (p->nholes == p->room) {
		size_t room = p->room ? p->room * 2 : 16;
		void *more = reallocarray(p->holes, room, sizeof(*p->holes));

		if (!more)
			return -ENOMEM;
		p->holes = more;
		p->room = room;
	}
	p->holes[p->nholes].at = at;
	p->holes[p->nholes++].n = n;
	return 0;
}

/* Does the image have no bytes there at all? (Only asked for zeros: looking for the next hole from bytes
 * on would visit every page of the file.) */
static bool is_hole(const struct pt_diff *d, uint64_t at, uint64_t end)
{
	off_t data = lseek(d->m->fd, (off_t)at, SEEK_DATA);

	return data < 0 || (uint64_t)data >= end;
}

/* Bytes of the image at `at`, in the buffer: zeros all of them, or none of their pages. */
static int write_piece(struct pt_put *p, uint64_t at, const char *bytes, size_t n, bool zeros)
{
	struct store_source source = { .buf = bytes, .pipe_fd = -1 };
	ssize_t done;

	if (zeros && is_hole(&p->d, at, at + n))
		return punch(p, at, n);
	done = store_write(fs.store, p->d.ino, at, n, &source, STORE_WRITE_KEEP_TIMES);
	return done < 0 ? (int)done : 0;
}

/* The same, ahead. */
static int add_piece(struct pt_put *p, uint64_t at, const char *bytes, size_t n, bool zeros)
{
	int r = 0;

	if (zeros && is_hole(&p->d, at, at + n))
		return note_hole(p, at, n);
	for (size_t k = 0; k < n && r == 0; k += FS_PAGE)
		r = store_ahead_add(p->ahead, p->d.ino, (at + k) / FS_PAGE, bytes + k);
	return r < 0 ? r : store_ahead_write(p->ahead);
}

typedef int piece_fn(struct pt_put *p, uint64_t at, const char *bytes, size_t n, bool zeros);

static size_t page_at(size_t at, size_t n)
{
	return n - at < FS_PAGE ? n - at : FS_PAGE;
}

/* The buffer in pieces of pages that are zeros and pages that are not. */
static int each_piece(struct pt_put *p, uint64_t at, size_t n, piece_fn *fn)
{
	const char *buf = p->d.buf;
	size_t from = 0, to;
	int r = 0;

	while (from < n && r == 0) {
		bool zeros = pt_all_zero(buf + from, page_at(from, n));

		to = from + page_at(from, n);
		while (to < n && pt_all_zero(buf + to, page_at(to, n)) == zeros)
			to += page_at(to, n);
		r = fn(p, at + from, buf + from, to - from, zeros);
		from = to;
	}
	return r;
}

/* Its bytes, and its holes as holes. Behind the end are zeros, to the end of the page. */
static int each_run(struct pt_put *p, piece_fn *fn)
{
	const struct pt_diff *d = &p->d;
	int r = 0;

	for (size_t k = 0; k < d->n && r == 0; k++) {
		uint64_t at = d->runs[k].page * FS_PAGE, end = at + d->runs[k].count * FS_PAGE;

		if (end > d->size)
			end = d->size;
		while (at < end && r == 0) {
			size_t n = end - at < PT_CHUNK ? (size_t)(end - at) : PT_CHUNK;
			size_t room = (n + FS_PAGE - 1) / FS_PAGE * FS_PAGE;
			ssize_t got = zu_pread_full(d->m->fd, d->buf, n, (off_t)at);

			if (got < 0)
				return (int)got;
			/* Cut since: the next commit takes the new size. */
			memset(d->buf + got, 0, room - (size_t)got);
			r = each_piece(p, at, n, fn);
			at += n;
		}
	}
	return r;
}

/* Not where a program has set them, or does so just now. */
static int set_times(struct pt_put *p)
{
	struct pt_memory *m = p->d.m;
	struct store_attr attr;
	int r = 0;

	pthread_mutex_lock(&m->times);
	if (!m->setting && m->set_count == p->set_count) {
		r = store_setattr(fs.store, p->d.ino, STORE_SET_MTIME | STORE_SET_CTIME, &p->to,
				  &attr);
		m->stored = p->to.mtime;
		m->is_stored = r == 0;
	}
	pthread_mutex_unlock(&m->times);
	return r;
}

/* In the hold. */
static int place(struct pt_put *p)
{
	struct store_attr attr;
	int r = store_getattr(fs.store, p->d.ino, &attr);

	if (!p->changed)
		return 0;
	p->half = true;
	pt_later(&p->to.ctime, &attr.ctime);
	if (r == 0 && attr.size != p->to.size)
		r = store_setattr(fs.store, p->d.ino, STORE_SET_SIZE | STORE_SET_KEEP_TIMES, &p->to,
				  &attr);
	if (r == 0 && !p->ahead)
		r = each_run(p, write_piece);
	for (size_t k = 0; k < p->nholes && r == 0; k++)
		r = punch(p, p->holes[k].at, p->holes[k].n);
	if (r == 0 && p->ahead)
		r = store_ahead_place(p->ahead, p->d.ino, STORE_WRITE_KEEP_TIMES);
	return r < 0 ? r : set_times(p);
}

/* In the hold, before any commit can have half of it. */
static void take_back_held(uint64_t ino)
{
	atomic_fetch_add(&taken_back[ino % NUMBERS], 1);
	store_rollback_held(fs.store, ino);
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

/* What the file is to become. */
static int choose_attr(struct pt_put *p)
{
	struct store_attr attr;
	int r = store_getattr(fs.store, p->d.ino, &attr);
	bool written = pt_written(&p->before);

	if (r < 0)
		return r;
	p->changed = p->d.n || attr.size != p->d.size || written;
	p->to.size = p->d.size;
	p->to.mtime = p->before.st_mtim;
	if (!written) /* stored through a mapping */
		clock_gettime(CLOCK_REALTIME, &p->to.mtime);
	p->to.ctime = p->to.mtime;
	/* What was written before, the program does not want to see in the times. */
	if (p->d.times_set && !written) {
		p->to.mtime = attr.mtime;
		p->to.ctime = attr.ctime;
	}
	return 0;
}

/* Few pages go into the log with their bytes, within the hold, where no commit can make room; many are
 * written ahead. */
static int write_ahead(struct pt_put *p)
{
	int r;

	if (p->d.pages <= FEW)
		return store_make_room(fs.store, p->d.pages + 64);
	r = store_ahead_new(fs.store, &p->ahead);
	return r < 0 ? r : each_run(p, add_piece);
}

/* It was not stored: the image still is newer. (Unless it was written again.) */
static void put_time_back(const struct pt_put *p)
{
	const struct timespec times[2] = { p->before.st_mtim, p->before.st_mtim };
	const struct pt_memory *m = p->d.m;
	struct stat now;

	if (m->set_count == p->set_count && fstat(m->fd, &now) == 0 && !pt_written(&now))
		futimens(m->fd, times);
}

/* What is written from here on shows by its time again. */
static int take_times(struct pt_put *p)
{
	struct pt_memory *m = p->d.m;
	int r;

	pthread_mutex_lock(&m->times);
	r = fstat(m->fd, &p->before) < 0 ? -errno : 0;
	p->cleared = r == 0 && pt_written(&p->before);
	if (p->cleared) {
		m->mtime_ns = p->before.st_mtim.tv_sec * 1000000000ll + p->before.st_mtim.tv_nsec;
		pt_clear_time(m);
	}
	p->d.times_set = m->times_set;
	p->set_count = m->set_count;
	m->times_set = false;
	pthread_mutex_unlock(&m->times);
	return r;
}

/* `io` held, and no hold: find what differs, and write it ahead. put_end() follows, also after an error. */
static int put_begin(struct pt_put *p, struct pt_memory *m, uint64_t ino)
{
	int r;

	*p = (struct pt_put){ .d = { .m = m, .ino = ino } };
	p->d.buf = aligned_alloc(FS_PAGE, PT_CHUNK);
	p->d.other = malloc(PT_CHUNK);
	if (!p->d.buf || !p->d.other)
		return -ENOMEM;
	take_back(m, ino);
	r = take_times(p);
	if (r == 0)
		r = pt_find_diff(&p->d);
	if (r == 0)
		r = choose_attr(p);
	if (r == 0 && p->changed)
		r = write_ahead(p);
	return r;
}

/* After the hold; `r`: how it went. */
static void put_end(struct pt_put *p, int r)
{
	struct pt_memory *m = p->d.m;

	if (r == 0) {
		atomic_store(&m->dirty_pages, p->d.pages);
		atomic_fetch_add(&pt_stored_bytes, p->d.pages * FS_PAGE);
	} else {
		if (p->half)
			atomic_store(&m->half, true);
	}
	pthread_mutex_lock(&m->times);
	if (r < 0 && p->cleared)
		put_time_back(p);
	m->is_stored &= r == 0;
	m->mtime_ns = 0;
	pthread_mutex_unlock(&m->times);
	take_back(m, p->d.ino);
	store_ahead_free(p->ahead);
	free(p->d.buf);
	free(p->d.other);
	free(p->d.runs);
	free(p->holes);
}

int pt_memory_store(struct pt_memory *m, uint64_t ino)
{
	struct pt_put put;
	int r;

	pthread_mutex_lock(&m->io);
	r = put_begin(&put, m, ino);
	if (r == 0) {
		store_hold_begin(fs.store);
		r = place(&put);
		if (r < 0)
			take_back_held(ino);
		store_hold_end(fs.store);
	}
	put_end(&put, r);
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
	int result;
	struct held {
		struct pt_inode *inode; /* used, `io` held */
		struct pt_put put;
		bool begun;
	} files[];
};

int passthrough_hold_begin(const uint64_t *inos, size_t n, struct passthrough_hold **ret_hold)
{
	struct passthrough_hold *h;
	int r = 0;

	if (atomic_load(&pt.images) == 0)
		return 0;
	h = calloc(1, sizeof(*h) + n * sizeof(h->files[0]));
	if (!h)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		struct pt_inode *i = k && inos[k] == inos[k - 1] ? NULL : pt_use(inos[k]);

		if (!i)
			continue;
		pthread_mutex_lock(&i->memory.io);
		h->files[h->n++].inode = i;
	}
	for (size_t k = 0; k < h->n && r == 0; k++) {
		struct held *f = &h->files[k];

		f->begun = f->inode->written;
		if (f->begun)
			r = put_begin(&f->put, &f->inode->memory, f->inode->ino);
	}
	h->result = -ECANCELED;
	if (r == 0 && h->n)
		*ret_hold = h;
	else
		passthrough_hold_end(h);
	return r;
}

/* All or none. */
int passthrough_hold_store(struct passthrough_hold *h)
{
	int r = 0;

	for (size_t k = 0; k < h->n && r == 0; k++)
		if (h->files[k].begun)
			r = place(&h->files[k].put);
	for (size_t k = 0; k < h->n && r < 0; k++)
		if (h->files[k].put.half)
			take_back_held(h->files[k].inode->ino);
	h->result = r;
	return r;
}

void passthrough_hold_end(struct passthrough_hold *h)
{
	for (size_t k = h->n; k-- > 0;) {
		struct held *f = &h->files[k];

		if (f->begun)
			put_end(&f->put, h->result);
		if (h->result == 0)
			note_stored(f->inode);
		pthread_mutex_unlock(&f->inode->memory.io);
		pt_unuse(f->inode);
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
