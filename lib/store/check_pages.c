/* SPDX-License-Identifier: MIT */
/*
 * check_pages.c - every page of the page file is either free, once, or named by as many runs as
 * its reference count says (1 where there is none).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/check_i.h"
#include "util/bytes.h"

typedef unsigned long long ull;

int check_pages_begin(struct check *c)
{
	size_t words = (size_t)(c->super.pages / 64) + 1;

	c->free = calloc(words, sizeof(*c->free));
	c->used = calloc(words, sizeof(*c->used));
	return c->free && c->used ? 0 : -ENOMEM;
}

static bool bit(const uint64_t *map, uint64_t page)
{
	return map[page / 64] >> (page % 64) & 1;
}

static void set_bit(uint64_t *map, uint64_t page)
{
	map[page / 64] |= 1ull << (page % 64);
}

/* Set [page, page+count); true: none was set before. */
static bool set_bits(uint64_t *map, uint64_t page, uint64_t count)
{
	bool clear = true;

	while (count) {
		uint64_t in = page % 64, n = MIN(64 - in, count);
		uint64_t mask = (n == 64 ? ~0ull : (1ull << n) - 1) << in;

		clear = clear && !(map[page / 64] & mask);
		map[page / 64] |= mask;
		page += n;
		count -= n;
	}
	return clear;
}

/* ---- the free map ----------------------------------------------------------------------- */

static uint64_t regions(const struct check *c)
{
	return (c->super.pages + ZCF_REGION_PAGES - 1) >> ZCF_REGION_SHIFT;
}

/* Go on to `region`: those before it that are not done yet have no summary. */
static void skip_to_region(struct check *c, uint64_t region)
{
	if (c->region_next < region)
		c->region_free = 0;
	for (; c->region_next < MIN(region, regions(c)); c->region_next++)
		check_say(c, NULL, "free map: region %llu has no summary", (ull)c->region_next);
}

static void check_summary(struct check *c, const struct check_item *at, uint32_t region,
			  uint64_t count)
{
	skip_to_region(c, region);
	c->region_next = (uint64_t)region + 1;
	if (region >= regions(c))
		check_say(c, at, "beyond the page file of %llu pages", (ull)c->super.pages);
	if (count != c->region_free)
		check_say(c, at, "%llu free pages, but its runs have %llu", (ull)count,
			  (ull)c->region_free);
	c->region_free = 0;
}

static void check_free_run(struct check *c, const struct check_item *at, uint32_t region,
			   uint64_t page, uint64_t count)
{
	uint64_t start = (uint64_t)region << ZCF_REGION_SHIFT;

	if (page < start || page - start >= ZCF_REGION_PAGES ||
	    count > ZCF_REGION_PAGES - (page - start)) {
		check_say(c, at, "%llu pages, not inside the region", (ull)count);
		return;
	}
	skip_to_region(c, region);
	c->region_free += count;
	c->free_sum += count;
	if (page >= c->super.pages || count > c->super.pages - page) {
		check_say(c, at, "%llu pages, beyond the page file of %llu pages", (ull)count,
			  (ull)c->super.pages);
		return;
	}
	if (c->run_end > page)
		check_say(c, at, "overlaps the run before it, which ends at page %llu",
			  (ull)c->run_end);
	else if (c->run_end == page && page != start)
		check_say(c, at, "not merged with the run before it");
	c->run_end = page + count;
	set_bits(c->free, page, count);
}

int check_free_record(struct check *c, const struct check_item *at)
{
	uint32_t region = zu_get_be32(at->key.data);
	uint64_t page = zu_get_be64((const uint8_t *)at->key.data + 4), count;

	if (rec_get_count(ZCF_DB_FREE, at->key.data, at->key.size, at->val, &count) < 0)
		check_say(c, at, "the record has an impossible count");
	else if (page == ZCF_FREE_SUMMARY)
		check_summary(c, at, region, count);
	else
		check_free_run(c, at, region, page, count);
	return 0;
}

