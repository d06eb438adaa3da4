/* SPDX-License-Identifier: MIT */
/*
 * Where the pages of a file are, in chunks of 256 pages: the committed record, over it what the
 * commit in flight captured (cap), over that what changed since (pend). A chunk that changes is
 * copied whole into pend; its runs say with their flags what becomes of a page that is replaced.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"

static int chunk_compare(struct chunk *a, struct chunk *b)
{
	return (a->index > b->index) - (a->index < b->index);
}
RB_GENERATE(chunk_tree, chunk, node, chunk_compare)

struct chunk *chunk_new(uint64_t index)
{
	struct chunk *c = calloc(1, sizeof(*c));

	if (c)
		c->index = index;
	return c;
}

void chunk_free(struct chunk *c)
{
	if (c) {
		free(c->runs);
		free(c->sums);
	}
	free(c);
}

/* A clone may still show what is in the buffers of its pages. */
static void forget_unpinned(struct store *s, uint64_t page, uint64_t count)
{
	uint64_t end = page + count;

	while (page < end) {
		uint64_t stop = pin_next(s, page, end);

		if (stop > page)
			buffer_forget(s, page, stop - page);
		page = stop + 1;
	}
}

static void dispose(struct store *s, const struct run *run)
{
	if (run->flags & RUN_FRESH)
		buffer_release(s, run->page, run->count);
	else if (run->flags & RUN_SHARED)
		pin_drop(s, run->page, run->count);
	else if (s->nbuffers) /* an unwritten page that was written in its place */
		forget_unpinned(s, run->page, run->count);
}

static struct run cut(const struct run *run, unsigned from, unsigned to)
{
	struct run r = *run;

	r.first = (uint16_t)from;
	r.count = (uint16_t)(to - from);
	r.page += from - run->first;
	return r;
}

static unsigned append(struct run *out, unsigned n, struct run run)
{
	struct run *last = n ? &out[n - 1] : NULL;

	if (!run.count)
		return n;
	if (last && last->first + last->count == run.first && last->flags == run.flags &&
	    last->birth == run.birth && last->page + last->count == run.page) {
		last->count = (uint16_t)(last->count + run.count);
		return n;
	}
	out[n] = run;
	return n + 1;
}

static int chunk_store(struct chunk *c, const struct run *runs, unsigned n)
{
	if (n > c->room) {
		unsigned room = n < 4 ? 4 : MIN(n + n / 2, ZCF_CHUNK_PAGES);
		struct run *p = realloc(c->runs, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		c->runs = p;
		c->room = room;
	}
	if (n)
		memcpy(c->runs, runs, n * sizeof(*runs));
	c->count = n;
	return 0;
}

static bool goes_on(const struct run *a, const struct run *b)
{
	return a->first + a->count == b->first && a->page + a->count == b->page;
}

/* Written in its place: the same page, no longer unwritten. (A page that was shared into this place
 * already has two pins for it now.) */
static void drop_run(struct store *s, struct inode *i, const struct run *old, bool same)
{
	if (!same || (old->flags & RUN_SHARED))
		dispose(s, old);
	i->now.pages -= old->count;
}

/* Where files are changed at random: a run takes the place of one just as long, between others that it
 * does not join. */
static bool replace_run(struct store *s, struct inode *i, struct chunk *c, const struct run *add)
{
	unsigned low = 0, high = c->count;
	struct run *run;

	if (!high)
		return false;
	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (c->runs[mid].first < add->first)
			low = mid + 1;
		else
			high = mid;
	}
	run = &c->runs[low];
	if (low == c->count || run->first != add->first || run->count != add->count ||
	    (low > 0 && goes_on(run - 1, add)) || (low + 1 < c->count && goes_on(add, run + 1)))
		return false;
	drop_run(s, i, run, run->page == add->page);
	*run = *add;
	i->now.pages += add->count;
	return true;
}

int chunk_set(struct store *s, struct inode *i, struct chunk *c, unsigned first, unsigned count,
	      uint64_t page, uint64_t birth, uint8_t flags)
{
	struct run out[ZCF_CHUNK_PAGES + 2], gone[ZCF_CHUNK_PAGES];
	struct run add = { page, birth, (uint16_t)first, (uint16_t)count, flags };
	unsigned n = 0, ngone = 0, end = first + count;
	bool placed = flags == RUN_HOLE;
	int r;

	if (!placed && replace_run(s, i, c, &add))
		return 0;
	for (unsigned k = 0; k < c->count; k++) {
		const struct run *old = &c->runs[k];
		unsigned from = old->first, to = from + old->count;

		if (from < first)
			n = append(out, n, cut(old, from, MIN(to, first)));
		if (!placed && from >= first) {
			n = append(out, n, add);
			placed = true;
		}
		if (MAX(from, first) < MIN(to, end))
			gone[ngone++] = cut(old, MAX(from, first), MIN(to, end));
		if (!placed && to > first) {
			n = append(out, n, add);
			placed = true;
		}
		if (to > end)
			n = append(out, n, cut(old, MAX(from, end), to));
	}
	if (!placed)
		n = append(out, n, add);
	r = chunk_store(c, out, n);
	if (r < 0)
		return r;
	for (unsigned k = 0; k < ngone; k++)
		drop_run(s, i, &gone[k],
			 flags != RUN_HOLE && gone[k].page == page + (gone[k].first - first));
	if (flags != RUN_HOLE)
		i->now.pages += count;
	return 0;
}

