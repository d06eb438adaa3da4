/* SPDX-License-Identifier: MIT */
/*
 * Pins: how many pending (or captured) chunks name a page as RUN_SHARED. A pinned page is never
 * given back, whatever commits say of it. When its last pin goes, it is free if no committed record
 * names it; while a commit is in flight that can't be known, so it waits for pin_settle().
 */
#include <errno.h>
#include <stdlib.h>

#include "store/store_i.h"

static int pin_compare(struct pin *a, struct pin *b)
{
	return (a->page > b->page) - (a->page < b->page);
}
RB_GENERATE(pin_tree, pin, node, pin_compare)

static int pin_one(struct store *s, uint64_t page)
{
	struct pin find = { .page = page };
	struct pin *p = RB_FIND(pin_tree, &s->pins, &find);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->page = page;
		RB_INSERT(pin_tree, &s->pins, p);
		s->npins++;
	}
	p->count++;
	return 0;
}

int pin_add(struct store *s, uint64_t page, uint64_t count)
{
	for (uint64_t n = 0; n < count; n++) {
		int r = pin_one(s, page + n);

		if (r < 0) {
			pin_drop(s, page, n);
			return r;
		}
	}
	return 0;
}

static void settle_one(struct store *s, uint64_t page)
{
	if (alloc_committed_free(s, page) && buffer_drop(s, page))
		alloc_release(s, page, 1);
}

void pin_drop(struct store *s, uint64_t page, uint64_t count)
{
	for (uint64_t n = page; n < page + count; n++) {
		struct pin find = { .page = n };
		struct pin *p = RB_FIND(pin_tree, &s->pins, &find);

		if (!p || --p->count)
			continue;
		RB_REMOVE(pin_tree, &s->pins, p);
		free(p);
		s->npins--;
		/* Without memory for the list the page is lost until the next mount, no more. */
		if (s->committing)
			extents_add(&s->unpinned, n, 1);
		else
			settle_one(s, n);
	}
}

uint64_t pin_next(struct store *s, uint64_t page, uint64_t end)
{
	struct pin find = { .page = page };
	struct pin *p = s->npins ? RB_NFIND(pin_tree, &s->pins, &find) : NULL;

	return p && p->page < end ? p->page : end;
}

/*
 * May others than one file name the page? A clone of a page that was written in its place can be
 * committed while the record of the file itself still says unwritten; then it must not be written in
 * its place again.
 */
bool pin_named_elsewhere(struct store *s, uint64_t page)
{
	uint8_t key[KEY_MAX];
	struct kv_val v;

	return pin_next(s, page, page + 1) == page ||
	       kv_get(s->rtxn, ZCF_DB_REF, key, key_page(key, page), &v) != -ENOENT;
}

void pin_settle(struct store *s)
{
	struct extents list = s->unpinned;
	uint64_t next = 0;

	s->unpinned = (struct extents){ 0 };
	extents_sort(&list);
	for (size_t i = 0; i < list.count; i++)
		for (uint64_t n = 0; n < list.items[i].count; n++) {
			uint64_t page = list.items[i].page + n;

			/* It may have been pinned again, or be in the list twice. */
			if (page < next || pin_next(s, page, page + 1) == page)
				continue;
			next = page + 1;
			settle_one(s, page);
		}
	extents_clear(&list);
}

void pin_free_all(struct store *s)
{
	struct pin *p;

	while ((p = RB_MIN(pin_tree, &s->pins))) {
		RB_REMOVE(pin_tree, &s->pins, p);
		free(p);
	}
}
