/* SPDX-License-Identifier: MIT */
/*
 * What a commit says in the intent log. It may go there if it is small and says nothing of names,
 * shared pages or allocation; all else goes to LMDB.
 */
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"

#define FILES_MOST 256u
/* What a chunk takes beside its spans and places. */
#define CHUNK_ENTRY (sizeof(struct zcf_log_chunk) + 8)

/* So many pages are written into the page file rather than here and there. */
#define PAGES_MANY 128u

struct sizes {
	uint64_t files, entries /* bytes */, pages, placed;
	bool filled; /* some of these pages have no place that the log could name */
};

static bool run_suits(struct store *s, const struct run *run, struct sizes *n)
{
	uint64_t end = run->page + run->count, buffers = 0;

	if (run->flags & RUN_SHARED)
		return false;
	if (run->flags & RUN_UNWRITTEN)
		return !(run->flags & RUN_FRESH);
	if (!(run->flags & (RUN_FRESH | RUN_FILLED)))
		return true;
	for (struct buffer *b = buffer_from(s, run->page, end); b && b->page < end;
	     b = RB_NEXT(buffer_tree, &s->buffers, b)) {
		buffers++;
		n->pages += !b->logged;
	}
	n->entries += buffers * sizeof(struct zcf_log_span);
	n->filled |= buffers && (run->flags & RUN_FILLED);
	if (buffers == run->count)
		return true;
	/* The others are in the page file. The log has no word for unwritten pages that were written in
	 * their place, and no checksums. */
	if ((run->flags & RUN_FILLED) || s->checksum)
		return false;
	n->placed += run->count - buffers;
	n->entries += (buffers + 1) * sizeof(struct zcf_log_place);
	return true;
}

static bool data_suits(struct store *s, const struct pending *p, struct sizes *n)
{
	struct chunk *c;

	if (!p)
		return true;
	RB_FOREACH(c, chunk_tree, (struct chunk_tree *)&p->chunks) {
		unsigned end = 0;

		n->entries += CHUNK_ENTRY + sizeof(struct zcf_log_span); /* of the last hole */
		for (unsigned k = 0; k < c->count; k++) {
			if (!run_suits(s, &c->runs[k], n))
				return false;
			if (c->runs[k].first != end)
				n->entries += sizeof(struct zcf_log_span);
			end = c->runs[k].first + c->runs[k].count;
		}
	}
	return true;
}

static bool inode_suits(const struct inode *i)
{
	return i->stored && !i->dead && !i->capture && (i->nlink == 0) == i->orphan;
}

/* With bytes for as many pages, or their places. */
static enum intent_way way_of(struct store *s, const struct sizes *n)
{
	bool can_place = !n->filled && !s->checksum;
	uint64_t places = n->entries + n->pages * sizeof(struct zcf_log_place);

	if (n->pages >= PAGES_MANY && can_place && intent_fits(s, 0, places, n->placed + n->pages))
		return INTENT_WAY_FLUSH;
	if (!intent_fits(s, n->pages, n->entries, n->placed))
		return INTENT_WAY_LMDB;
	return n->placed ? INTENT_WAY_SYNC : INTENT_WAY_LOG;
}

enum intent_way intent_suits(struct store *s)
{
	struct sizes n = { 0 };

	if (!intent_fits(s, 0, 0, 0) || s->active->count || atomic_load(&s->meta_low) ||
	    s->pages != s->super.pages || s->ndirty > FILES_MOST)
		return INTENT_WAY_LMDB;
	for (struct inode *i = s->dirty; i; i = i->dirty_next, n.files++)
		if (!inode_suits(i))
			return INTENT_WAY_LMDB;
	for (struct commit_request *q = s->queue; q; q = q->next) {
		if (q->flags)
			return INTENT_WAY_LMDB;
		for (size_t k = 0; k < q->count; k++) {
			struct inode *i = inode_cached(s, q->inos[k]);

			if (!i || !i->data_dirty)
				continue;
			if (!inode_suits(i) || ++n.files > FILES_MOST ||
			    !data_suits(s, i->pend, &n))
				return INTENT_WAY_LMDB;
		}
	}
	n.entries += sizeof(struct zcf_log_record) + n.files * sizeof(struct zcf_log_file);
	return way_of(s, &n);
}

static uint8_t *put_span(uint8_t *at, unsigned first, unsigned end)
{
	struct zcf_log_span *span = (struct zcf_log_span *)at;

	zu_put_le16(span->first, (uint16_t)first);
	zu_put_le16(span->count, (uint16_t)(end - first));
	return at + sizeof(*span);
}

static uint8_t *put_holes(uint8_t *at, const struct chunk *c, unsigned *ret_count)
{
	unsigned from = 0, n = 0;

	for (unsigned k = 0; k <= c->count; k++) {
		unsigned to = k < c->count ? c->runs[k].first : ZCF_CHUNK_PAGES;

		if (to > from) {
			at = put_span(at, from, to);
			n++;
		}
		if (k < c->count)
			from = to + c->runs[k].count;
	}
	*ret_count = n;
	return at;
}