int map_load(struct kv_txn *txn, uint64_t pages, uint64_t ino, uint64_t index, struct run *runs)
{
	uint8_t key[KEY_MAX];
	struct kv_val v;
	int r = kv_get(txn, ZCF_DB_MAP, key, key_map(key, ino, index), &v);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return rec_get_map(v, ino, index, pages, runs);
}

struct chunk *pending_chunk(const struct pending *p, uint64_t index)
{
	struct chunk find = { .index = index };

	return p ? RB_FIND(chunk_tree, (struct chunk_tree *)&p->chunks, &find) : NULL;
}

int chunk_read(struct store *s, struct inode *i, uint64_t index, struct run *runs)
{
	struct chunk *c = pending_chunk(i->pend, index);

	if (c) {
		if (c->count)
			memcpy(runs, c->runs, c->count * sizeof(*runs));
		return (int)c->count;
	}
	if (i->pend && index >= i->pend->cut)
		return 0;
	c = pending_chunk(i->cap, index);
	if (c) {
		for (unsigned n = 0; n < c->count; n++) {
			runs[n] = c->runs[n];
			runs[n].flags &= RUN_UNWRITTEN;
		}
		return (int)c->count;
	}
	if ((i->cap && index >= i->cap->cut) || !i->stored)
		return 0;
	return map_load(s->rtxn, s->pages, i->ino, index, runs);
}

int chunk_change(struct store *s, struct inode *i, uint64_t index, struct chunk **ret_chunk)
{
	struct run runs[ZCF_CHUNK_PAGES];
	struct chunk *c;
	int n = pending_get(i);

	if (n < 0)
		return n;
	*ret_chunk = pending_chunk(i->pend, index);
	if (*ret_chunk)
		return 0;
	n = chunk_read(s, i, index, runs);
	if (n < 0)
		return n;
	c = chunk_new(index);
	if (!c || chunk_store(c, runs, (unsigned)n) < 0) {
		chunk_free(c);
		return -ENOMEM;
	}
	if (s->checksum) {
		c->sums = malloc(ZCF_CHUNK_PAGES * sizeof(*c->sums));
		n = c->sums ? sums_read(s, i, index, c->sums) : -ENOMEM;
		if (n < 0) {
			chunk_free(c);
			return n;
		}
	}
	RB_INSERT(chunk_tree, &i->pend->chunks, c);
	*ret_chunk = c;
	return 0;
}

int chunk_find(struct store *s, struct inode *i, uint64_t n, struct run *ret_run)
{
	struct run buf[ZCF_CHUNK_PAGES], *runs = buf;
	unsigned at = (unsigned)(n % ZCF_CHUNK_PAGES), next = ZCF_CHUNK_PAGES;
	struct chunk *c = pending_chunk(i->pend, n / ZCF_CHUNK_PAGES);
	int count;

	if (c) {
		runs = c->runs;
		count = (int)c->count;
	} else {
		count = chunk_read(s, i, n / ZCF_CHUNK_PAGES, runs);
		if (count < 0)
			return count;
	}
	for (int k = 0; k < count; k++) {
		const struct run *run = &runs[k];

		if (run->first > at) {
			next = run->first;
			break;
		}
		if (at < (unsigned)run->first + run->count) {
			*ret_run = cut(run, at, (unsigned)run->first + run->count);
			return 1;
		}
	}
	*ret_run = (struct run){ .first = (uint16_t)at, .count = (uint16_t)(next - at) };
	return 0;
}

static uint64_t tree_next(const struct pending *p, uint64_t index)
{
	struct chunk find = { .index = index };
	struct chunk *c = p ? RB_NFIND(chunk_tree, (struct chunk_tree *)&p->chunks, &find) : NULL;

	return c ? c->index : UINT64_MAX;
}

uint64_t chunk_next(struct store *s, struct inode *i, uint64_t index)
{
	uint64_t next = MIN(tree_next(i->pend, index), tree_next(i->cap, index));
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint8_t key[KEY_MAX];

	if (!i->stored || kv_cursor_open(s->rtxn, ZCF_DB_MAP, &cursor) < 0)
		return next;
	if (kv_seek(cursor, key, key_map(key, i->ino, index), &k, &v) == 0 &&
	    k.size == sizeof(struct zcf_key_map) && memcmp(k.data, key, 8) == 0)
		next = MIN(next, zu_get_be64((const uint8_t *)k.data + 8));
	kv_cursor_close(cursor);
	return next;
}

