/* SPDX-License-Identifier: MIT */
/*
 * The free map and the reference counts, as a commit changes them. References are added before
 * they are taken away, so that a page which only changes hands never looks free in between.
 *
 * A page without a record in `ref` is named once, or is free. Pages that may have more than one
 * name, before or after, are counted one by one; all others go in runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"

/* ---- runs of the free map ------------------------------------------------------------------ */

struct free_map {
	struct apply *a;
	struct kv_cursor *cursor;
	uint32_t region;
	int64_t delta; /* of this region's summary */
	bool open;     /* region and delta are valid */
};

static int put_count(struct apply *a, enum zcf_db db, const uint8_t *key, size_t len,
		     uint64_t count)
{
	struct zcf_free value;

	rec_put_count(db, key, len, &value, count, a->number);
	return kv_put(a->txn, db, key, len, &value, sizeof(value));
}

static int put_run(struct free_map *m, uint64_t page, uint64_t count)
{
	uint8_t key[KEY_MAX];

	return count ? put_count(m->a, ZCF_DB_FREE, key, key_free(key, m->region, page), count) : 0;
}

static int del_run(struct free_map *m, uint64_t page)
{
	uint8_t key[KEY_MAX];

	return kv_del(m->a->txn, ZCF_DB_FREE, key, key_free(key, m->region, page));
}

/* The last run of the region that starts at or before `page`: 1; none: 0. */
static int run_before(struct free_map *m, uint64_t page, uint64_t *ret_page, uint64_t *ret_count)
{
	uint8_t key[KEY_MAX];
	size_t len = key_free(key, m->region, page);
	struct kv_val k, v;
	int r = kv_seek(m->cursor, key, len, &k, &v);

	if (r == 0 && !(k.size == len && memcmp(k.data, key, len) == 0))
		r = kv_prev(m->cursor, &k, &v);
	else if (r == -ENOENT)
		r = kv_last(m->cursor, &k, &v);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (k.size != len || memcmp(k.data, key, 4) != 0)
		return 0;
	*ret_page = zu_get_be64((const uint8_t *)k.data + 4);
	if (*ret_page > page)
		return 0;
	r = rec_get_count(ZCF_DB_FREE, k.data, k.size, v, ret_count);
	return r < 0 ? r : 1;
}

static int summary_flush(struct free_map *m)
{
	uint8_t key[KEY_MAX];
	size_t len = key_free(key, m->region, ZCF_FREE_SUMMARY);
	struct kv_val v;
	uint64_t count = 0;
	int r;

	if (!m->open)
		return 0;
	m->open = false;
	r = kv_get(m->a->txn, ZCF_DB_FREE, key, len, &v);
	if (r == 0)
		r = rec_get_count(ZCF_DB_FREE, key, len, v, &count);
	if (r < 0 && r != -ENOENT)
		return r;
	return put_count(m->a, ZCF_DB_FREE, key, len, count + (uint64_t)m->delta);
}

static int remove_run(struct free_map *m, uint64_t page, uint64_t count)
{
	uint64_t at = 0, n = 0;
	int r = run_before(m, page, &at, &n);

	if (r < 0)
		return r;
	if (!r || page - at > n || count > n - (page - at))
		return -EIO; /* a page that is to be used is not free: never go on */
	r = del_run(m, at);
	if (r == 0)
		r = put_run(m, at, page - at);
	if (r == 0)
		r = put_run(m, page + count, at + n - (page + count));
	m->delta -= (int64_t)count;
	return r;
}

static int insert_run(struct free_map *m, uint64_t page, uint64_t count)
{
	uint64_t at = 0, n = 0, start = page, end = page + count;
	int r = run_before(m, end, &at, &n);

	if (r < 0)
		return r;
	if (r && at == end) { /* joins the one behind it */
		r = del_run(m, at);
		if (r < 0)
			return r;
		end = at + n;
		r = run_before(m, page, &at, &n);
		if (r < 0)
			return r;
	}
	if (r && at + n > page)
		return -EIO; /* free already */
	if (r && at + n == page)
		start = at;
	m->delta += (int64_t)count;
	return put_run(m, start, end - start);
}

/* Sorted runs into the free map, or out of it. */
static int free_change(struct apply *a, const struct extents *list, bool insert)
{
	struct free_map m = { .a = a };
	int r = list->count ? kv_cursor_open(a->txn, ZCF_DB_FREE, &m.cursor) : 0;

	for (size_t n = 0; n < list->count && r == 0; n++) {
		uint64_t page = list->items[n].page, left = list->items[n].count;

		while (left && r == 0) {
			uint32_t region = (uint32_t)(page >> ZCF_REGION_SHIFT);
			uint64_t room = ZCF_REGION_PAGES - page % ZCF_REGION_PAGES;
			uint64_t len = MIN(left, room);

			if (m.open && m.region != region)
				r = summary_flush(&m);
			if (!m.open) {
				m.region = region;
				m.delta = 0;
				m.open = true;
			}
			if (r == 0)
				r = insert ? insert_run(&m, page, len) : remove_run(&m, page, len);
			page += len;
			left -= len;
		}
		a->commit->super.free_pages +=
			insert ? list->items[n].count : -list->items[n].count;
	}
	if (r == 0)
		r = summary_flush(&m);
	kv_cursor_close(m.cursor);
	return r;
}

/* ---- pages that are counted ---------------------------------------------------------------- */

struct page_list {
	uint64_t *pages;
	size_t count, room;
};

