/* SPDX-License-Identifier: MIT */
/*
 * passthrough_image.c - the memfd of a file, and how its bytes come from the store and go back.
 *
 * The kernel reads the end of the file from the memfd, so it has exactly the file's size and may be
 * cut at any time: nothing here maps it, for that could end in SIGBUS. What was stored to it leaves
 * no trace that the daemon could see, so a commit compares the whole of it with the store, a chunk at
 * a time. Holes on both sides cost nothing.
 *
 * Its times: a memfd whose mtime is 0 was not written to since it got the store's bytes, and the
 * file has the store's times. Stores through a mapping do not show there; they set the file's mtime
 * when a commit finds them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "passthrough_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum { CHUNK = 1 << 20, OWNER = 65533 /* a uid that nobody has */ };

_Atomic uint64_t pt_compared_bytes, pt_stored_bytes;

/* ---- making ------------------------------------------------------------------------------ */

int pt_memory_make(struct pt_memory *m)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	zu_cleanup_close int fd = memfd_create("zcfs", flags | MFD_NOEXEC_SEAL);
	char path[32];

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("zcfs", flags);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0 || fchown(fd, OWNER, OWNER) < 0)
		return -errno;
	/* The kernel counts who has a file open, but not memfd_create(2) itself, and
	 * pt_memory_alone() needs the right number. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	m->fd = open(path, O_RDWR | O_CLOEXEC | O_NOATIME);
	if (m->fd < 0)
		return -errno;
	pthread_mutex_init(&m->io, NULL);
	return 0;
}

void pt_memory_drop(struct pt_memory *m)
{
	if (m->fd < 0)
		return;
	zu_close_fd(&m->fd);
	pthread_mutex_destroy(&m->io);
}

bool pt_memory_alone(const struct pt_memory *m)
{
	/* A write lease is given to the only one who has a file open; mappings hold it open. */
	if (fcntl(m->fd, F_SETLEASE, F_WRLCK) < 0) {
		if (errno == EAGAIN)
			return false;
		/* No leases here: at least writers are seen. It is dropped after this. */
		return fcntl(m->fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 || errno != EBUSY;
	}
	fcntl(m->fd, F_SETLEASE, F_UNLCK);
	return true;
}

/* ---- times ------------------------------------------------------------------------------- */

static void clear_time(const struct pt_memory *m)
{
	const struct timespec zero[2] = { { 0 }, { 0 } };

	futimens(m->fd, zero);
}

void pt_memory_set_times(struct pt_memory *m)
{
	clear_time(m);
	atomic_store(&m->times_set, true);
}

static bool written(const struct stat *st)
{
	return st->st_mtim.tv_sec != 0 || st->st_mtim.tv_nsec != 0;
}

void pt_memory_attr(const struct pt_memory *m, struct store_attr *attr)
{
	struct stat st;

	if (fstat(m->fd, &st) < 0)
		return;
	attr->size = (uint64_t)st.st_size;
	attr->blocks = (uint64_t)st.st_blocks;
	if (written(&st))
		attr->mtime = attr->ctime = st.st_mtim;
}

/* ---- from the store ---------------------------------------------------------------------- */

/* Bytes of the store to where they are in the file. */
static int put_segment(const struct pt_memory *m, const struct store_segment *s, uint64_t offset,
		       char *buf)
{
	const void *from = s->mem;
	ssize_t n;

	if (s->where == STORE_PAGES) {
		from = store_page_map(fs.store, s->pos, s->length);
		if (!from) {
			n = zu_pread_full(store_page_fd(fs.store), buf, s->length, (off_t)s->pos);
			if (n != (ssize_t)s->length)
				return n < 0 ? (int)n : -EIO;
			from = buf;
		}
	}
	n = zu_pwrite_full(m->fd, from, s->length, (off_t)offset);
	return n < 0 ? (int)(n == -EFAULT ? -EIO : n) : 0;
}

