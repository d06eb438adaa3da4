/* SPDX-License-Identifier: MIT */
/*
 * put.c - one image into the store. Few pages go there like small writes: the commit that follows has
 * their bytes in its one write to the intent log. Many are written ahead, as one run, directly from the
 * image's memory; while that goes on, nothing waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "live/live_i.h"
#include "util/cleanup.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
/* Up to so many pages are few: to have them copied into the log costs less than another flush; with
 * checksums, which the log has no place for, less than a commit into the metadata. */
#define FEW 24u
#define FEW_SUMMED 512u
/* They are written in pieces of so many bytes. */
#define PIECE (128u << 10)
/* Runs of dirty pages longer than this may have holes. */
#define NO_HOLES 16u

static uint64_t limit_of(const struct taken *t)
{
	return (t->snap.size + PAGE - 1) / PAGE;
}

void put_count(struct taken *t)
{
	uint64_t from = 0, end;

	t->pages = 0;
	for (; bitmap_run(t->image->dirty, &from, limit_of(t), &end); from = end)
		t->pages += end - from;
	t->many = t->pages > (store_has_checksums(t->image->live->opt.store) ? FEW_SUMMED : FEW);
}

void put_end(struct taken *t)
{
	free(t->holes);
	free(t->tail);
	t->holes = NULL;
	t->tail = NULL;
	t->nholes = t->room = 0;
}

/* ---- its bytes, page by page --------------------------------------------------------------- */

/* Bytes [from, end), whole pages but for the file's last one. */
typedef int bytes_fn(struct taken *t, uint64_t from, uint64_t end, void *arg);
typedef int hole_fn(struct taken *t, uint64_t from, uint64_t end);

static int each_piece(struct taken *t, uint64_t from, uint64_t end, bytes_fn *bytes, hole_fn *hole,
		      void *arg)
{
	uint64_t at = from, stop;
	int r = 0;

	if (end - from <= NO_HOLES * PAGE)
		return bytes(t, from, end, arg);
	for (; r == 0 && from < end; from = stop) {
		at = from;
		if (!image_data(t->image, &at, end, &stop))
			at = stop = end;
		if (at > from)
			r = hole(t, from, at);
		if (r == 0 && at < stop)
			r = bytes(t, at, stop, arg);
	}
	return r;
}

static int each_run(struct taken *t, bytes_fn *bytes, hole_fn *hole, void *arg)
{
	uint64_t from = 0, end;
	int r = 0;

	for (; r == 0 && bitmap_run(t->image->dirty, &from, limit_of(t), &end); from = end)
		r = each_piece(t, from * PAGE, MIN(end * PAGE, t->snap.size), bytes, hole, arg);
	return r;
}

/* ---- ahead --------------------------------------------------------------------------------- */

static int note_hole(struct taken *t, uint64_t from, uint64_t end)
{
	if (t->nholes == t->room) {
		size_t room = t->room ? t->room * 2 : 16;
		struct hole *p = reallocarray(t->holes, room, sizeof(*p));

		if (!p)
			return -ENOMEM;
		t->holes = p;
		t->room = room;
	}
	t->holes[t->nholes++] = (struct hole){ from, end };
	return 0;
}

static int read_pages(const struct image *image, uint8_t *buf, uint64_t from, uint64_t end)
{
	ssize_t n = image_pread(image, buf, end - from, from);

	if (n != (ssize_t)(end - from))
		return n < 0 ? (int)n : -EIO;
	if (end % PAGE) /* what clients have stored behind the end is not the file's */
		memset(buf + (end - from), 0, PAGE - end % PAGE);
	return 0;
}

static int add_pages(struct taken *t, uint64_t from, uint64_t end, const uint8_t *bytes,
		     struct store_ahead *ahead)
{
	int r = 0;

	for (; from < end && r == 0; from += PAGE, bytes += PAGE)
		r = store_ahead_add(ahead, t->image->ino, from / PAGE, bytes);
	return r;
}