static int page_add(struct page_list *l, uint64_t page)
{
	if (l->count == l->room) {
		size_t room = l->room ? l->room * 2 : 256;
		uint64_t *p = realloc(l->pages, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->pages = p;
		l->room = room;
	}
	l->pages[l->count++] = page;
	return 0;
}

static int page_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static size_t page_lower(const struct page_list *l, uint64_t page)
{
	size_t lo = 0, hi = l->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->pages[mid] < page)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct counting {
	struct apply *a;
	struct page_list plus, minus; /* a page once per reference */
	struct extents taken, freed;
};

/* The first page >= `page` that has a record in `ref`, or UINT64_MAX. */
static int next_ref(struct kv_cursor *cursor, uint64_t page, uint64_t *ret_page)
{
	uint8_t key[KEY_MAX];
	struct kv_val k, v;
	int r = kv_seek(cursor, key, key_page(key, page), &k, &v);

	*ret_page = UINT64_MAX;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		*ret_page = k.size == 8 ? zu_get_be64(k.data) : 0;
	return r;
}

/* Dropped pages: whole runs are free now, those that may have other names are counted. */
static int sort_dropped(struct counting *c)
{
	struct kv_cursor *cursor;
	const struct extents *list = &c->a->dropped;
	int r = list->count ? kv_cursor_open(c->a->txn, ZCF_DB_REF, &cursor) : 0;

	if (!list->count || r < 0)
		return r;
	for (size_t n = 0; n < list->count && r == 0; n++) {
		uint64_t page = list->items[n].page, end = page + list->items[n].count;

		while (page < end && r == 0) {
			size_t at = page_lower(&c->plus, page);
			uint64_t ref = UINT64_MAX, stop;

			r = next_ref(cursor, page, &ref);
			if (r < 0)
				break;
			stop = MIN(end, ref);
			if (at < c->plus.count)
				stop = MIN(stop, c->plus.pages[at]);
			if (stop > page)
				r = extents_add(&c->freed, page, stop - page);
			page = stop;
			if (r == 0 && page < end)
				r = page_add(&c->minus, page++);
		}
	}
	kv_cursor_close(cursor);
	return r;
}

static int is_free(struct apply *a, uint64_t page)
{
	struct free_map m = { .a = a, .region = (uint32_t)(page >> ZCF_REGION_SHIFT) };
	uint64_t at, n;
	int r = kv_cursor_open(a->txn, ZCF_DB_FREE, &m.cursor);

	if (r < 0)
		return r;
	r = run_before(&m, page, &at, &n);
	kv_cursor_close(m.cursor);
	return r <= 0 ? r : page - at < n;
}

static int recount(struct counting *c, uint64_t page, uint64_t plus, uint64_t minus)
{
	struct apply *a = c->a;
	uint8_t key[KEY_MAX];
	size_t len = key_page(key, page);
	struct kv_val v;
	uint64_t old = 1, now;
	bool had;
	int r = kv_get(a->txn, ZCF_DB_REF, key, len, &v);

	had = r == 0;
	if (had)
		r = rec_get_count(ZCF_DB_REF, key, len, v, &old);
	else if (r == -ENOENT) {
		r = is_free(a, page);
		old = r == 0;
	}
	if (r < 0)
		return r;
	if (old + plus < minus)
		return -EIO;
	now = old + plus - minus;
	r = 0;
	if (!old && now)
		r = extents_add(&c->taken, page, 1);
	if (old && !now)
		r = extents_add(&c->freed, page, 1);
	if (r == 0 && now >= 2)
		r = put_count(a, ZCF_DB_REF, key, len, now);
	else if (r == 0 && had)
		r = kv_del(a->txn, ZCF_DB_REF, key, len);
	return r;
}

static int recount_all(struct counting *c)
{
	size_t p = 0, m = 0;

	if (c->minus.count)
		qsort(c->minus.pages, c->minus.count, sizeof(uint64_t), page_compare);
	while (p < c->plus.count || m < c->minus.count) {
		uint64_t page = UINT64_MAX, plus = 0, minus = 0;
		int r;

		if (p < c->plus.count)
			page = c->plus.pages[p];
		if (m < c->minus.count)
			page = MIN(page, c->minus.pages[m]);
		for (; p < c->plus.count && c->plus.pages[p] == page; p++)
			plus++;
		for (; m < c->minus.count && c->minus.pages[m] == page; m++)
			minus++;
		r = recount(c, page, plus, minus);
		if (r < 0)
			return r;
	}
	return 0;
}

static int collect_shared(struct counting *c)
{
	const struct extents *list = &c->a->shared;

	for (size_t n = 0; n < list->count; n++)
		for (uint64_t k = 0; k < list->items[n].count; k++) {
			int r = page_add(&c->plus, list->items[n].page + k);

			if (r < 0)
				return r;
		}
	if (c->plus.count)
		qsort(c->plus.pages, c->plus.count, sizeof(uint64_t), page_compare);
	return 0;
}

/* Pages that the page file grew by are free. */
static int add_grown(struct apply *a)
{
	uint64_t old = a->store->super.pages, now = a->commit->super.pages;
	struct extent e = { old, now - old };
	struct extents list = { &e, now > old, 1 };

	return free_change(a, &list, true);
}

int apply_pages(struct apply *a)
{
	struct counting c = { .a = a };
	int r = add_grown(a);

	if (r == 0)
		r = collect_shared(&c);
	if (r == 0)
		r = sort_dropped(&c);
	if (r == 0)
		r = recount_all(&c);
	if (r == 0) {
		extents_sort(&a->fresh);
		extents_sort(&c.taken);
		extents_sort(&c.freed);
		r = free_change(a, &a->fresh, false);
	}
	if (r == 0)
		r = free_change(a, &c.taken, false);
	if (r == 0)
		r = free_change(a, &c.freed, true);
	free(c.plus.pages);
	free(c.minus.pages);
	extents_clear(&c.taken);
	a->commit->freed = c.freed;
	return r;
}
