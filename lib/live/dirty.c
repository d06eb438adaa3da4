/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - which pages of an image the store does not have yet.
 *
 * Stores of a client that tracks are found in its page table (PAGEMAP_SCAN, which looks and protects
 * again in one step), writes by requests are noted in `wrote`. If anybody else may have stored - a
 * client that does not track, or did and died - the image is compared with what the store has. A page that is marked for nothing costs a write; so
 * whatever is uncertain is marked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "live/live_i.h"
#include "util/cleanup.h"

/* Newer than the packaged headers: linux/fs.h of 6.7. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct scan_region {
	uint64_t start, end, categories;
};
#define IOC_PAGEMAP_SCAN _IOWR('f', 16, struct scan_arg)
#define PAGE_IS_WRITTEN (1u << 1)
#define SCAN_PROTECT_AGAIN (1u << 0)
#define SCAN_NEEDS_ASYNC (1u << 1)

enum { REGIONS = 512 };
#define MIN(a, b) ((a) < (b) ? (a) : (b))

static uint64_t pages_of(uint64_t size)
{
	return (size + PAGE - 1) / PAGE;
}

void bitmap_set(uint64_t *bits, uint64_t first, uint64_t end)
{
	while (first < end) {
		uint64_t n = MIN(64 - first % 64, end - first);

		bits[first / 64] |= (n == 64 ? ~0ull : ((1ull << n) - 1)) << first % 64;
		first += n;
	}
}

/* The next bit from `at` on that is `value`, or `limit`. */
static uint64_t next_bit(const uint64_t *bits, uint64_t at, uint64_t limit, bool value)
{
	while (at < limit) {
		uint64_t word = (value ? bits[at / 64] : ~bits[at / 64]) & ~0ull << at % 64;

		if (word)
			return MIN(at / 64 * 64 + (uint64_t)__builtin_ctzll(word), limit);
		at = (at / 64 + 1) * 64;
	}
	return limit;
}

bool bitmap_run(const uint64_t *bits, uint64_t *from, uint64_t limit, uint64_t *ret_end)
{
	*from = next_bit(bits, *from, limit, true);
	if (*from >= limit)
		return false;
	*ret_end = next_bit(bits, *from, limit, false);
	return true;
}

/* ---- looking at a client ------------------------------------------------------------------ */

int client_scan(struct live_client *client, uint64_t size)
{
	struct scan_region regions[REGIONS];
	uint64_t start = client->address;
	uint64_t end = start + MIN(client->length, pages_of(size) * PAGE);

	while (start < end) {
		struct scan_arg arg = {
			.size = sizeof(arg),
			.flags = SCAN_PROTECT_AGAIN | SCAN_NEEDS_ASYNC,
			.start = start,
			.end = end,
			.vec = (uintptr_t)regions,
			.vec_len = REGIONS,
			.category_mask = PAGE_IS_WRITTEN,
			.return_mask = PAGE_IS_WRITTEN,
		};
		int n = ioctl(client->pagemap, IOC_PAGEMAP_SCAN, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n && i < REGIONS; i++)
			bitmap_set(client->image->dirty,
				   (regions[i].start - client->address) / PAGE,
				   (regions[i].end - client->address) / PAGE);
		if (arg.walk_end <= start)
			return n < REGIONS ? 0 : -EIO;
		start = arg.walk_end;
	}
	return 0;
}

/* live.lock held: is somebody there whose stores cannot be found? */
static bool unwatched(const struct live_client *c)
{
	return c->writable && !c->tracked && !c->settled;
}

/* work held: nobody but the holder removes a client, so each is good while the lock is let go. */
static struct live_client *next_client(struct image *image, struct live_client *c)
{
	pthread_mutex_lock(&image->live->lock);
	c = c ? TAILQ_NEXT(c, link) : TAILQ_FIRST(&image->clients);
	pthread_mutex_unlock(&image->live->lock);
	return c;
}

/* true: compare. (A client that comes meanwhile has stored nothing that a commit must have.) */
static bool scan_clients(struct image *image, uint64_t size)
{
	struct live *live = image->live;
	bool compare = false;

	for (struct live_client *c = next_client(image, NULL); c; c = next_client(image, c)) {
		if (c->tracked && !c->settled && client_scan(c, size) < 0) {
			/* It is dead, or has unmapped something: what it stored is not known. */
			pthread_mutex_lock(&live->lock);
			c->tracked = false;
			pthread_mutex_unlock(&live->lock);
		}
		pthread_mutex_lock(&live->lock);
		compare = compare || unwatched(c);
		pthread_mutex_unlock(&live->lock);
	}
	return compare;
}

