/* SPDX-License-Identifier: MIT */
/*
 * bytes.c - bytes of images, and the bytes that the store has of them.
 *
 * Images are read and written by system calls: reading a hole through a mapping would give it a page,
 * and an error would be a signal. Only where a client's seal forbids write(2), the mapping is used,
 * which was there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "live/live_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static const uint8_t zeros[1 << 16];

ssize_t image_pread(const struct image *image, void *buf, size_t length, uint64_t offset)
{
	return zu_pread_full(image->fd, buf, length, (off_t)offset);
}

int image_pwrite(const struct image *image, const void *buf, size_t length, uint64_t offset)
{
	const uint8_t *from = buf;

	while (length) {
		ssize_t n = pwrite(image->fd, from, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPERM && image->map) {
			memcpy(image->map + offset, from, length);
			return 0;
		}
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		from += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

bool image_data(const struct image *image, uint64_t *from, uint64_t limit, uint64_t *ret_end)
{
	off_t at, end;

	if (*from >= limit)
		return false;
	at = lseek(image->fd, (off_t)*from, SEEK_DATA);
	if (at < 0 && errno == ENXIO)
		return false;
	end = at < 0 ? at : lseek(image->fd, at, SEEK_HOLE);
	if (at < 0 || end < 0) { /* cannot tell: all of it */
		*ret_end = limit;
		return true;
	}
	if ((uint64_t)at >= limit)
		return false;
	*from = (uint64_t)at;
	*ret_end = MIN((uint64_t)end, limit);
	return true;
}

static int zero_piece(const struct image *image, uint64_t from, uint64_t end)
{
	uint64_t first = (from + PAGE - 1) & ~(uint64_t)(PAGE - 1),
		 last = end & ~(uint64_t)(PAGE - 1);
	int r = 0;

	if (first < last && fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)first, (off_t)(last - first)) == 0) {
		if (from < first)
			r = image_pwrite(image, zeros, first - from, from);
		from = last;
	}
	while (from < end && r == 0) {
		uint64_t n = MIN(end - from, sizeof(zeros));

		r = image_pwrite(image, zeros, n, from);
		from += n;
	}
	return r;
}

int image_zero(struct image *image, uint64_t offset, uint64_t limit)
{
	uint64_t end;
	int r = 0;

	atomic_store(&image->blocks, 0);
	for (; r == 0 && image_data(image, &offset, limit, &end); offset = end)
		r = zero_piece(image, offset, end);
	return r;
}

/* ---- what the store has ------------------------------------------------------------------- */

struct blocks {
	struct image *image;
	struct store *store;
	block_fn *fn;
	uint8_t *buf; /* BLOCK */
	bool fresh;
};

/* To be looked at: through the buffer, since a damaged disk would make a mapping a signal. To be
 * written to an image: from the mapping, where the kernel tells the error. */
static int pages(struct blocks *b, uint64_t offset, uint64_t length, uint64_t pos)
{
	const void *map = b->fresh ? store_page_map(b->store, pos, length) : NULL;
	ssize_t n;

	if (map && b->fn(b->image, offset, length, map) == 0)
		return 0;
	n = zu_pread_full(store_page_fd(b->store), b->buf, length, (off_t)pos);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n < length)
		return -EIO;
	return b->fn(b->image, offset, length, b->buf);
}

static int segment(struct blocks *b, uint64_t offset, const struct store_segment *s)
{
	if (s->where == STORE_ZEROS)
		return b->fn(b->image, offset, s->length, NULL);
	if (s->where == STORE_PAGES)
		return pages(b, offset, s->length, s->pos);
	return b->fn(b->image, offset, s->length, s->mem);
}

static int block(struct blocks *b, uint64_t offset, uint64_t length)
{
	uint64_t ino = b->image->ino, done = 0;
	struct store_read read;
	bool all_zeros = true;
	ssize_t n;
	int r = store_read_begin(b->store, ino, offset, length, &read);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < read.count; i++)
		all_zeros = all_zeros && read.segments[i].where == STORE_ZEROS;
	if (all_zeros || !store_has_checksums(b->store)) {
		for (unsigned i = 0; i < read.count && r == 0; i++) {
			r = segment(b, offset + done, &read.segments[i]);
			done += read.segments[i].length;
		}
		store_read_end(b->store, &read);
	} else { /* the store has to see the bytes */
		store_read_end(b->store, &read);
		n = store_pread(b->store, ino, b->buf, length, offset);
		if (n < 0)
			return (int)n;
		done = (uint64_t)n;
		r = b->fn(b->image, offset, done, b->buf);
	}
	if (r == 0 && done < length) /* its end */
		r = b->fn(b->image, offset + done, length - done, NULL);
	return r;
}

/* Where the store has no bytes from `at` on, up to `size`, in whole blocks; `at`: it has some. */
static uint64_t hole_end(const struct blocks *b, uint64_t at, uint64_t size)
{
	uint64_t data = size;
	int r = store_seek(b->store, b->image->ino, at, SEEK_DATA, &data);

	if ((r < 0 && r != -ENXIO) || data <= at)
		return at;
	return data >= size ? size : data / BLOCK * BLOCK;
}

int image_each_block(struct image *image, uint64_t size, bool fresh, block_fn *fn)
{
	zu_cleanup_free uint8_t *buf = aligned_alloc(PAGE, BLOCK);
	struct blocks b = { image, image->live->opt.store, fn, buf, fresh };
	uint64_t at = 0, end;
	int r = buf ? 0 : -ENOMEM;

	while (at < size && r == 0) {
		end = hole_end(&b, at, size);
		if (end > at) {
			r = fn(image, at, end - at, NULL);
		} else {
			end = MIN(size, at + BLOCK);
			r = block(&b, at, end - at);
		}
		at = end;
	}
	return r;
}