static int put_chunk(const struct pt_memory *m, uint64_t ino, uint64_t offset, uint64_t length,
		     char *buf)
{
	struct store_read read;
	ssize_t n;
	int r;

	if (store_has_checksums(fs.store)) {
		n = store_pread(fs.store, ino, buf, length, offset);
		if (n > 0)
			n = zu_pwrite_full(m->fd, buf, (size_t)n, (off_t)offset);
		return n < 0 ? (int)n : 0;
	}
	r = store_read_begin(fs.store, ino, offset, length, &read);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < read.count && r == 0; i++) {
		const struct store_segment *s = &read.segments[i];

		if (s->where != STORE_ZEROS)
			r = put_segment(m, s, offset, buf);
		offset += s->length;
	}
	store_read_end(fs.store, &read);
	return r;
}

static int fill(struct pt_memory *m, uint64_t ino)
{
	zu_cleanup_free char *buf = malloc(CHUNK);
	struct store_attr attr;
	uint64_t at = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	r = store_getattr(fs.store, ino, &attr);
	if (r == 0 && ftruncate(m->fd, (off_t)attr.size) < 0)
		r = -errno;
	while (r == 0 && at < attr.size) {
		uint64_t n;

		/* (ENXIO: nothing but a hole up to the end.) */
		r = store_seek(fs.store, ino, at, SEEK_DATA, &at);
		if (r < 0)
			return r == -ENXIO ? 0 : r;
		at -= at % CHUNK;
		n = attr.size - at < CHUNK ? attr.size - at : CHUNK;
		r = put_chunk(m, ino, at, n, buf);
		at += n;
	}
	return r;
}

int pt_memory_fill(struct pt_memory *m, uint64_t ino)
{
	int r;

	pthread_mutex_lock(&m->io);
	r = fill(m, ino);
	clear_time(m);
	pthread_mutex_unlock(&m->io);
	return r;
}

/* ---- what differs ------------------------------------------------------------------------ */

struct run {
	uint64_t page, count;
};

struct diff {
	struct pt_memory *m;
	uint64_t ino;
	bool held, times_set;
	uint64_t size; /* of the image */
	struct run *runs;
	size_t n, room;
	uint64_t pages;
	char *buf, *other; /* of a chunk */
};

static int add_page(struct diff *d, uint64_t page)
{
	struct run *last = d->n ? &d->runs[d->n - 1] : NULL;

	d->pages++;
	if (last && last->page + last->count == page) {
		last->count++;
		return 0;
	}
	if (d->n == d->room) {
		size_t room = d->room ? d->room * 2 : 64;
		struct run *runs = reallocarray(d->runs, room, sizeof(*runs));

		if (!runs)
			return -ENOMEM;
		d->runs = runs;
		d->room = room;
	}
	d->runs[d->n++] = (struct run){ .page = page, .count = 1 };
	return 0;
}

static bool all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

/* Compare `n` bytes of the image at `image`, which begin anywhere in a page, with the store's, or with
 * zeros where `bytes` is NULL. A page may come in pieces. */
static int compare(struct diff *d, uint64_t offset, const char *image, const char *bytes, size_t n)
{
	int r = 0;

	while (n && r == 0) {
		size_t step = FS_PAGE - offset % FS_PAGE;
		bool same;

		if (step > n)
			step = n;
		same = bytes ? !memcmp(image, bytes, step) : all_zero(image, step);
		if (!same && !(d->n && d->runs[d->n - 1].page + d->runs[d->n - 1].count ==
					       offset / FS_PAGE + 1))
			r = add_page(d, offset / FS_PAGE);
		offset += step;
		image += step;
		bytes = bytes ? bytes + step : NULL;
		n -= step;
	}
	return r;
}

static int compare_segment(struct diff *d, const struct store_segment *s, uint64_t offset,
			   const char *image, size_t n)
{
	const char *bytes = s->where == STORE_MEMORY ? s->mem : NULL;

	if (s->where == STORE_PAGES) {
		bytes = store_page_map(fs.store, s->pos, s->length);
		if (!bytes) {
			ssize_t got =
				zu_pread_full(store_page_fd(fs.store), d->other, n, (off_t)s->pos);

			if (got != (ssize_t)n)
				return got < 0 ? (int)got : -EIO;
			bytes = d->other;
		}
	}
	return compare(d, offset, image, bytes, n);
}