void check_free_end(struct check *c)
{
	skip_to_region(c, regions(c));
	if (c->free_sum != c->super.free_pages)
		check_say(c, NULL, "super record: %llu free pages, but the free map has %llu",
			  (ull)c->super.free_pages, (ull)c->free_sum);
}

/* ---- reference counts ------------------------------------------------------------------- */

int check_ref_record(struct check *c, const struct check_item *at)
{
	uint64_t page = zu_get_be64(at->key.data), count;

	if (rec_get_count(ZCF_DB_REF, at->key.data, at->key.size, at->val, &count) < 0 ||
	    count > UINT32_MAX) {
		check_say(c, at, "an impossible count (2 to %u)", UINT32_MAX);
		return 0;
	}
	if (page >= c->super.pages) {
		check_say(c, at, "beyond the page file of %llu pages", (ull)c->super.pages);
		return 0;
	}
	if (c->nrefs == c->refs_room) {
		size_t room = c->refs_room ? c->refs_room * 2 : 1024;
		struct check_ref *refs = realloc(c->refs, room * sizeof(*refs));

		if (!refs)
			return -ENOMEM;
		c->refs = refs;
		c->refs_room = room;
	}
	c->refs[c->nrefs++] = (struct check_ref){ .page = page, .count = (uint32_t)count };
	return 0;
}