static int add_mapped(struct taken *t, uint64_t from, uint64_t end, void *arg)
{
	uint64_t whole = end & ~(uint64_t)(PAGE - 1);
	int r = add_pages(t, from, whole, t->image->map + from, arg);

	if (r < 0 || whole == end)
		return r;
	if (!t->tail)
		t->tail = aligned_alloc(PAGE, PAGE);
	r = t->tail ? read_pages(t->image, t->tail, whole, end) : -ENOMEM;
	return r < 0 ? r : add_pages(t, whole, end, t->tail, arg);
}

static int add_copied(struct taken *t, uint64_t from, uint64_t end, void *arg)
{
	zu_cleanup_free uint8_t *buf = aligned_alloc(PAGE, BLOCK);
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && from < end) {
		uint64_t stop = MIN(end, from + BLOCK);

		r = read_pages(t->image, buf, from, stop);
		if (r == 0)
			r = add_pages(t, from, stop, buf, arg);
		if (r == 0)
			r = store_ahead_write(arg);
		from = stop;
	}
	return r;
}

int put_ahead(struct taken *t, struct store_ahead *ahead)
{
	const struct image *image = t->image;
	/* Bytes that are added up are looked at: a page that can't be had would be a signal. */
	bool copy = !image->map || store_has_checksums(image->live->opt.store);

	return t->many ? each_run(t, copy ? add_copied : add_mapped, note_hole, ahead) : 0;
}

/* ---- in the hold --------------------------------------------------------------------------- */

static int set_size(struct image *image, uint64_t size)
{
	struct store_attr attr = { .size = size };

	return store_setattr(image->live->opt.store, image->ino, STORE_SET_SIZE, &attr, &attr);
}

static int write_bytes(struct taken *t, uint64_t from, uint64_t end, void *arg)
{
	uint8_t *buf = arg;

	while (from < end) {
		uint64_t n = MIN(end - from, PIECE);
		struct store_source source = { .buf = buf, .pipe_fd = -1 };
		ssize_t r = image_pread(t->image, buf, n, from);

		if (r == (ssize_t)n)
			r = store_write(t->image->live->opt.store, t->image->ino, from, n, &source,
					0);
		else if (r >= 0)
			r = -EIO;
		if (r < 0)
			return (int)r;
		from += n;
	}
	return 0;
}

/* Dirty pages without memory are zeros: nothing to write, but what the store may have there goes. */
static int punch(struct taken *t, uint64_t from, uint64_t end)
{
	struct store *store = t->image->live->opt.store;
	uint64_t at;
	int r = store_seek(store, t->image->ino, from, SEEK_DATA, &at);

	if (r == -ENXIO || (r == 0 && at >= end))
		return 0;
	return store_fallocate(store, t->image->ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       from, end - from);
}

static int place(struct taken *t, struct store_ahead *ahead)
{
	int r = 0;

	for (size_t i = 0; i < t->nholes && r == 0; i++)
		r = punch(t, t->holes[i].from, t->holes[i].end);
	return r < 0 ? r : store_ahead_place(ahead, t->image->ino, 0);
}

static int write_few(struct taken *t)
{
	zu_cleanup_free uint8_t *buf = malloc(PIECE);

	return buf ? each_run(t, write_bytes, punch, buf) : -ENOMEM;
}

int put_place(struct taken *t, struct store_ahead *ahead)
{
	struct image *image = t->image;
	struct store_attr attr;
	int r = store_getattr(image->live->opt.store, image->ino, &attr);

	if (r == 0 && t->snap.cut < attr.size) {
		r = set_size(image, t->snap.cut);
		attr.size = t->snap.cut;
	}
	if (r == 0)
		r = t->many ? place(t, ahead) : write_few(t);
	/* (store_write() may have made it as long already.) */
	if (r == 0 && t->snap.size != attr.size)
		r = set_size(image, t->snap.size);
	return r;
}