/* The store's side of [offset, offset + n); beyond its end are zeros. */
static int compare_chunk(struct diff *d, uint64_t offset, size_t n)
{
	struct store_read read;
	uint64_t done = 0;
	ssize_t got;
	int r;

	if (store_has_checksums(fs.store)) {
		got = store_pread(fs.store, d->ino, d->other, n, offset);
		if (got < 0)
			return (int)got;
		memset(d->other + got, 0, n - (size_t)got);
		return compare(d, offset, d->buf, d->other, n);
	}
	r = store_read_begin(fs.store, d->ino, offset, n, &read);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < read.count && r == 0; i++) {
		r = compare_segment(d, &read.segments[i], offset + done, d->buf + done,
				    read.segments[i].length);
		done += read.segments[i].length;
	}
	store_read_end(fs.store, &read);
	return r < 0 ? r : compare(d, offset + done, d->buf + done, NULL, n - done);
}

/* The next offset with bytes on either side, at a chunk's begin; the image's size: none. */
static int next_chunk(const struct diff *d, uint64_t at, uint64_t *ret_at)
{
	off_t image = lseek(d->m->fd, (off_t)at, SEEK_DATA);
	uint64_t store = d->size, next;
	int r = store_seek(fs.store, d->ino, at, SEEK_DATA, &store);

	if (image < 0 && errno != ENXIO)
		return -errno;
	if (r < 0 && r != -ENXIO)
		return r;
	next = image < 0 || (uint64_t)image > store ? store : (uint64_t)image;
	next -= next % CHUNK;
	*ret_at = next < at ? at : next;
	return 0;
}

