/* SPDX-License-Identifier: MIT */
/* fallocate(2) and lseek(2)'s SEEK_DATA and SEEK_HOLE. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/checked.h"

/* Long work gives others a turn every so many chunks. */
#define TURN 64u

static void turn(struct store *s, uint64_t chunk)
{
	if (chunk % TURN == TURN - 1) {
		store_unlock(s);
		store_lock(s);
	}
}

/* Allocate the hole at page `n`, at most `count` pages: how many pages of the file were passed. */
static int fill_hole(struct store *s, struct inode *i, uint64_t n, uint64_t count,
		     uint64_t *ret_passed)
{
	uint64_t page, got, serial = s->commit_serial;
	struct chunk *c;
	struct run run;
	int r = chunk_find(s, i, n, &run);

	if (r < 0)
		return r;
	count = MIN(count, run.count);
	*ret_passed = count;
	if (r)
		return 0;
	r = alloc_pages(s, i->hint, count, &page, &got);
	if (r < 0)
		return r;
	*ret_passed = 0;
	if (s->commit_serial != serial) { /* the lock was given up: look again */
		alloc_release(s, page, got);
		return 0;
	}
	i->hint = page + got;
	r = chunk_change(s, i, n / ZCF_CHUNK_PAGES, &c);
	if (r == 0)
		r = chunk_set(s, i, c, (unsigned)(n % ZCF_CHUNK_PAGES), (unsigned)got, page,
			      BIRTH_PENDING, RUN_FRESH | RUN_UNWRITTEN);
	if (r < 0) {
		alloc_release(s, page, got);
		return r;
	}
	*ret_passed = got;
	return 0;
}

static int allocate(struct store *s, struct inode *i, uint64_t offset, uint64_t end)
{
	uint64_t n = offset / PAGE, last = PAGE_UP(end) / PAGE, passed;

	if (last - n > alloc_available(s) + i->now.pages)
		return -ENOSPC;
	while (n < last) {
		int r = fill_hole(s, i, n, last - n, &passed);

		if (r < 0)
			return r;
		if ((n + passed) / ZCF_CHUNK_PAGES != n / ZCF_CHUNK_PAGES)
			turn(s, n / ZCF_CHUNK_PAGES);
		n += passed;
	}
	return 0;
}

/* Zeros from `offset` to `end`: the pieces of pages are written, whole pages are dropped. */
static int zero(struct store *s, struct inode *i, uint64_t offset, uint64_t end)
{
	uint64_t first = PAGE_UP(offset), last = PAGE_DOWN(end);
	int r = 0;

	if (first > last) /* inside one page */
		return page_change(s, i, offset / PAGE, (unsigned)(offset % PAGE),
				   (unsigned)(end - offset), NULL);
	if (offset < first)
		r = page_change(s, i, offset / PAGE, (unsigned)(offset % PAGE),
				(unsigned)(first - offset), NULL);
	if (r == 0 && last < end)
		r = page_change(s, i, last / PAGE, 0, (unsigned)(end - last), NULL);
	for (uint64_t n = first / PAGE; r == 0 && n < last / PAGE;) {
		uint64_t index = n / ZCF_CHUNK_PAGES, next = chunk_next(s, i, index);
		uint64_t stop;

		if (next == UINT64_MAX || next * ZCF_CHUNK_PAGES >= last / PAGE)
			break;
		n = MAX(n, next * ZCF_CHUNK_PAGES);
		stop = MIN((next + 1) * ZCF_CHUNK_PAGES, last / PAGE);
		r = pages_punch(s, i, n, stop);
		n = stop;
		turn(s, next);
	}
	return r;
}

int store_fallocate(struct store *s, uint64_t ino, int mode, uint64_t offset, uint64_t length)
{
	LOCKED(s);
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int what = mode & ~(FALLOC_FL_KEEP_SIZE | STORE_FALLOCATE_KEEP_TIMES);
	struct inode *i;
	uint64_t end;
	int r = store_may_write(s);

	if (what && what != FALLOC_FL_ZERO_RANGE && !(what == FALLOC_FL_PUNCH_HOLE && keep))
		return -EOPNOTSUPP;
	if (!length)
		return -EINVAL;
	if (!zu_add_u64(offset, length, &end) || end > (uint64_t)ZCF_SIZE_MAX)
		return -EFBIG;
	if (r == 0)
		r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	if (!S_ISREG(i->mode))
		return S_ISDIR(i->mode) ? -EISDIR : -ENODEV;
	i->pins++;
	if (what)
		r = zero(s, i, offset, end);
	if (r == 0 && what != FALLOC_FL_PUNCH_HOLE)
		r = allocate(s, i, offset, end);
	if (r == 0 && !keep && end > i->now.size)
		i->now.size = end;
	data_modified(s, i, mode & STORE_FALLOCATE_KEEP_TIMES);
	i->pins--;
	inode_put(s, i);
	return r;
}

/* From `offset` to `size`: the first byte of data, or of a hole. Allocated pages that were never
 * written are a hole. */
static int find(struct store *s, struct inode *i, uint64_t offset, bool data, uint64_t *ret_offset)
{
	uint64_t size = i->now.size, n = offset / PAGE;
	struct run run;

	while (n * PAGE < size) {
		bool is_data;
		int r = chunk_find(s, i, n, &run);

		if (r < 0)
			return r;
		is_data = r && !(run.flags & RUN_UNWRITTEN);
		if (is_data == data) {
			*ret_offset = MAX(offset, n * PAGE);
			return 0;
		}
		n += run.count;
		if (data && !r && n % ZCF_CHUNK_PAGES == 0) {
			uint64_t next = chunk_next(s, i, n / ZCF_CHUNK_PAGES);

			if (next == UINT64_MAX)
				break;
			n = next * ZCF_CHUNK_PAGES;
		}
	}
	*ret_offset = size;
	return data ? -ENXIO : 0;
}

int store_seek(struct store *s, uint64_t ino, uint64_t offset, int whence, uint64_t *ret_offset)
{
	LOCKED(s);
	struct inode *i;
	int r = inode_get(s, ino, &i);

	if (r < 0)
		return r;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (offset >= i->now.size)
		return -ENXIO;
	return find(s, i, offset, whence == SEEK_DATA, ret_offset);
}
