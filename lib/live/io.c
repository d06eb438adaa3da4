/* SPDX-License-Identifier: MIT */
/*
 * io.c - requests of the mount for a live file.
 *
 * Reads and writes hold the gate for the time of one system call. What needs more, or changes the size
 * downwards, takes `work`, so that a commit sees it whole or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live/live_i.h"
#include "util/checked.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

bool live_any(struct live *live)
{
	/* In this order: an image that ends is in both for a moment. */
	return atomic_load(&live->count) != 0 || atomic_load(&live->ends) != 0;
}

bool live_is(struct live *live, uint64_t ino)
{
	const struct image *image;
	bool is;

	if (!live_any(live))
		return false;
	pthread_mutex_lock(&live->lock);
	is = image_find(live, ino) != NULL;
	LIST_FOREACH(image, &live->ending, ending)
		is = is || image->ino == ino;
	pthread_mutex_unlock(&live->lock);
	return is;
}

static bool fix_size(struct live *live, struct store_attr *attr)
{
	const struct image *image;

	if (atomic_load(&live->count) == 0)
		return false;
	pthread_mutex_lock(&live->lock);
	image = image_find(live, attr->ino);
	if (image && image->state == FILLING)
		image = NULL;
	if (image)
		attr->size = atomic_load(&image->size);
	pthread_mutex_unlock(&live->lock);
	return image != NULL;
}

void live_fix_attr(struct live *live, struct store_attr *attr)
{
	struct store_attr now;

	if (fix_size(live, attr) || !S_ISREG(attr->mode) || !atomic_load(&live->any_ended))
		return;
	if (store_getattr(live->opt.store, attr->ino, &now) == 0)
		*attr = now;
}

void live_fix_entry(struct live *live, struct store_attr *attr)
{
	fix_size(live, attr);
}

bool live_enter(struct live *live, uint64_t ino)
{
	struct shard *s = shard_of(live, ino);
	const struct image *image;

	pthread_rwlock_rdlock(&s->gate);
	image = image_find(live, ino);
	if (!image || (image->state == FILLING && image->delivering))
		return true;
	pthread_rwlock_unlock(&s->gate);
	return false;
}

void live_leave(struct live *live, uint64_t ino)
{
	pthread_rwlock_unlock(&shard_of(live, ino)->gate);
}