int pending_get(struct inode *i)
{
	if (i->pend)
		return 0;
	i->pend = calloc(1, sizeof(*i->pend));
	if (!i->pend)
		return -ENOMEM;
	i->pend->cut = UINT64_MAX;
	return 0;
}

/* The piece of a run from page `p` on that ends where it, or the other one, begins or ends. */
static bool at_page(const struct run *run, unsigned p, unsigned *end)
{
	unsigned to = run ? run->first + run->count : 0;

	if (!run || to <= p)
		return false;
	*end = MIN(*end, run->first > p ? run->first : to);
	return run->first <= p;
}

/* chunk_merge() where both are cut into the same runs, as where single pages are changed at random. */
static bool merge_alike(struct store *s, const struct chunk *was, struct chunk *now, uint8_t flags)
{
	if (was->count != now->count)
		return false;
	for (unsigned k = 0; k < now->count; k++)
		if (was->runs[k].first != now->runs[k].first ||
		    was->runs[k].count != now->runs[k].count)
			return false;
	for (unsigned k = 0; k < now->count; k++) {
		const struct run *old = &was->runs[k];
		struct run *new = &now->runs[k];

		if (!(new->flags &flags) && new->page == old->page)
			new->flags |= old->flags &flags;
		else if (old->flags & flags)
			dispose(s, old);
	}
	return true;
}

/*
 * `now` goes on top of what the intent log has of a chunk, `was`. Pages that `now` keeps get their
 * flags back: for LMDB they are as new as before. The others are given up.
 */
static int chunk_merge(struct store *s, const struct chunk *was, struct chunk *now)
{
	struct run out[ZCF_CHUNK_PAGES], gone[ZCF_CHUNK_PAGES];
	const uint8_t flags = RUN_FRESH | RUN_SHARED;
	unsigned n = 0, ngone = 0, k = 0, w = 0, end;
	int r;

	if (merge_alike(s, was, now, flags))
		return 0;
	for (unsigned p = 0; p < ZCF_CHUNK_PAGES; p = end) {
		const struct run *new = k < now->count ? &now->runs[k] : NULL;
		const struct run *old = w < was->count ? &was->runs[w] : NULL;
		bool has_new, has_old, kept = false;

		end = ZCF_CHUNK_PAGES;
		has_new = at_page(new, p, &end);
		has_old = at_page(old, p, &end);
		if (has_new) {
			struct run one = cut(new, p, end);

			kept = has_old && !(one.flags & flags) && cut(old, p, end).page == one.page;
			if (kept)
				one.flags |= old->flags & flags;
			n = append(out, n, one);
		}
		if (has_old && !kept && (old->flags & flags))
			gone[ngone++] = cut(old, p, end);
		k += new &&new->first + new->count <= end;
		w += old && old->first + old->count <= end;
	}
	r = chunk_store(now, out, n);
	for (k = 0; k < ngone && r == 0; k++)
		dispose(s, &gone[k]);
	return r;
}

int pending_merge(struct store *s, struct inode *i)
{
	struct pending *p = i->pend, *cap = i->cap;
	struct chunk find = { .index = p->cut }, *c, *next, *was;
	int r;

	cap->cut = MIN(cap->cut, p->cut);
	for (c = RB_NFIND(chunk_tree, &cap->chunks, &find); c; c = next) {
		struct chunk nothing = { 0 };

		next = RB_NEXT(chunk_tree, &cap->chunks, c);
		if (pending_chunk(p, c->index))
			continue;
		chunk_merge(s, c, &nothing);
		RB_REMOVE(chunk_tree, &cap->chunks, c);
		chunk_free(c);
	}
	while ((c = RB_MIN(chunk_tree, &p->chunks))) {
		was = pending_chunk(cap, c->index);
		r = was ? chunk_merge(s, was, c) : 0;
		if (r < 0)
			return r;
		if (was) {
			RB_REMOVE(chunk_tree, &cap->chunks, was);
			chunk_free(was);
		}
		RB_REMOVE(chunk_tree, &p->chunks, c);
		RB_INSERT(chunk_tree, &cap->chunks, c);
	}
	free(p);
	i->pend = NULL;
	return 0;
}

static void pending_clear(struct store *s, struct pending *p, bool drop)
{
	struct chunk *c, *next;

	for (c = RB_MIN(chunk_tree, &p->chunks); c; c = next) {
		next = RB_NEXT(chunk_tree, &p->chunks, c);
		for (unsigned n = 0; drop && n < c->count; n++)
			dispose(s, &c->runs[n]);
		RB_REMOVE(chunk_tree, &p->chunks, c);
		chunk_free(c);
	}
	free(p);
}

void pending_drop(struct store *s, struct pending *p)
{
	pending_clear(s, p, true);
}

void pending_free(struct pending *p)
{
	pending_clear(NULL, p, false);
}
