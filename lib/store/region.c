/* SPDX-License-Identifier: MIT */
/*
 * Free pages in memory: a bitmap per region of 1 GiB, loaded from LMDB when first needed, so that
 * opening a store takes the same time whatever its size. A set bit is a page that is not free:
 * named by a committed record, pending, or in quarantine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/region.h"
#include "util/bytes.h"

bool bit_get(const uint64_t *map, uint32_t n)
{
	return map[n / 64] >> (n % 64) & 1;
}

uint32_t bits_set(uint64_t *map, uint32_t n, uint32_t count, bool value)
{
	uint32_t changed = 0;

	while (count) {
		uint32_t in = n % 64, len = MIN(64 - in, count);
		uint64_t mask = (len == 64 ? ~0ull : (1ull << len) - 1) << in;
		uint64_t *w = &map[n / 64];

		changed += (uint32_t)__builtin_popcountll(value ? mask & ~*w : mask & *w);
		*w = value ? *w | mask : *w & ~mask;
		n += len;
		count -= len;
	}
	return changed;
}

uint32_t bit_find(const uint64_t *map, uint32_t n, uint32_t end, bool value)
{
	while (n < end) {
		uint64_t w = value ? map[n / 64] : ~map[n / 64];

		w &= ~0ull << (n % 64);
		if (w) {
			n = n / 64 * 64 + (uint32_t)__builtin_ctzll(w);
			return MIN(n, end);
		}
		n = (n / 64 + 1) * 64;
	}
	return end;
}

uint32_t region_pages(const struct store *s, size_t r)
{
	uint64_t start = (uint64_t)r << ZCF_REGION_SHIFT;

	return s->pages > start ? (uint32_t)MIN(s->pages - start, ZCF_REGION_PAGES) : 0;
}

int region_load(struct store *s, size_t r)
{
	struct region *g = &s->regions[r];
	uint64_t start = (uint64_t)r << ZCF_REGION_SHIFT;
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint8_t key[KEY_MAX];
	uint64_t *busy;
	int n;

	if (g->busy)
		return 0;
	busy = malloc(REGION_WORDS * 8);
	if (!busy)
		return -ENOMEM;
	memset(busy, 0xff, REGION_WORDS * 8);
	n = kv_cursor_open(s->rtxn, ZCF_DB_FREE, &cursor);
	if (n < 0) {
		free(busy);
		return n;
	}
	g->free = 0;
	for (n = kv_seek(cursor, key, key_free(key, (uint32_t)r, 0), &k, &v); n == 0;
	     n = kv_next(cursor, &k, &v)) {
		const struct zcf_key_free *at = k.data;
		uint64_t page, count;

		if (k.size != sizeof(*at) || memcmp(at->region, key, sizeof(at->region)) != 0)
			break;
		page = zu_get_be64(at->page);
		if (page == ZCF_FREE_SUMMARY)
			continue;
		n = rec_get_count(ZCF_DB_FREE, k.data, k.size, v, &count);
		if (n < 0)
			break;
		if (page < start || count > ZCF_REGION_PAGES ||
		    page - start > ZCF_REGION_PAGES - count) {
			n = -EIO;
			break;
		}
		g->free += bits_set(busy, (uint32_t)(page - start), (uint32_t)count, false);
	}
	kv_cursor_close(cursor);
	if (n < 0 && n != -ENOENT) {
		free(busy);
		store_fail(s, EIO, "the free map is damaged");
		return n;
	}
	g->busy = busy;
	g->known = true;
	g->longest = UINT32_MAX;
	return 0;
}

uint32_t region_free(struct store *s, size_t r)
{
	struct region *g = &s->regions[r];
	uint8_t key[KEY_MAX];
	size_t len = key_free(key, (uint32_t)r, ZCF_FREE_SUMMARY);
	struct kv_val v;
	uint64_t count;

	if (!g->known) {
		g->known = true;
		g->free = 0;
		if (kv_get(s->rtxn, ZCF_DB_FREE, key, len, &v) == 0 &&
		    rec_get_count(ZCF_DB_FREE, key, len, v, &count) == 0)
			g->free = (uint32_t)MIN(count, ZCF_REGION_PAGES);
	}
	return g->free;
}

int regions_resize(struct store *s, uint64_t pages)
{
	size_t n = (size_t)((pages + ZCF_REGION_PAGES - 1) >> ZCF_REGION_SHIFT);
	struct region *g;

	if (n <= s->nregions)
		return 0;
	g = realloc(s->regions, n * sizeof(*g));
	if (!g)
		return -ENOMEM;
	memset(g + s->nregions, 0, (n - s->nregions) * sizeof(*g));
	s->regions = g;
	s->nregions = n;
	return 0;
}

uint64_t region_take(struct store *s, size_t r, uint32_t n, uint32_t count)
{
	struct region *g = &s->regions[r];

	bits_set(g->busy, n, count, true);
	g->free -= count;
	s->free_pages -= count;
	g->next = n + count;
	return ((uint64_t)r << ZCF_REGION_SHIFT) + n;
}

int alloc_open(struct store *s)
{
	s->free_pages = s->super.free_pages;
	alloc_look_at_host(s);
	return regions_resize(s, s->pages);
}

void alloc_close(struct store *s)
{
	for (size_t r = 0; r < s->nregions; r++) {
		free(s->regions[r].busy);
		free(s->regions[r].placed);
	}
	free(s->regions);
	extents_clear(&s->intent.released);
	extents_clear(&s->quarantine[0]);
	extents_clear(&s->quarantine[1]);
	extents_clear(&s->unpinned);
}

bool alloc_committed_free(struct store *s, uint64_t page)
{
	uint32_t region = (uint32_t)(page >> ZCF_REGION_SHIFT);
	uint8_t key[KEY_MAX];
	size_t len = key_free(key, region, page);
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint64_t count = 0, at;
	bool found = false;
	int r;

	if (page >= s->super.pages)
		return true;
	if (kv_cursor_open(s->rtxn, ZCF_DB_FREE, &cursor) < 0)
		return false;
	r = kv_seek(cursor, key, len, &k, &v);
	if (r == 0 && !(k.size == len && memcmp(k.data, key, len) == 0))
		r = kv_prev(cursor, &k, &v);
	else if (r == -ENOENT)
		r = kv_last(cursor, &k, &v);
	if (r == 0 && k.size == len && memcmp(k.data, key, 4) == 0) {
		at = zu_get_be64((const uint8_t *)k.data + 4);
		found = at <= page && rec_get_count(ZCF_DB_FREE, k.data, k.size, v, &count) == 0 &&
			page - at < count;
	}
	kv_cursor_close(cursor);
	return found;
}