void image_reap(struct image *image)
{
	struct live *live = image->live;
	TAILQ_HEAD(, live_client) list = TAILQ_HEAD_INITIALIZER(list);
	struct live_client *c, *next;

	pthread_mutex_lock(&live->lock);
	for (c = TAILQ_FIRST(&image->clients); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->gone)
			continue;
		if (c->writable && !c->settled)
			image->suspect = true;
		TAILQ_REMOVE(&image->clients, c, link);
		TAILQ_INSERT_TAIL(&list, c, link);
	}
	pthread_mutex_unlock(&live->lock);
	for (c = TAILQ_FIRST(&list); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->pagemap >= 0)
			close(c->pagemap);
		free(c);
	}
}

/* ---- comparing ---------------------------------------------------------------------------- */

static int compare_with_zeros(struct image *image, uint64_t offset, uint64_t end)
{
	static const uint8_t zeros[PAGE];
	uint8_t page[PAGE];
	uint64_t stop;

	for (; image_data(image, &offset, end, &stop); offset = stop)
		for (uint64_t at = offset; at < stop; at += PAGE) {
			uint64_t n = MIN(PAGE, end - at);
			ssize_t got = image_pread(image, page, n, at);

			if (got < 0)
				return (int)got;
			if (memcmp(page, zeros, (size_t)got))
				bitmap_set(image->dirty, at / PAGE, at / PAGE + 1);
		}
	return 0;
}

/* Blocks begin at pages; only the last may end inside one. */
static int compare_block(struct image *image, uint64_t offset, uint64_t length,
			 const uint8_t *bytes)
{
	enum { STEP = 1 << 17 };
	static _Thread_local uint8_t buf[STEP];

	if (!bytes)
		return compare_with_zeros(image, offset, offset + length);
	for (uint64_t done = 0; done < length; done += STEP) {
		uint64_t n = MIN(length - done, STEP);
		ssize_t got = image_pread(image, buf, n, offset + done);

		if (got < 0)
			return (int)got;
		memset(buf + got, 0, n - (size_t)got);
		for (uint64_t at = 0; at < n; at += PAGE)
			if (memcmp(buf + at, bytes + done + at, MIN(PAGE, n - at)))
				bitmap_set(image->dirty, (offset + done + at) / PAGE,
					   (offset + done + at) / PAGE + 1);
	}
	return 0;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* Take what requests noted. */
static void take_written(struct image *image, struct snapshot *ret)
{
	struct shard *s = shard_of(image->live, image->ino);
	_Atomic uint64_t *wrote;
	uint64_t count = image->capacity / PAGE / 64 + 1;

	pthread_rwlock_wrlock(&s->gate);
	wrote = image->wrote;
	image->wrote = image->spare;
	image->spare = wrote;
	ret->size = atomic_load(&image->size);
	ret->cut = MIN(image->cut, ret->size);
	image->cut = ret->size;
	pthread_rwlock_unlock(&s->gate);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = atomic_load_explicit(&wrote[i], memory_order_relaxed);

		if (word) {
			image->dirty[i] |= word;
			atomic_store_explicit(&wrote[i], 0, memory_order_relaxed);
		}
	}
}

/* A hole that a client makes (MADV_REMOVE) shows in no page table, but the image takes less memory then. */
static bool has_shrunk(struct image *image)
{
	uint64_t before;
	struct stat st;

	if (fstat(image->fd, &st) < 0)
		return true;
	before = atomic_exchange(&image->blocks, (uint64_t)st.st_blocks);
	return before && (uint64_t)st.st_blocks < before;
}

int image_collect(struct image *image, struct snapshot *ret)
{
	struct live *live = image->live;
	bool compare;
	int r;

	take_written(image, ret);
	ret->compared = 0;
	/* Before the look: what sets it later asks for another comparison. */
	compare = has_shrunk(image) || image->suspect;
	image->suspect = false;
	compare |= scan_clients(image, ret->size);
	if (!compare)
		return 0;
	r = image_each_block(image, ret->size, false, compare_block);
	if (r < 0) {
		image->suspect = true;
		return r;
	}
	ret->compared = pages_of(ret->size);
	pthread_mutex_lock(&live->lock);
	image->compares++;
	live->stats.compares++;
	live->stats.compared_pages += ret->compared;
	pthread_mutex_unlock(&live->lock);
	return 0;
}
