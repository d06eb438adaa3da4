/* SPDX-License-Identifier: MIT */
/*
 * Free pages in memory: a bitmap per region of 1 GiB, loaded from LMDB when first needed, so that
 * opening a store takes the same time whatever its size. A set bit is a page that is not free:
 * named by a committed record, pending, or in quarantine.
 *
 * The quarantine: a page that was given up may still be read by a reply in flight. Reads carry the
 * parity of the epoch they began in; pages given up in an epoch are free two epochs later, and an
 * epoch ends only when no read of the one before it is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "store/store_i.h"
#include "util/bytes.h"

#define WORDS (ZCF_REGION_PAGES / 64)
/* Free runs to look at before the longest of them is taken. */
#define LOOK_RUNS 64u
/* Runs of so many pages are nearly as good as one, and not much worse. */
#define RUN_GOOD 256u
#define RUN_FAIR 64u
/* Numbers that no page file has. */
#define PHANTOM (1ull << 50)

static bool bit_get(const uint64_t *map, uint32_t n)
{
	return map[n / 64] >> (n % 64) & 1;
}

/* Set or clear [n, n+count): how many bits changed. */
static uint32_t bits_set(uint64_t *map, uint32_t n, uint32_t count, bool value)
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

/* The first bit >= n that is `value`, or `end`. */
static uint32_t bit_find(const uint64_t *map, uint32_t n, uint32_t end, bool value)
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

static uint32_t region_pages(const struct store *s, size_t r)
{
	uint64_t start = (uint64_t)r << ZCF_REGION_SHIFT;

	return s->pages > start ? (uint32_t)MIN(s->pages - start, ZCF_REGION_PAGES) : 0;
}

static int region_load(struct store *s, size_t r)
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
	busy = malloc(WORDS * 8);
	if (!busy)
		return -ENOMEM;
	memset(busy, 0xff, WORDS * 8);
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

static uint32_t region_free(struct store *s, size_t r)
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

static int regions_resize(struct store *s, uint64_t pages)
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

/* More pages at the end of the page file. */
static int grow(struct store *s, uint64_t least)
{
	uint64_t old = s->pages;
	int r;

	/* The region that grows must be in memory first: LMDB does not know the new pages. */
	if (old % ZCF_REGION_PAGES) {
		r = region_load(s, (size_t)(old >> ZCF_REGION_SHIFT));
		if (r < 0)
			return r;
	}
	r = pagefile_grow(s, least);
	if (r < 0)
		return r;
	r = regions_resize(s, s->pages);
	if (r < 0) {
		s->pages = old;
		return r;
	}
	for (uint64_t page = old; page < s->pages;) {
		size_t n = (size_t)(page >> ZCF_REGION_SHIFT);
		struct region *g = &s->regions[n];
		uint32_t in = (uint32_t)(page % ZCF_REGION_PAGES);
		uint32_t count = (uint32_t)MIN(s->pages - page, ZCF_REGION_PAGES - in);

		if (!g->busy) {
			g->busy = malloc(WORDS * 8);
			if (!g->busy) {
				s->pages = page;
				return page == old ? -ENOMEM : 0;
			}
			memset(g->busy, 0xff, WORDS * 8);
			g->known = true;
		}
		g->free += bits_set(g->busy, in, count, false);
		g->longest = UINT32_MAX;
		s->free_pages += count;
		page += count;
	}
	return 0;
}

static uint64_t take(struct store *s, size_t r, uint32_t n, uint32_t count)
{
	struct region *g = &s->regions[r];

	bits_set(g->busy, n, count, true);
	g->free -= count;
	s->free_pages -= count;
	g->next = n + count;
	return ((uint64_t)r << ZCF_REGION_SHIFT) + n;
}

