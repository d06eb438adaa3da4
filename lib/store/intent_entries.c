/* SPDX-License-Identifier: MIT */
/*
 * What a commit says in the intent log. It may go there if it is small and says nothing of names,
 * shared pages, allocation or pages that were written elsewhere already; all else goes to LMDB.
 */
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"

#define FILES_MOST 256u
#define CHUNKS_MOST 128u
/* The most that one chunk takes: spans of pages and holes take turns. */
#define CHUNK_ENTRY \
	(sizeof(struct zcf_log_chunk) + (ZCF_CHUNK_PAGES + 1) * sizeof(struct zcf_log_span) + 8)

_Static_assert(sizeof(struct zcf_log_record) + FILES_MOST * sizeof(struct zcf_log_file) +
			       CHUNKS_MOST * CHUNK_ENTRY <=
		       INTENT_ENTRIES,
	       "entries fit");

struct sizes {
	uint64_t files, chunks, pages;
};

static bool run_suits(struct store *s, const struct run *run, struct sizes *n)
{
	uint64_t end = run->page + run->count, buffers = 0;

	if (run->flags & RUN_SHARED)
		return false;
	if (run->flags & RUN_UNWRITTEN)
		return !(run->flags & RUN_FRESH);
	for (struct buffer *b = buffer_from(s, run->page, end); b && b->page < end;
	     b = RB_NEXT(buffer_tree, &s->buffers, b)) {
		buffers++;
		n->pages += !b->logged;
	}
	/* New pages without a buffer were allocated only, or written to the page file. */
	return !(run->flags & (RUN_FRESH | RUN_FILLED)) || buffers == run->count;
}

static bool data_suits(struct store *s, const struct pending *p, struct sizes *n)
{
	struct chunk *c;

	if (!p)
		return true;
	RB_FOREACH(c, chunk_tree, (struct chunk_tree *)&p->chunks) {
		if (++n->chunks > CHUNKS_MOST)
			return false;
		for (unsigned k = 0; k < c->count; k++)
			if (!run_suits(s, &c->runs[k], n))
				return false;
	}
	return true;
}

static bool inode_suits(const struct inode *i)
{
	return i->stored && !i->dead && !i->capture && (i->nlink == 0) == i->orphan;
}

bool intent_suits(struct store *s)
{
	struct sizes n = { 0 };

	if (!intent_fits(s, 0, 0) || s->active->count || atomic_load(&s->meta_low) ||
	    s->pages != s->super.pages || s->ndirty > FILES_MOST)
		return false;
	for (struct inode *i = s->dirty; i; i = i->dirty_next, n.files++)
		if (!inode_suits(i))
			return false;
	for (struct commit_request *q = s->queue; q; q = q->next) {
		if (q->flags)
			return false;
		for (size_t k = 0; k < q->count; k++) {
			struct inode *i = inode_cached(s, q->inos[k]);

			if (!i || !i->data_dirty)
				continue;
			if (!inode_suits(i) || ++n.files > FILES_MOST ||
			    !data_suits(s, i->pend, &n))
				return false;
		}
	}
	return intent_fits(s, n.pages,
			   sizeof(struct zcf_log_record) + n.files * sizeof(struct zcf_log_file) +
				   n.chunks * CHUNK_ENTRY);
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

		if (run->flags & RUN_UNWRITTEN) /* its buffer, if it has one, is a clone's */
			continue;
		for (struct buffer *b = buffer_from(s, run->page, stop); b && b->page < stop;
		     b = RB_NEXT(buffer_tree, &s->buffers, b)) {
			unsigned p = run->first + (unsigned)(b->page - run->page);
			int r;

			if (b->logged)
				continue;
			r = buffer_collect(s, b->page, 1, &c->buffers, &c->nbuffers,
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

static int put_chunk(struct store *s, struct commit *c, const struct chunk *k, uint8_t **at)
{
	struct zcf_log_chunk *head = (struct zcf_log_chunk *)*at;
	unsigned holes, spans = 0;
	int r;

	memset(head, 0, sizeof(*head));
	*at = put_holes(*at + sizeof(*head), k, &holes);
	r = put_pages(s, c, k, at, &spans);
	zu_put_le64(head->index, k->index);
	zu_put_le16(head->holes, (uint16_t)holes);
	zu_put_le16(head->spans, (uint16_t)spans);
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
