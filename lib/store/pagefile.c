/* SPDX-License-Identifier: MIT */
/*
 * The page file. It is written with O_DIRECT, from memory or from a pipe, and read through the page
 * cache, by pread(2), splice(2) and a mapping. No read sees stale bytes:
 *
 * - A page is written only while nothing names it, so nobody asks for it. But it may be in the page
 *   cache, with what it held before: by read-ahead, by faults around a page that somebody did ask for,
 *   or as a part of a large folio.
 * - The kernel drops such folios, and unmaps them, before a direct write and again after it, when it
 *   waits for reads that are under way: a read that begins after the write has returned sees the new
 *   bytes. That is before the page gets its name.
 * - A folio that is dirty cannot be dropped afterwards: the write would be hidden behind it, and the next
 *   sync fail. So with O_DIRECT nothing is ever written through the page cache: what is scattered goes by
 *   put.c, what is unaligned through an aligned buffer. Without O_DIRECT everything is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

#define MAP_LENGTH (1ull << 42)
#define GROW_LEAST ((16u << 20) / PAGE)
#define GROW_MOST ((1u << 30) / PAGE)
#define BOUNCE (256u << 10)

/* O_DIRECT, where the host filesystem has it and takes pages as they are; else -1. */
static int open_direct(struct store *s, int flags)
{
	zu_cleanup_free void *page = aligned_alloc(PAGE, PAGE);
	zu_cleanup_close int fd = -1;
	struct statx stx;

	s->memory_align = 512;
	if (s->options.no_direct_io || !page)
		return -1;
	fd = openat(s->dir_fd, "pages", flags | O_DIRECT);
	if (fd < 0)
		return -1;
#ifdef STATX_DIOALIGN
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    stx.stx_mask & STATX_DIOALIGN) {
		uint32_t memory = stx.stx_dio_mem_align, offset = stx.stx_dio_offset_align;

		if (!memory || memory > PAGE || !offset || offset > PAGE)
			return -1;
		s->memory_align = MAX(memory, 512u);
	}
#else
	(void)stx;
#endif
	/* Some open it so and refuse then. */
	if (pread(fd, page, PAGE, 0) < 0 && errno == EINVAL)
		return -1;
	return TAKE_FD(fd);
}

int pagefile_open(struct store *s, struct zu_err *err)
{
	int flags = (s->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat st;

	s->page_fd = openat(s->dir_fd, "pages", flags);
	if (s->page_fd < 0 || fstat(s->page_fd, &st) < 0)
		return zu_err_set(err, errno, "store %s: cannot open its file pages: %s", s->path,
				  strerror(errno));
	if ((uint64_t)st.st_size < s->super.pages * PAGE)
		return zu_err_set(err, EBADMSG,
				  "store %s: its file pages is cut short (%llu bytes, %llu "
				  "expected); restore it from a backup",
				  s->path, (unsigned long long)st.st_size,
				  (unsigned long long)s->super.pages * PAGE);
	s->pages = s->super.pages;
	s->can_allocate = s->can_punch = true;
	s->direct_fd = open_direct(s, flags);
	s->direct = s->direct_fd >= 0;
	if (!s->direct) {
		s->direct_fd = s->page_fd;
		if (!s->read_only)
			store_log(s, STORE_LOG_WARNING,
				  "store %s: %s; writes are copied through the page cache", s->path,
				  s->options.no_direct_io ? "O_DIRECT is turned off"
							  : "its filesystem has no O_DIRECT");
	}
	s->put_queue = s->read_only ? NULL : put_queue_new();
	s->map = mmap(NULL, MAP_LENGTH, PROT_READ, MAP_SHARED | MAP_NORESERVE, s->page_fd, 0);
	s->map_length = MAP_LENGTH;
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		s->map_length = 0;
	}
	return 0;
}

void pagefile_close(struct store *s)
{
	put_queue_free(s->put_queue);
	if (s->map)
		munmap((void *)s->map, s->map_length);
	if (s->direct)
		close(s->direct_fd);
	if (s->page_fd >= 0)
		close(s->page_fd);
}

int store_page_fd(struct store *s)
{
	return s->page_fd;
}

int store_direct_fd(struct store *s)
{
	return s->direct ? s->direct_fd : -1;
}

const void *store_page_map(struct store *s, uint64_t pos, uint64_t length)
{
	return s->map && pos + length <= s->map_length ? s->map + pos : NULL;
}

static int extend(struct store *s, uint64_t pages)
{
	off_t from = (off_t)(s->pages * PAGE), len = (off_t)((pages - s->pages) * PAGE);

	if (s->can_allocate) {
		if (fallocate(s->page_fd, 0, from, len) == 0)
			return 0;
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return -errno;
		s->can_allocate = false;
		store_log(s, STORE_LOG_WARNING,
			  "store %s: its filesystem has no fallocate; a full disk may show at a "
			  "commit only",
			  s->path);
	}
	return ftruncate(s->page_fd, from + len) < 0 ? -errno : 0;
}

