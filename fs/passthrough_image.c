/* SPDX-License-Identifier: MIT */
/*
 * passthrough_image.c - the memfd of a file, and how its bytes come from the store.
 *
 * The kernel reads the end of the file from the memfd, so it has exactly the file's size and may be
 * cut at any time: nothing here maps it, for that could end in SIGBUS.
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
#include <unistd.h>

#include "passthrough_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum { OWNER = 65533 /* a uid that nobody has */ };

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
	pthread_mutex_init(&m->times, NULL);
	return 0;
}

void pt_memory_drop(struct pt_memory *m)
{
	if (m->fd < 0)
		return;
	zu_close_fd(&m->fd);
	pthread_mutex_destroy(&m->io);
	pthread_mutex_destroy(&m->times);
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

void pt_clear_time(const struct pt_memory *m)
{
	const struct timespec zero[2] = { { 0 }, { 0 } };

	futimens(m->fd, zero);
}

void pt_memory_times_begin(struct pt_memory *m)
{
	pthread_mutex_lock(&m->times);
	m->setting++;
	pthread_mutex_unlock(&m->times);
}

void pt_memory_times_end(struct pt_memory *m, bool done)
{
	pthread_mutex_lock(&m->times);
	m->setting--;
	if (done) {
		pt_clear_time(m);
		m->mtime_ns = 0;
		m->is_stored = false;
		m->times_set = true;
		m->set_count++;
	}
	pthread_mutex_unlock(&m->times);
}

bool pt_written(const struct stat *st)
{
	return st->st_mtim.tv_sec != 0 || st->st_mtim.tv_nsec != 0;
}

void pt_later(struct timespec *time, const struct timespec *other)
{
	if (time->tv_sec < other->tv_sec ||
	    (time->tv_sec == other->tv_sec && time->tv_nsec < other->tv_nsec))
		*time = *other;
}

void pt_memory_attr(struct pt_memory *m, struct store_attr *attr)
{
	struct stat st;
	int r;

	pthread_mutex_lock(&m->times);
	r = fstat(m->fd, &st);
	/* The store may not have it yet, or not have had it when it was asked. */
	if (r == 0 && !pt_written(&st) && m->mtime_ns) {
		st.st_mtim.tv_sec = m->mtime_ns / 1000000000;
		st.st_mtim.tv_nsec = m->mtime_ns % 1000000000;
	} else if (r == 0 && !pt_written(&st) && m->is_stored) {
		st.st_mtim = m->stored;
	}
	pthread_mutex_unlock(&m->times);
	if (r < 0)
		return;
	attr->size = (uint64_t)st.st_size;
	attr->blocks = (uint64_t)st.st_blocks;
	if (pt_written(&st)) {
		attr->mtime = st.st_mtim;
		pt_later(&attr->ctime, &st.st_mtim);
	}
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
	zu_cleanup_free char *buf = malloc(PT_CHUNK);
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
		at -= at % PT_CHUNK;
		n = attr.size - at < PT_CHUNK ? attr.size - at : PT_CHUNK;
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
	pt_clear_time(m);
	pthread_mutex_unlock(&m->io);
	return r;
}

/* ---- back, and other sizes --------------------------------------------------------------- */

int pt_memory_reset(struct pt_memory *m, uint64_t ino)
{
	zu_cleanup_free char *buf = malloc(PT_CHUNK), *other = malloc(PT_CHUNK);
	struct pt_diff d = { .m = m, .ino = ino, .buf = buf, .other = other };
	struct store_attr attr;
	int r;

	if (!buf || !other)
		return -ENOMEM;
	pthread_mutex_lock(&m->io);
	r = store_getattr(fs.store, ino, &attr);
	if (r == 0 && ftruncate(m->fd, (off_t)attr.size) < 0)
		r = -errno;
	if (r == 0)
		r = pt_find_diff(&d);
	for (size_t i = 0; i < d.n && r == 0; i++) {
		uint64_t at = d.runs[i].page * FS_PAGE, end = at + d.runs[i].count * FS_PAGE;

		for (; at < end && r == 0; at += PT_CHUNK) {
			uint64_t n = end - at < PT_CHUNK ? end - at : PT_CHUNK;
			ssize_t got = store_pread(fs.store, ino, buf, n, at);

			if (got > 0)
				got = zu_pwrite_full(m->fd, buf, (size_t)got, (off_t)at);
			r = got < 0 ? (int)got : 0;
		}
	}
	pthread_mutex_lock(&m->times);
	m->is_stored = false;
	pt_clear_time(m);
	pthread_mutex_unlock(&m->times);
	pthread_mutex_unlock(&m->io);
	free(d.runs);
	return r;
}

/* A memfd knows no FALLOC_FL_ZERO_RANGE: punch. Nothing is allocated. */
int pt_memory_fallocate(struct pt_memory *m, int mode, uint64_t offset, uint64_t length)
{
	int keep = mode & FALLOC_FL_KEEP_SIZE;
	struct stat st;

	if (mode & FALLOC_FL_ZERO_RANGE) {
		if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      (off_t)length) < 0)
			return -errno;
		mode = keep;
	}
	if (mode & ~keep)
		return fallocate(m->fd, mode, (off_t)offset, (off_t)length) < 0 ? -errno : 0;
	if (keep)
		return 0;
	/* All that the memory of the machine cannot hold could be asked for: the last byte alone makes
	 * it as long. */
	if (fstat(m->fd, &st) < 0)
		return -errno;
	if (offset + length <= (uint64_t)st.st_size)
		return 0;
	return fallocate(m->fd, 0, (off_t)(offset + length - 1), 1) < 0 ? -errno : 0;
}