ssize_t live_read(struct live *live, uint64_t ino, void *buf, size_t length, uint64_t offset,
		  bool cached)
{
	struct shard *s = shard_of(live, ino);
	struct image *image;
	ssize_t n = -ENOENT;
	uint64_t size;

	if (atomic_load(&live->count) == 0)
		return -ENOENT;
	pthread_rwlock_rdlock(&s->gate);
	image = image_find(live, ino);
	if (image && image->state != FILLING) {
		/* Before the bytes are looked at: a commit after that has the page dropped. */
		if (cached)
			atomic_store(&image->read_cached, true);
		size = atomic_load(&image->size);
		n = offset < size ? image_pread(image, buf, MIN(length, size - offset), offset) : 0;
	}
	pthread_rwlock_unlock(&s->gate);
	return n;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void mark(struct image *image, uint64_t offset, uint64_t end)
{
	for (uint64_t page = offset / PAGE; page * PAGE < end; page++)
		atomic_fetch_or_explicit(&image->wrote[page / 64], 1ull << page % 64,
					 memory_order_relaxed);
}

/* Gate held for writing. What lies between the old end and `offset` may have been
 * stored to by clients, and is zeros in the file. */
static int grow_to(struct image *image, uint64_t offset)
{
	uint64_t size = atomic_load(&image->size);
	int r = image_zero(image, size, offset);

	if (r == 0)
		mark(image, size, size + 1); /* the page of the old end: it had a tail */
	return r;
}

static ssize_t write_live(struct image *image, const void *buf, size_t length, uint64_t offset)
{
	uint64_t end;
	int r;

	if (!zu_range_end(offset, length, image->capacity, &end))
		return -EFBIG;
	r = offset > atomic_load(&image->size) ? grow_to(image, offset) : 0;
	if (r == 0)
		r = image_pwrite(image, buf, length, offset);
	if (r < 0)
		return r;
	mark(image, offset, end);
	if (end > atomic_load(&image->size)) /* then the gate is ours alone */
		atomic_store(&image->size, end);
	return (ssize_t)length;
}

bool image_settled(struct live *live, uint64_t ino, int *ret_error)
{
	const struct image *image;

	*ret_error = 0;
	pthread_mutex_lock(&live->lock);
	while ((image = image_find(live, ino)) && image->state != LIVE) {
		if (image->state == SEALED && image->retire_error) {
			*ret_error = image->retire_error;
			break;
		}
		pthread_cond_wait(&live->changed, &live->lock);
	}
	pthread_mutex_unlock(&live->lock);
	return image != NULL;
}

/* -ERANGE: it makes the file longer, which is done alone. */
static ssize_t write_gated(struct live *live, uint64_t ino, const void *buf, size_t length,
			   uint64_t offset, unsigned flags, bool alone)
{
	struct shard *s = shard_of(live, ino);
	struct image *image;
	ssize_t n;

	if (alone)
		pthread_rwlock_wrlock(&s->gate);
	else
		pthread_rwlock_rdlock(&s->gate);
	image = image_find(live, ino);
	if (!image)
		n = -ENOENT;
	else if (image->state != SEALED && flags & LIVE_CACHED)
		n = -EBUSY;
	else if (image->state != LIVE)
		n = -EAGAIN;
	else if (!alone && offset + length > atomic_load(&image->size))
		n = -ERANGE;
	else
		n = write_live(image, buf, length, offset);
	pthread_rwlock_unlock(&s->gate);
	return n;
}

ssize_t live_write(struct live *live, uint64_t ino, const void *buf, size_t length, uint64_t offset,
		   unsigned flags)
{
	ssize_t n;
	int r;

	do {
		n = write_gated(live, ino, buf, length, offset, flags, false);
		if (n == -ERANGE)
			n = write_gated(live, ino, buf, length, offset, flags, true);
		r = 0;
	} while (n == -EAGAIN && flags & LIVE_WAIT && image_settled(live, ino, &r) && r == 0);
	if (r < 0)
		return r;
	return n == -EAGAIN && flags & LIVE_WAIT ? -ENOENT : n;
}

/* ---- size and space ----------------------------------------------------------------------- */

/* The image, LIVE, with `work` held; NULL: there is none any more, or `*ret_error`. */
static struct image *take(struct live *live, uint64_t ino, int *ret_error)
{
	struct image *image;

	*ret_error = -ENOENT;
	for (;;) {
		bool is_live;
		int r;

		if (!image_settled(live, ino, &r))
			return NULL;
		if (r < 0) {
			*ret_error = r;
			return NULL;
		}
		image = image_get(live, ino, false);
		if (!image)
			continue;
		pthread_mutex_lock(&image->work);
		pthread_mutex_lock(&live->lock);
		is_live = image->state == LIVE;
		pthread_mutex_unlock(&live->lock);
		if (is_live)
			return image;
		pthread_mutex_unlock(&image->work);
		image_put(image);
	}
}

static void give(struct image *image)
{
	pthread_mutex_unlock(&image->work);
	image_put(image);
}

/* work held. */
static int resize(struct image *image, uint64_t size)
{
	struct shard *s = shard_of(image->live, image->ino);
	uint64_t old;
	int r = 0;

	if (size > image->capacity)
		return -EFBIG;
	pthread_rwlock_wrlock(&s->gate);
	old = atomic_load(&image->size);
	if (size < old) {
		atomic_store(&image->size, size);
		image->cut = MIN(image->cut, size);
		/* Clients may store behind the new end from now on; that goes when it grows. */
		r = image_zero(image, size, old);
	} else if (size > old) {
		r = grow_to(image, size);
		if (r == 0)
			atomic_store(&image->size, size);
	}
	pthread_rwlock_unlock(&s->gate);
	return r;
}

int live_truncate(struct live *live, uint64_t ino, uint64_t size)
{
	int r;
	struct image *image = take(live, ino, &r);

	if (!image)
		return r;
	r = resize(image, size);
	give(image);
	return r;
}

static int fallocate_live(struct image *image, int mode, uint64_t offset, uint64_t length)
{
	struct shard *s = shard_of(image->live, image->ino);
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	uint64_t end, size;
	int r = 0;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (!zu_range_end(offset, length, image->capacity, &end))
		return mode & FALLOC_FL_KEEP_SIZE ? 0 : -EFBIG;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > atomic_load(&image->size))
		r = resize(image, end);
	if (r < 0 || !zero)
		return r;
	pthread_rwlock_wrlock(&s->gate);
	size = atomic_load(&image->size);
	end = MIN(end, size);
	if (offset < end) {
		r = image_zero(image, offset, end);
		mark(image, offset, end);
	}
	pthread_rwlock_unlock(&s->gate);
	return r;
}

int live_fallocate(struct live *live, uint64_t ino, int mode, uint64_t offset, uint64_t length)
{
	int r;
	struct image *image = take(live, ino, &r);

	if (!image)
		return r;
	r = fallocate_live(image, mode, offset, length);
	give(image);
	return r;
}

/* (Where memory is says little about zeros: all of it is data.) */
int live_seek(struct live *live, uint64_t ino, uint64_t offset, int whence, uint64_t *ret_offset)
{
	struct store_attr attr = { .ino = ino };
	struct image *image = image_get(live, ino, true);
	uint64_t size;

	if (!image)
		return -ENOENT;
	size = atomic_load(&image->size);
	if (image->state == FILLING)
		size = store_getattr(live->opt.store, ino, &attr) == 0 ? attr.size : 0;
	image_put(image);
	if (offset >= size)
		return -ENXIO;
	*ret_offset = whence == SEEK_HOLE ? size : offset;
	return 0;
}