static int find_diff(struct diff *d)
{
	struct stat st;
	uint64_t at = 0;
	int r = fstat(d->m->fd, &st) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	d->size = (uint64_t)st.st_size;
	while (at < d->size) {
		ssize_t n;

		r = next_chunk(d, at, &at);
		if (r < 0 || at >= d->size)
			return r;
		n = zu_pread_full(d->m->fd, d->buf, CHUNK, (off_t)at);
		if (n < 0)
			return (int)n;
		if ((uint64_t)n > d->size - at)
			n = (ssize_t)(d->size - at);
		if (n == 0)
			return 0; /* cut meanwhile */
		atomic_fetch_add(&pt_compared_bytes, (uint64_t)n);
		r = compare_chunk(d, at, (size_t)n);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

/* ---- to the store ------------------------------------------------------------------------ */

/* Does the image have no bytes there at all? (Only asked for zeros: looking for the next hole from bytes
 * on would visit every page of the file.) */
static bool is_hole(const struct diff *d, uint64_t at, uint64_t end)
{
	off_t data = lseek(d->m->fd, (off_t)at, SEEK_DATA);

	return data < 0 || (uint64_t)data >= end;
}

/* Bytes of the image at `at`: zeros all of them, or none of their pages. */
static int write_piece(const struct diff *d, uint64_t at, const char *bytes, size_t n, bool zeros)
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
static int write_buffer(const struct diff *d, uint64_t at, size_t n)
{
	size_t from = 0, to;
	int r = 0;

	while (from < n && r == 0) {
		bool zeros = all_zero(d->buf + from, page_at(from, n));

		to = from + page_at(from, n);
		while (to < n && all_zero(d->buf + to, page_at(to, n)) == zeros)
			to += page_at(to, n);
		r = write_piece(d, at + from, d->buf + from, to - from, zeros);
		from = to;
	}
	return r;
}

/* Its bytes, and its holes as holes. */
static int write_run(const struct diff *d, const struct run *run)
{
	uint64_t at = run->page * FS_PAGE, end = at + run->count * FS_PAGE;
	int r = 0;

	if (end > d->size)
		end = d->size;
	while (at < end && r == 0) {
		size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
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

static int write_diff(const struct diff *d, const struct store_attr *to)
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
static bool has_room(const struct diff *d)
{
	struct store_space space;

	store_get_space(fs.store, &space);
	return d->pages + 64 <= space.avail_pages;
}

/* All or nothing. After a failure half of it may be there, which take_back() ends. */
static int write_held(const struct diff *d, const struct store_attr *to)
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
static void take_back(struct pt_memory *m, uint64_t ino, bool held)
{
	struct store_attr attr;

	if (!held && atomic_load(&m->half) && store_rollback(fs.store, ino, &attr) == 0)
		atomic_store(&m->half, false);
}

static int store_diff(struct diff *d, const struct stat *before)
{
	struct store_attr attr, to = { .size = d->size };
	bool changed;
	int r = store_getattr(fs.store, d->ino, &attr);

	if (r < 0)
		return r;
	changed = d->n || attr.size != d->size;
	if (!changed && !written(before))
		return 0;
	to.mtime = before->st_mtim;
	if (!written(before)) /* stored through a mapping */
		clock_gettime(CLOCK_REALTIME, &to.mtime);
	to.ctime = to.mtime;
	/* What was written before, the program does not want to see in the times. */
	if (d->times_set && !written(before)) {
		to.mtime = attr.mtime;
		to.ctime = attr.ctime;
	}
	r = write_held(d, &to);
	if (r == -ENOSPC && !d->held) { /* a commit frees what others have replaced: once more */
		r = store_commit(fs.store, NULL, 0, 0);
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

	if (fstat(m->fd, &now) == 0 && !written(&now))
		futimens(m->fd, times);
}

int pt_memory_store(struct pt_memory *m, uint64_t ino, bool held)
{
	zu_cleanup_free char *buf = malloc(CHUNK), *other = malloc(CHUNK);
	struct diff d = { .m = m, .ino = ino, .held = held, .buf = buf, .other = other };
	struct stat before;
	int r;

	if (!buf || !other)
		return -ENOMEM;
	pthread_mutex_lock(&m->io);
	take_back(m, ino, held);
	r = fstat(m->fd, &before) < 0 ? -errno : 0;
	/* What is written from here on shows by its time again. */
	if (r == 0 && written(&before))
		clear_time(m);
	d.times_set = atomic_exchange(&m->times_set, false);
	if (r == 0)
		r = find_diff(&d);
	if (r == 0)
		r = store_diff(&d, &before);
	if (r == 0)
		atomic_store(&m->dirty_pages, d.pages);
	else if (written(&before))
		put_time_back(m, &before);
	take_back(m, ino, held);
	pthread_mutex_unlock(&m->io);
	free(d.runs);
	return r;
}

/* ---- back, and other sizes --------------------------------------------------------------- */

int pt_memory_reset(struct pt_memory *m, uint64_t ino)
{
	zu_cleanup_free char *buf = malloc(CHUNK), *other = malloc(CHUNK);
	struct diff d = { .m = m, .ino = ino, .buf = buf, .other = other };
	struct store_attr attr;
	int r;

	if (!buf || !other)
		return -ENOMEM;
	pthread_mutex_lock(&m->io);
	r = store_getattr(fs.store, ino, &attr);
	if (r == 0 && ftruncate(m->fd, (off_t)attr.size) < 0)
		r = -errno;
	if (r == 0)
		r = find_diff(&d);
	for (size_t i = 0; i < d.n && r == 0; i++) {
		uint64_t at = d.runs[i].page * FS_PAGE, end = at + d.runs[i].count * FS_PAGE;

		for (; at < end && r == 0; at += CHUNK) {
			uint64_t n = end - at < CHUNK ? end - at : CHUNK;
			ssize_t got = store_pread(fs.store, ino, buf, n, at);

			if (got > 0)
				got = zu_pwrite_full(m->fd, buf, (size_t)got, (off_t)at);
			r = got < 0 ? (int)got : 0;
		}
	}
	clear_time(m);
	pthread_mutex_unlock(&m->io);
	free(d.runs);
	return r;
}

/* A memfd knows no FALLOC_FL_ZERO_RANGE: punch, then allocate. */
int pt_memory_fallocate(struct pt_memory *m, int mode, uint64_t offset, uint64_t length)
{
	int keep = mode & FALLOC_FL_KEEP_SIZE;

	if (mode & FALLOC_FL_ZERO_RANGE) {
		if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      (off_t)length) < 0)
			return -errno;
		mode = keep;
	}
	return fallocate(m->fd, mode, (off_t)offset, (off_t)length) < 0 ? -errno : 0;
}