/* The longest of the next free runs from g->next on, cut to `want`. */
static uint32_t region_search(struct store *s, size_t r, uint64_t want, uint32_t *ret_n)
{
	struct region *g = &s->regions[r];
	uint32_t pages = region_pages(s, r), best = 0, looked = 0;

	for (unsigned pass = 0; pass < 2 && best < want; pass++) {
		uint32_t n = pass ? 0 : MIN(g->next, pages),
			 end = pass ? MIN(g->next, pages) : pages;

		while (best < want && looked < LOOK_RUNS) {
			uint32_t stop;

			n = bit_find(g->busy, n, end, false);
			if (n >= end)
				break;
			stop = bit_find(g->busy, n, (uint32_t)MIN((uint64_t)end, n + want), true);
			if (stop - n > best) {
				best = stop - n;
				*ret_n = n;
			}
			looked++;
			n = stop;
		}
	}
	return best;
}

static int try_alloc(struct store *s, uint64_t hint, uint64_t want, uint64_t *ret_page,
		     uint64_t *ret_count)
{
	size_t first;

	if (hint && hint < s->pages && region_free(s, (size_t)(hint >> ZCF_REGION_SHIFT))) {
		size_t r = (size_t)(hint >> ZCF_REGION_SHIFT);
		uint32_t n = (uint32_t)(hint % ZCF_REGION_PAGES), end, pages = region_pages(s, r);

		if (region_load(s, r) == 0 && !bit_get(s->regions[r].busy, n)) {
			end = bit_find(s->regions[r].busy, n,
				       (uint32_t)MIN((uint64_t)pages, n + want), true);
			*ret_count = end - n;
			*ret_page = take(s, r, n, end - n);
			return 0;
		}
	}
	first = (size_t)(s->cursor >> ZCF_REGION_SHIFT);
	for (size_t k = 0; k < s->nregions; k++) {
		size_t r = (first + k) % s->nregions;
		uint32_t n = 0, count;

		if (!region_free(s, r) || region_load(s, r) < 0)
			continue;
		count = region_search(s, r, want, &n);
		if (!count)
			continue;
		*ret_count = count;
		*ret_page = take(s, r, n, count);
		s->cursor = *ret_page + count;
		return 0;
	}
	return -ENOSPC;
}

int alloc_pages(struct store *s, uint64_t hint, uint64_t want, uint64_t *ret_page,
		uint64_t *ret_count)
{
	int r = -ENOSPC;

	if (s->read_only) { /* the intent log is replayed in memory: no such page is ever written */
		*ret_page = PHANTOM + s->phantoms++;
		*ret_count = 1;
		return 0;
	}
	want = MIN(want, ZCF_REGION_PAGES);
	for (unsigned round = 0; round < 3; round++) {
		if (store_may_write(s) < 0)
			return store_may_write(s);
		r = try_alloc(s, hint, want, ret_page, ret_count);
		if (r != -ENOSPC)
			return r;
		r = grow(s, want);
		if (r == 0)
			continue;
		quarantine_advance(s);
		quarantine_advance(s);
		if (try_alloc(s, hint, want, ret_page, ret_count) == 0)
			return 0;
		/* (A commit would wait for the hold of who asks here.) */
		if (round == 0 && !s->holds &&
		    (s->quarantined || s->ndirty || s->ndata_dirty || s->intent.count))
			commit_wait_locked(s, STORE_COMMIT_ALL);
	}
	return r;
}

/* ---- runs for scattered pages -------------------------------------------------------------- */

/* The first free run of at least `least` pages from `n` on, cut to `want`; the longest seen. */
static uint32_t find_run(const struct region *g, uint32_t n, uint32_t end, uint64_t want,
			 uint32_t least, uint32_t *ret_n, uint32_t *longest)
{
	while ((n = bit_find(g->busy, n, end, false)) < end) {
		uint32_t stop = bit_find(g->busy, n, (uint32_t)MIN((uint64_t)end, n + want), true);

		if (stop - n > *longest)
			*longest = stop - n;
		if (stop - n >= least) {
			*ret_n = n;
			return stop - n;
		}
		n = stop;
	}
	return 0;
}