/* Index of the first shared page >= `page`. */
static size_t first_ref(const struct check *c, uint64_t page)
{
	size_t low = 0, high = c->nrefs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->refs[middle].page < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- the maps of files ------------------------------------------------------------------ */

static void use_page_by_page(struct check *c, const struct check_item *at, const struct run *run,
			     size_t ref)
{
	uint64_t end = run->page + run->count, twice = 0;

	for (uint64_t page = run->page; page < end; page++) {
		bool shared = ref < c->nrefs && c->refs[ref].page == page;
		bool again = !shared && bit(c->used, page);

		if (shared)
			c->refs[ref++].seen++;
		set_bit(c->used, page);
		twice += again;
		if (twice && (!again || page + 1 == end)) {
			uint64_t last = again ? page : page - 1;

			check_say(c, at, "%s: named by another run too, without a reference count",
				  check_pages_text(last + 1 - twice, twice).text);
			twice = 0;
		}
	}
}

static void use_run(struct check *c, const struct check_item *at, const struct run *run)
{
	size_t ref = first_ref(c, run->page);
	uint64_t end = run->page + run->count;

	if (ref < c->nrefs && c->refs[ref].page < end) {
		use_page_by_page(c, at, run, ref);
		return;
	}
	for (uint64_t page = run->page; page < end; page++)
		if (bit(c->used, page)) {
			use_page_by_page(c, at, run, ref);
			return;
		}
	set_bits(c->used, run->page, run->count);
}

/* The inode whose map this is, if anything can be compared with it. */
static struct check_inode *map_owner(struct check *c, const struct check_item *at)
{
	struct check_inode *i = check_find(c, zu_get_be64(at->key.data));

	if (!i) {
		check_say(c, at, "there is no such inode");
		return NULL;
	}
	if (i->state & CHECK_DAMAGED)
		return NULL;
	if (!S_ISREG(i->mode)) {
		check_say(c, at, "the inode is no regular file (mode %o)", i->mode);
		return NULL;
	}
	return i;
}

static void check_end(struct check *c, const struct check_item *at, const struct check_inode *i,
		      uint64_t chunk, const struct run *run)
{
	uint64_t end = chunk * ZCF_CHUNK_PAGES + run->first + run->count;

	if (end > i->size / PAGE + (i->size % PAGE != 0) && !(run->flags & RUN_UNWRITTEN))
		check_say(c, at, "data up to page %llu of the file, beyond its end at byte %llu",
			  (ull)end - 1, (ull)i->size);
}

int check_map_record(struct check *c, const struct check_item *at)
{
	uint64_t ino = zu_get_be64(at->key.data);
	uint64_t chunk = zu_get_be64((const uint8_t *)at->key.data + 8);
	struct check_inode *i = map_owner(c, at);
	struct run runs[ZCF_CHUNK_PAGES];
	int n;

	if (chunk > (uint64_t)ZCF_SIZE_MAX >> ZCF_CHUNK_SHIFT) {
		check_say(c, at, "no file is that large");
		return 0;
	}
	n = rec_get_map(at->val, ino, chunk, c->super.pages, runs);
	if (n < 0) {
		if (rec_get_map(at->val, ino, chunk, UINT64_MAX, runs) < 0)
			check_say(c, at, "the record has impossible runs");
		else
			check_say(c, at, "names pages beyond the page file of %llu pages",
				  (ull)c->super.pages);
		return 0;
	}
	for (int k = 0; k < n; k++) {
		use_run(c, at, &runs[k]);
		if (!i)
			continue;
		i->seen += runs[k].count;
		check_end(c, at, i, chunk, &runs[k]);
	}
	return 0;
}

/* ---- what was counted ------------------------------------------------------------------- */

static void check_refs(struct check *c)
{
	for (size_t n = 0; n < c->nrefs; n++) {
		const struct check_ref *r = &c->refs[n];

		if (r->seen != r->count)
			check_say(c, NULL, "store page %llu: reference count %u, but %u %s it",
				  (ull)r->page, r->count, r->seen,
				  r->seen == 1 ? "run names" : "runs name");
		c->result.pages_shared += bit(c->used, r->page);
	}
}

/* Bits that should not be: both set, or neither. */
static uint64_t wrong_bits(const struct check *c, uint64_t word, bool both)
{
	uint64_t left = c->super.pages - word * 64, wrong;

	wrong = both ? c->used[word] & c->free[word] : ~(c->used[word] | c->free[word]);
	return left >= 64 ? wrong : wrong & ((1ull << left) - 1);
}

static void say_wrong(struct check *c, uint64_t page, uint64_t count, bool both)
{
	if (count)
		check_say(c, NULL, "%s: %s", check_pages_text(page, count).text,
			  both ? "in use and in the free map"
			       : "neither in use nor in the free map");
}

static void check_bits(struct check *c, bool both)
{
	uint64_t words = (c->super.pages + 63) / 64, start = 0, count = 0;

	for (uint64_t word = 0; word < words; word++) {
		uint64_t wrong = wrong_bits(c, word, both);

		if (count && wrong == ~0ull && start + count == word * 64) {
			count += 64;
			continue;
		}
		while (wrong) {
			uint64_t page = word * 64 + (uint64_t)__builtin_ctzll(wrong);

			if (count && start + count != page) {
				say_wrong(c, start, count, both);
				count = 0;
			}
			if (!count)
				start = page;
			count++;
			wrong &= wrong - 1;
		}
	}
	say_wrong(c, start, count, both);
}

void check_all_pages(struct check *c)
{
	uint64_t words = (c->super.pages + 63) / 64, used = 0;

	check_refs(c);
	check_bits(c, true);
	check_bits(c, false);
	for (uint64_t word = 0; word < words; word++) {
		used += (uint64_t)__builtin_popcountll(c->used[word]);
		c->result.pages_free += (uint64_t)__builtin_popcountll(c->free[word]);
	}
	c->result.pages_used = used - c->result.pages_shared;
}

bool check_pages_take(struct check *c, uint64_t page, uint64_t count)
{
	if (page > c->super.pages || count > c->super.pages - page)
		return false;
	for (uint64_t n = page; n < page + count; n++) {
		if (!bit(c->free, n))
			return false;
		c->free[n / 64] &= ~(1ull << (n % 64));
	}
	return true;
}