/* Pages that the log does not have yet: their spans here, their bytes into the iov, their buffers
 * into c->buffers. */
static int put_pages(struct store *s, struct commit *c, const struct chunk *k, uint8_t **at,
		     unsigned *ret_count)
{
	unsigned first = 0, end = 0, n = 0;

	for (unsigned j = 0; j < k->count; j++) {
		const struct run *run = &k->runs[j];
		uint64_t stop = run->page + run->count;

		/* (The buffer of an unwritten page, if it has one, is a clone's.) */
		if ((run->flags & RUN_UNWRITTEN) || !(run->flags & (RUN_FRESH | RUN_FILLED)))
			continue;
		for (struct buffer *b = buffer_from(s, run->page, stop); b && b->page < stop;
		     b = RB_NEXT(buffer_tree, &s->buffers, b)) {
			unsigned p = run->first + (unsigned)(b->page - run->page);
			int r;

			if (b->logged)
				continue;
			r = buffer_collect(s, b->page, 1, true, &c->buffers, &c->nbuffers,
					   &c->buffers_room);
			if (r < 0)
				return r;
			s->intent.iov[s->intent.niov++] = (struct iovec){ b->data, PAGE };
			if (p != end || !n) {
				if (n)
					*at = put_span(*at, first, end);
				first = p;
				n++;
			}
			end = p + 1;
		}
	}
	if (n)
		*at = put_span(*at, first, end);
	*ret_count = n;
	return 0;
}

static int put_place(struct store *s, struct commit *c, const struct run *run, uint64_t page,
		     uint64_t end, uint8_t **at)
{
	struct zcf_log_place *place = (struct zcf_log_place *)*at;

	zu_put_le16(place->first, (uint16_t)(run->first + (page - run->page)));
	zu_put_le16(place->count, (uint16_t)(end - page));
	zu_put_le64(place->page, page);
	*at += sizeof(*place);
	c->placed += end - page;
	return alloc_place(s, page, end - page);
}

/* New pages that have no buffer are in the page file. */
static int put_places(struct store *s, struct commit *c, const struct chunk *k, uint8_t **at,
		      unsigned *ret_count)
{
	unsigned n = 0;
	int r = 0;

	for (unsigned j = 0; j < k->count; j++) {
		const struct run *run = &k->runs[j];
		uint64_t page = run->page, end = page + run->count;

		if ((run->flags & (RUN_UNWRITTEN | RUN_FRESH)) != RUN_FRESH)
			continue;
		while (page < end && r == 0) {
			const struct buffer *b = buffer_from(s, page, end);
			uint64_t stop = b ? b->page : end;

			if (stop > page) {
				r = put_place(s, c, run, page, stop, at);
				n++;
			}
			page = stop + 1;
		}
	}
	*ret_count = n;
	return r;
}

static int put_chunk(struct store *s, struct commit *c, const struct chunk *k, uint8_t **at)
{
	struct zcf_log_chunk *head = (struct zcf_log_chunk *)*at;
	unsigned holes, spans = 0, places = 0;
	int r;

	memset(head, 0, sizeof(*head));
	*at = put_holes(*at + sizeof(*head), k, &holes);
	r = put_pages(s, c, k, at, &spans);
	if (r == 0)
		r = put_places(s, c, k, at, &places);
	zu_put_le64(head->index, k->index);
	zu_put_le16(head->holes, (uint16_t)holes);
	zu_put_le16(head->spans, (uint16_t)spans);
	zu_put_le16(head->places, (uint16_t)places);
	while ((*at - s->intent.entries) % 8)
		*(*at)++ = 0;
	return r;
}

static int put_file(struct store *s, struct commit *c, const struct frozen_inode *f, uint8_t **at)
{
	struct zcf_log_file *head = (struct zcf_log_file *)*at;
	const struct pending *p = f->cap;
	uint32_t chunks = 0;
	struct chunk *k;
	int r = 0;

	memset(head, 0, sizeof(*head));
	zu_put_le64(head->ino, f->inode->ino);
	zu_put_le64(head->cut, p ? p->cut : UINT64_MAX);
	rec_put_inode(&head->inode, &f->rec, f->inode->ino, s->super.commit);
	*at += sizeof(*head);
	if (p)
		RB_FOREACH(k, chunk_tree, (struct chunk_tree *)&p->chunks) {
			if (r == 0)
				r = put_chunk(s, c, k, at);
			chunks++;
		}
	zu_put_le32(head->chunks, chunks);
	return r;
}

int intent_entries(struct store *s, struct commit *c, size_t *ret_length)
{
	uint8_t *at = s->intent.entries + sizeof(struct zcf_log_record);
	int r = 0;

	s->intent.niov = 1; /* the entries themselves */
	for (size_t n = 0; n < c->count && r == 0; n++)
		r = put_file(s, c, &c->inodes[n], &at);
	*ret_length = (size_t)(at - s->intent.entries);
	return r;
}
