/* SPDX-License-Identifier: MIT */
/*
 * Giving pages up. The quarantine: a page that was given up may still be read by a reply in flight.
 * Reads carry the parity of the epoch they began in; pages given up in an epoch are free two epochs
 * later, and an epoch ends only when no read of the one before it is left.
 *
 * What the intent log names by its place waits until the log begins anew.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/region.h"

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
static bool release(struct store *s, struct extents *list, uint64_t page, uint64_t count)
{
	if (extents_add(list, page, count) < 0)
		return false;
	s->quarantined += count;
	return true;
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
		if (release(s, named ? &s->intent.released : now, page, stop - in) && named)
			s->intent.waiting += stop - in;
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
			g->placed = calloc(REGION_WORDS, 8);
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
	s->intent.waiting = 0;
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
		region_take(s, r, in, len);
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