int pagefile_grow(struct store *s, uint64_t least)
{
	uint64_t step = MIN(MAX(MAX(s->pages / 8, GROW_LEAST), least), GROW_MOST), room;

	alloc_look_at_host(s);
	room = alloc_available(s) - s->free_pages - s->quarantined;
	step = MIN(step, room);
	while (step) {
		int r = extend(s, s->pages + step);

		if (r == 0) {
			s->pages += step;
			/* A commit that says the new length must find it on disk, too. */
			atomic_store(&s->page_dirty, true);
			alloc_look_at_host(s);
			alloc_update_low(s);
			return 0;
		}
		if (r != -ENOSPC && r != -EFBIG && r != -EDQUOT)
			return r;
		step /= 2;
	}
	alloc_update_low(s);
	return -ENOSPC;
}

int pagefile_read(struct store *s, uint64_t page, void *buf, size_t length)
{
	ssize_t n = zu_pread_full(s->page_fd, buf, length, (off_t)(page * PAGE));

	if (n < 0)
		return (int)n;
	return (size_t)n == length ? 0 : -EIO;
}

int pagefile_gather(int fd, struct iovec *iov, size_t n, off_t pos)
{
	while (n) {
		ssize_t r = pwritev(fd, iov, (int)MIN(n, IOV_MAX), pos);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		pos += r;
		for (; n && (size_t)r >= iov->iov_len; n--)
			r -= (ssize_t)iov++->iov_len;
		if (r) {
			iov->iov_base = (char *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
	return 0;
}

/* Direct I/O wants memory aligned like the device's blocks; other memory goes through a bounce
 * buffer, and so does what a pipe can't hand over. */
static int write_bounced(struct store *s, uint64_t pos, uint64_t length, const uint8_t *buf,
			 int pipe_fd)
{
	zu_cleanup_free void *bounce = aligned_alloc(PAGE, BOUNCE);
	uint64_t done = length;

	if (!bounce)
		return -ENOMEM;
	while (length) {
		size_t n = (size_t)MIN(length, BOUNCE);
		ssize_t r;

		if (buf)
			memcpy(bounce, buf, n);
		else if ((r = zu_read_full(pipe_fd, bounce, n)) != (ssize_t)n)
			return r < 0 ? (int)r : -EIO;
		r = zu_pwrite_full(s->direct_fd, bounce, n, (off_t)pos);
		if (r < 0)
			return (int)r;
		buf = buf ? buf + n : NULL;
		pos += n;
		length -= n;
	}
	tally_path(s, STORE_WRITE_COPY, done);
	return 0;
}

static int write_spliced(struct store *s, uint64_t pos, uint64_t length, int pipe_fd)
{
	uint64_t done = 0;

	while (length) {
		loff_t at = (loff_t)pos;
		ssize_t n = splice(pipe_fd, NULL, s->direct_fd, &at, (size_t)length, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
			/* Direct I/O wants the pieces of the pipe aligned. */
			tally_fallback(s, s->direct && errno == EINVAL ? STORE_UNALIGNED
								       : STORE_NO_SPLICE);
			if (done)
				tally_path(s, STORE_WRITE_SPLICE, done);
			return write_bounced(s, pos, length, NULL, pipe_fd);
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (uint64_t)n;
		pos += (uint64_t)n;
		length -= (uint64_t)n;
	}
	tally_path(s, STORE_WRITE_SPLICE, done);
	if (!s->direct)
		tally_fallback(s, STORE_NO_DIRECT_IO);
	return 0;
}

static int write_buffer(struct store *s, uint64_t pos, uint64_t length, const void *buf)
{
	ssize_t n;

	if (s->direct && ((uintptr_t)buf & (s->memory_align - 1))) {
		tally_fallback(s, STORE_UNALIGNED);
		return write_bounced(s, pos, length, buf, -1);
	}
	n = zu_pwrite_full(s->direct_fd, buf, (size_t)length, (off_t)pos);
	if (n < 0)
		return (int)n;
	if (!s->direct)
		tally_fallback(s, STORE_NO_DIRECT_IO);
	tally_path(s, s->direct ? STORE_WRITE_DIRECT : STORE_WRITE_CACHED, length);
	return 0;
}

int pagefile_write(struct store *s, uint64_t page, uint64_t count, const void *buf, int pipe_fd)
{
	uint64_t pos = page * PAGE, length = count * PAGE;
	int r = buf ? write_buffer(s, pos, length, buf) : write_spliced(s, pos, length, pipe_fd);

	/* After the write: a sync that ran meanwhile did not cover it. */
	atomic_store(&s->page_dirty, true);
	return r;
}

int pagefile_sync(struct store *s)
{
	if (!atomic_exchange(&s->page_dirty, false))
		return 0;
	return fdatasync(s->direct_fd) < 0 ? -errno : 0;
}
