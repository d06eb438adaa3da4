/* SPDX-License-Identifier: MIT */
/* Taking pages: near a file's last ones, or in long runs; where none are left the page file grows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "store/region.h"

/* Free runs to look at before the longest of them is taken. */
#define LOOK_RUNS 64u
/* Runs of so many pages are nearly as good as one, and not much worse. */
#define RUN_GOOD 256u
#define RUN_FAIR 64u
/* Numbers that no page file has. */
#define PHANTOM (1ull << 50)

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
			g->busy = malloc(REGION_WORDS * 8);
			if (!g->busy) {
				s->pages = page;
				return page == old ? -ENOMEM : 0;
			}
			memset(g->busy, 0xff, REGION_WORDS * 8);
			g->known = true;
		}
		g->free += bits_set(g->busy, in, count, false);
		g->longest = UINT32_MAX;
		s->free_pages += count;
		page += count;
	}
	return 0;
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
			*ret_page = region_take(s, r, n, end - n);
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
		*ret_page = region_take(s, r, n, count);
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

int store_make_room(struct store *s, uint64_t pages)
{
	LOCKED(s);

	/* What the log names does not leave the quarantine before it begins anew. */
	return alloc_available(s) - s->intent.waiting < pages ? commit_wait_locked(s, COMMIT_WHOLE)
							      : 0;
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

/* Of a run of at least `least` pages, up to `want` of them. */
static int try_run(struct store *s, uint64_t want, uint32_t least, uint64_t *ret_page,
		   uint64_t *ret_count)
{
	size_t first = (size_t)(s->cursor >> ZCF_REGION_SHIFT);
	uint64_t most = MAX(want, least);

	for (size_t k = 0; k < s->nregions; k++) {
		size_t r = (first + k) % s->nregions;
		struct region *g = &s->regions[r];
		uint32_t n = 0, count, longest = 0, pages = region_pages(s, r);

		if (region_free(s, r) < least || region_load(s, r) < 0 || g->longest < least)
			continue;
		count = find_run(g, MIN(g->next, pages), pages, most, least, &n, &longest);
		if (!count)
			count = find_run(g, 0, pages, most, least, &n, &longest);
		if (!count) { /* (a run across g->next was seen by the second) */
			g->longest = longest;
			continue;
		}
		*ret_count = MIN(count, want);
		*ret_page = region_take(s, r, n, (uint32_t)*ret_count);
		s->cursor = *ret_page + *ret_count;
		return 0;
	}
	return -ENOSPC;
}

/* Is there room for another run where none is free? */
static bool may_grow(const struct store *s)
{
	return s->free_pages + s->quarantined < s->pages / 4;
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
	if (r == -ENOSPC && may_grow(s) && grow(s, want) == 0)
		r = try_run(s, want, (uint32_t)MIN(want, RUN_GOOD), ret_page, ret_count);
	if (r == -ENOSPC && want > RUN_FAIR)
		r = try_run(s, want, RUN_FAIR, ret_page, ret_count);
	return r == -ENOSPC ? alloc_pages(s, 0, want, ret_page, ret_count) : r;
}

static bool is_free(struct store *s, uint64_t page)
{
	size_t r = (size_t)(page >> ZCF_REGION_SHIFT);

	return page < s->pages && region_free(s, r) && region_load(s, r) == 0 &&
	       !bit_get(s->regions[r].busy, (uint32_t)(page % ZCF_REGION_PAGES));
}

int alloc_one(struct store *s, uint64_t hint, uint64_t *ret_page)
{
	uint64_t count;
	int r = -ENOSPC;

	if (hint && !s->read_only && store_may_write(s) == 0 && !is_free(s, hint)) {
		r = try_run(s, 1, RUN_GOOD, ret_page, &count);
		if (r == -ENOSPC && may_grow(s) && grow(s, RUN_GOOD) == 0)
			r = try_run(s, 1, RUN_GOOD, ret_page, &count);
		if (r == -ENOSPC)
			r = try_run(s, 1, RUN_FAIR, ret_page, &count);
	}
	return r == -ENOSPC ? alloc_pages(s, hint, 1, ret_page, &count) : r;
}

/* ---- what the host has --------------------------------------------------------------------- */

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