static int try_run(struct store *s, uint64_t want, uint32_t least, uint64_t *ret_page,
		   uint64_t *ret_count)
{
	size_t first = (size_t)(s->cursor >> ZCF_REGION_SHIFT);

	for (size_t k = 0; k < s->nregions; k++) {
		size_t r = (first + k) % s->nregions;
		struct region *g = &s->regions[r];
		uint32_t n = 0, count, longest = 0, pages = region_pages(s, r);

		if (region_free(s, r) < least || region_load(s, r) < 0 || g->longest < least)
			continue;
		count = find_run(g, MIN(g->next, pages), pages, want, least, &n, &longest);
		if (!count)
			count = find_run(g, 0, pages, want, least, &n, &longest);
		if (!count) { /* (a run across g->next was seen by the second) */
			g->longest = longest;
			continue;
		}
		*ret_count = count;
		*ret_page = take(s, r, n, count);
		s->cursor = *ret_page + count;
		return 0;
	}
	return -ENOSPC;
}

int alloc_run(struct store *s, uint64_t want, uint64_t *ret_page, uint64_t *ret_count)
{
	int r = store_may_write(s);

	want = MIN(want, ZCF_REGION_PAGES);
	if (r == 0)
		r = try_run(s, want, (uint32_t)want, ret_page, ret_count);
	if (r == -ENOSPC && want > RUN_GOOD)
		r = try_run(s, want, RUN_GOOD, ret_page, ret_count);
	/* Where files are changed at random, free pages are scattered: some of them are left so. */
	if (r == -ENOSPC && s->free_pages + s->quarantined < s->pages / 4 && grow(s, want) == 0)
		r = try_run(s, want, (uint32_t)MIN(want, RUN_GOOD), ret_page, ret_count);
	if (r == -ENOSPC && want > RUN_FAIR)
		r = try_run(s, want, RUN_FAIR, ret_page, ret_count);
	return r == -ENOSPC ? alloc_pages(s, 0, want, ret_page, ret_count) : r;
}

static void free_now(struct store *s, struct extents *list)
{
	for (size_t i = 0; i < list->count; i++) {
		uint64_t page = list->items[i].page, count = list->items[i].count;

		s->quarantined -= count;
		while (count) {
			struct region *g = &s->regions[page >> ZCF_REGION_SHIFT];
			uint32_t in = (uint32_t)(page % ZCF_REGION_PAGES);
			uint32_t len = (uint32_t)MIN(count, ZCF_REGION_PAGES - in), changed;

			changed = bits_set(g->busy, in, len, false);
			g->longest = UINT32_MAX;
			g->free += changed;
			s->free_pages += changed;
			page += len;
			count -= len;
		}
	}
	list->count = 0;
}

void quarantine_advance(struct store *s)
{
	unsigned before = (s->epoch + 1) & 1;

	if (s->readers[before])
		return;
	free_now(s, &s->quarantine[before]);
	s->epoch++;
}

/* Without memory for the list the pages are lost until the next mount, no more. */
static void release(struct store *s, struct extents *list, uint64_t page, uint64_t count)
{
	if (extents_add(list, page, count) == 0)
		s->quarantined += count;
}

void alloc_release(struct store *s, uint64_t page, uint64_t count)
{
	struct extents *now = &s->quarantine[s->epoch & 1];

	while (count) {
		size_t r = (size_t)(page >> ZCF_REGION_SHIFT);
		const uint64_t *placed = r < s->nregions ? s->regions[r].placed : NULL;
		uint32_t in = (uint32_t)(page % ZCF_REGION_PAGES), stop;
		uint32_t end = (uint32_t)MIN(in + count, ZCF_REGION_PAGES);
		bool named = placed && bit_get(placed, in);

		stop = placed ? bit_find(placed, in, end, !named) : end;
		release(s, named ? &s->intent.released : now, page, stop - in);
		page += stop - in;
		count -= stop - in;
	}
}

/* ---- pages that the intent log names ------------------------------------------------------- */

