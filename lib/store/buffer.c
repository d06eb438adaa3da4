/* SPDX-License-Identifier: MIT */
/*
 * Pages that have a place in the page file and are not yet written there: small writes are kept in
 * memory until a commit (or the limit) puts them down in the order of their places, which is the
 * order in which they were allocated: what is random in a file is sequential on the device.
 *
 * A buffer is found by its store page. While somebody writes it, it is `busy`: readers may read
 * it, nobody changes it; who wants to, takes a new page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/cleanup.h"

/* Pages that are written down at once. */
#define BATCH 512u
/* Buffers that are kept for later: what the allocator gives back to the kernel has to be filled with zeros
 * again, page by page, in the middle of a write. */
#define SPARE_MOST 4096u

static int buffer_compare(struct buffer *a, struct buffer *b)
{
	return (a->page > b->page) - (a->page < b->page);
}
RB_GENERATE(buffer_tree, buffer, node, buffer_compare)

struct buffer *buffer_find(struct store *s, uint64_t page)
{
	struct buffer find = { .page = page };

	return s->nbuffers ? RB_FIND(buffer_tree, &s->buffers, &find) : NULL;
}

struct buffer *buffer_from(struct store *s, uint64_t page, uint64_t end)
{
	struct buffer find = { .page = page };
	struct buffer *b = s->nbuffers ? RB_NFIND(buffer_tree, &s->buffers, &find) : NULL;

	return b && b->page < end ? b : NULL;
}

static struct buffer *buffer_new(void)
{
	struct buffer *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->data = aligned_alloc(PAGE, PAGE);
	if (!b->data) {
		free(b);
		return NULL;
	}
	return b;
}

static void buffer_free(struct buffer *b)
{
	free(b->data);
	free(b);
}

struct buffer *buffer_add(struct store *s, uint64_t page)
{
	struct buffer *b = s->spare;

	if (b) {
		s->spare = b->next;
		s->nspare--;
		*b = (struct buffer){ .data = b->data };
	} else {
		b = buffer_new();
	}
	if (!b)
		return NULL;
	b->page = page;
	RB_INSERT(buffer_tree, &s->buffers, b);
	s->nbuffers++;
	return b;
}

static void buffer_remove(struct store *s, struct buffer *b)
{
	RB_REMOVE(buffer_tree, &s->buffers, b);
	s->nbuffers--;
	if (s->nspare == SPARE_MOST) {
		buffer_free(b);
		return;
	}
	b->next = s->spare;
	s->spare = b;
	s->nspare++;
}

bool buffer_drop(struct store *s, uint64_t page)
{
	struct buffer *b = buffer_find(s, page);

	if (!b)
		return true;
	if (b->busy) {
		b->dead = true;
		return false;
	}
	buffer_remove(s, b);
	return true;
}

void buffer_release(struct store *s, uint64_t page, uint64_t count)
{
	uint64_t end = page + count;

	while (page < end) {
		struct buffer *b = buffer_from(s, page, end);
		uint64_t stop = b ? b->page : end;

		if (stop > page)
			alloc_release(s, page, stop - page);
		page = stop;
		if (b) {
			if (buffer_drop(s, page))
				alloc_release(s, page, 1);
			page++;
		}
	}
}

void buffer_forget(struct store *s, uint64_t page, uint64_t count)
{
	struct buffer *b = buffer_from(s, page, page + count), *next;

	for (; b && b->page < page + count; b = next) {
		next = RB_NEXT(buffer_tree, &s->buffers, b);
		if (!b->busy && !b->logged)
			buffer_remove(s, b);
	}
}

static int list_add(struct buffer ***list, size_t *n, size_t *room, struct buffer *b)
{
	if (*n == *room) {
		size_t more = *room ? *room * 2 : 64;
		struct buffer **p = realloc(*list, more * sizeof(struct buffer *));

		if (!p)
			return -ENOMEM;
		*list = p;
		*room = more;
	}
	(*list)[(*n)++] = b;
	return 0;
}

int buffer_collect(struct store *s, uint64_t page, uint64_t count, bool logged,
		   struct buffer ***list, size_t *n, size_t *room)
{
	struct buffer *b = buffer_from(s, page, page + count);

	while (b && b->page < page + count) {
		if (!b->busy && (logged || !b->logged)) {
			int r = list_add(list, n, room, b);

			if (r < 0)
				return r;
			b->busy = true;
		}
		b = RB_NEXT(buffer_tree, &s->buffers, b);
	}
	return 0;
}

void buffer_free_all(struct store *s)
{
	struct buffer *b;

	while ((b = RB_MIN(buffer_tree, &s->buffers)))
		buffer_remove(s, b);
	while ((b = s->spare)) {
		s->spare = b->next;
		buffer_free(b);
	}
	s->nspare = 0;
}

static int by_page(const void *a, const void *b)
{
	const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;

	return (x->page > y->page) - (x->page < y->page);
}

/* Up to BATCH pages, in runs of adjacent ones. */
static int write_batch(struct store *s, struct buffer **list, size_t n)
{
	struct iovec iov[BATCH];
	struct put puts[BATCH];
	size_t runs = 0;

	for (size_t i = 0; i < n; i++) {
		struct put *p = &puts[runs ? runs - 1 : 0];

		iov[i] = (struct iovec){ list[i]->data, PAGE };
		if (runs && p->page + p->count == list[i]->page && p->count < PUT_PAGES)
			p->count++;
		else
			puts[runs++] = (struct put){ list[i]->page, 1, &iov[i] };
	}
	return pagefile_put(s, puts, runs);
}

int buffer_write(struct store *s, struct buffer **list, size_t n)
{
	int r = 0;

	if (!n)
		return 0;
	qsort(list, n, sizeof(*list), by_page);
	for (size_t i = 0; i < n && r == 0; i += BATCH)
		r = write_batch(s, list + i, MIN(n - i, BATCH));
	tally_path(s, STORE_FLUSH_BUFFER, n * PAGE);
	return r;
}

void buffer_done(struct store *s, struct buffer **list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct buffer *b = list[i];
		uint64_t page = b->page;
		bool dead = b->dead;

		/* After a failure the bytes are nowhere else. */
		b->busy = false;
		if (s->failed && !dead)
			continue;
		buffer_remove(s, b);
		if (dead)
			alloc_release(s, page, 1);
	}
}

void buffer_logged(struct store *s, struct buffer **list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		list[i]->busy = false;
		list[i]->logged = true;
		if (list[i]->dead) {
			uint64_t page = list[i]->page;

			buffer_remove(s, list[i]);
			alloc_release(s, page, 1);
		}
	}
}

int buffer_flush(struct store *s, bool logged)
{
	zu_cleanup_free struct buffer **list = NULL;
	size_t n = 0, room = 0;
	int r;

	while (s->flushing)
		pthread_cond_wait(&s->finished, &s->lock);
	r = buffer_collect(s, 0, UINT64_MAX, logged, &list, &n, &room);
	if (!n) {
		/* A commit has all of them: let it go ahead before there are too many. */
		while (s->committing && s->nbuffers * PAGE >= 4 * BUFFER_LIMIT)
			pthread_cond_wait(&s->finished, &s->lock);
		return r;
	}
	s->flushing = true;
	store_unlock(s);
	r = buffer_write(s, list, n);
	store_lock(s);
	if (r < 0)
		store_fail(s, r, "cannot write to the page file");
	buffer_done(s, list, n);
	s->flushing = false;
	pthread_cond_broadcast(&s->finished);
	return r;
}