int alloc_place(struct store *s, uint64_t page, uint64_t count)
{
	while (count) {
		struct region *g = &s->regions[page >> ZCF_REGION_SHIFT];
		uint32_t in = (uint32_t)(page % ZCF_REGION_PAGES);
		uint32_t len = (uint32_t)MIN(count, ZCF_REGION_PAGES - in);

		if (!g->placed)
			g->placed = calloc(WORDS, 8);
		if (!g->placed)
			return -ENOMEM;
		bits_set(g->placed, in, len, true);
		page += len;
		count -= len;
	}
	return 0;
}

void alloc_unplace_all(struct store *s)
{
	struct extents list = s->intent.released;

	s->intent.released = (struct extents){ 0 };
	for (size_t r = 0; r < s->nregions; r++) {
		free(s->regions[r].placed);
		s->regions[r].placed = NULL;
	}
	for (size_t n = 0; n < list.count; n++) {
		s->quarantined -= list.items[n].count;
		alloc_release(s, list.items[n].page, list.items[n].count);
	}
	extents_clear(&list);
}

int alloc_claim(struct store *s, uint64_t page, uint64_t count)
{
	if (page > s->pages || count > s->pages - page)
		return -EBADMSG;
	while (count && !s->read_only) {
		size_t r = (size_t)(page >> ZCF_REGION_SHIFT);
		uint32_t in = (uint32_t)(page % ZCF_REGION_PAGES);
		uint32_t len = (uint32_t)MIN(count, ZCF_REGION_PAGES - in);
		int e = region_load(s, r);

		if (e < 0)
			return e;
		if (bit_find(s->regions[r].busy, in, in + len, true) < in + len)
			return -EBADMSG;
		take(s, r, in, len);
		page += len;
		count -= len;
	}
	return 0;
}

int alloc_hold(struct store *s, const struct extents *freed)
{
	for (size_t i = 0; i < freed->count; i++) {
		uint64_t page = freed->items[i].page, count = freed->items[i].count;

		while (count) {
			size_t r = (size_t)(page >> ZCF_REGION_SHIFT);
			uint32_t in = (uint32_t)(page % ZCF_REGION_PAGES);
			uint32_t len = (uint32_t)MIN(count, ZCF_REGION_PAGES - in);
			int e = region_load(s, r);

			if (e < 0)
				return e;
			s->regions[r].free -= bits_set(s->regions[r].busy, in, len, true);
			page += len;
			count -= len;
		}
	}
	return 0;
}

void alloc_freed(struct store *s, uint64_t page, uint64_t count)
{
	uint64_t end = page + count;

	while (page < end) {
		uint64_t stop = pin_next(s, page, end);

		/* (A clone that is gone may have left a buffer.) */
		if (stop > page)
			buffer_release(s, page, stop - page);
		page = stop + 1;
	}
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

void alloc_look_at_host(struct store *s)
{
	struct statfs fs;

	if (fstatfs(s->page_fd, &fs) < 0)
		return;
	if (!fs.f_blocks) { /* it does not say (ramfs) */
		s->host_pages = s->host_avail = 1ull << 40;
		return;
	}
	s->host_pages = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / PAGE;
	s->host_avail = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize / PAGE;
}

/* What the host should keep for metadata and for others: 64 MiB, less on small filesystems. */
static uint64_t host_reserve(const struct store *s)
{
	return MIN(s->host_pages / 32, (64u << 20) / PAGE);
}

uint64_t alloc_available(const struct store *s)
{
	uint64_t reserve = host_reserve(s);
	uint64_t room = s->host_avail > reserve ? s->host_avail - reserve : 0;

	if (s->super.limit_pages)
		room = MIN(room,
			   s->super.limit_pages > s->pages ? s->super.limit_pages - s->pages : 0);
	return room + s->free_pages + s->quarantined;
}

void alloc_update_low(struct store *s)
{
	uint64_t total = s->super.limit_pages ? s->super.limit_pages : s->host_pages;

	atomic_store_explicit(&s->low, alloc_available(s) < MIN(total / 16, (64u << 20) / PAGE),
			      memory_order_relaxed);
}

bool store_is_low(struct store *s)
{
	return atomic_load_explicit(&s->low, memory_order_relaxed);
}
