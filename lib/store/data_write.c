/* SPDX-License-Identifier: MIT */
/*
 * Writes. Small ones go into buffers (see buffer.c); the whole pages of large ones are written to
 * the page file at once, without the lock, and get their place in the file only when they are
 * there: a commit meanwhile takes the file as it was before.
 *
 * The last page of a file holds zeros behind its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/checked.h"
#include "util/cleanup.h"
#include "util/fdio.h"

/* Writes up to this many bytes are buffered. */
#define SMALL_WRITE (64u << 10)
/* Pages that are written at once. */
#define RUN_MOST 1024u

void data_modified(struct store *s, struct inode *i, bool keep_times)
{
	if (!keep_times)
		i->now.mtime = i->now.ctime = store_now();
	inode_data_dirty(s, i);
}

/* The buffer of page `n` of the file, to be changed: the one it has, if it may be rewritten in
 * place, else one of a new page. 1: what it holds is undefined; 0: it holds the page. The lock may
 * be given up; -EAGAIN then. */
static int page_buffer(struct store *s, struct inode *i, uint64_t n, struct buffer **ret_buffer,
		       struct run *ret_old)
{
	uint64_t page, serial = s->commit_serial;
	struct chunk *c;
	struct run run;
	int r = chunk_find(s, i, n, &run);

	if (r < 0)
		return r;
	if (r && (run.flags & RUN_FRESH) && !(run.flags & RUN_UNWRITTEN)) {
		*ret_buffer = buffer_find(s, run.page);
		if (*ret_buffer && !(*ret_buffer)->busy)
			return 0;
	}
	if (r && (run.flags & RUN_UNWRITTEN) && !buffer_find(s, run.page) &&
	    !pin_named_elsewhere(s, run.page)) {
		page = run.page; /* nobody reads it: it is written in its place */
	} else {
		r = alloc_one(s, i->hint, &page);
		if (r < 0)
			return r;
		i->hint = page + 1;
		if (s->commit_serial != serial) { /* it gave up the lock */
			alloc_release(s, page, 1);
			return -EAGAIN;
		}
	}
	if (!r)
		run = (struct run){ .page = UINT64_MAX };
	*ret_old = run;
	r = chunk_change(s, i, n / ZCF_CHUNK_PAGES, &c);
	*ret_buffer = r < 0 ? NULL : buffer_add(s, page);
	if (!*ret_buffer) {
		if (page != run.page)
			alloc_release(s, page, 1);
		return r < 0 ? r : -ENOMEM;
	}
	return 1;
}

/* Put the page of a buffer that page_buffer() made into the file. */
static int page_place(struct store *s, struct inode *i, uint64_t n, struct buffer *b,
		      const struct run *old)
{
	bool same = old->count && old->page == b->page;
	uint8_t flags = same && !(old->flags & RUN_FRESH) ? RUN_FILLED : RUN_FRESH;
	struct chunk *c;
	int r = chunk_change(s, i, n / ZCF_CHUNK_PAGES, &c);

	if (r == 0)
		r = chunk_set(s, i, c, (unsigned)(n % ZCF_CHUNK_PAGES), 1, b->page, BIRTH_PENDING,
			      flags);
	return r;
}

/* What page `n` holds now, into `buf`. The lock is given up while it is read from disk; -EAGAIN:
 * the file changed meanwhile. */
static int page_load(struct store *s, struct inode *i, uint64_t n, uint8_t *buf)
{
	struct run run, again;
	struct buffer *b;
	unsigned epoch;
	uint32_t sum;
	int r = chunk_find(s, i, n, &run);

	if (r < 0)
		return r;
	if (r == 0 || (run.flags & RUN_UNWRITTEN)) {
		memset(buf, 0, PAGE);
		return 0;
	}
	b = buffer_find(s, run.page);
	if (b) {
		memcpy(buf, b->data, PAGE);
		return 0;
	}
	epoch = s->epoch & 1;
	s->readers[epoch]++;
	store_unlock(s);
	r = pagefile_read(s, run.page, buf, PAGE);
	store_lock(s);
	s->readers[epoch]--;
	if (r < 0)
		return r;
	r = chunk_find(s, i, n, &again);
	if (r < 0)
		return r;
	if (!r || again.page != run.page || (again.flags & RUN_UNWRITTEN) ||
	    buffer_find(s, run.page))
		return -EAGAIN;
	if (!s->checksum)
		return 0;
	r = sum_find(s, i, n, &sum);
	return r == 0 && sum != sum_page(buf) ? -EIO : r;
}

static int page_change_once(struct store *s, struct inode *i, uint64_t n, unsigned off,
			    unsigned len, const void *src)
{
	_Alignas(64) uint8_t old[PAGE];
	struct buffer *b;
	struct run run;
	int r;

	if (len < PAGE) {
		r = page_load(s, i, n, old);
		if (r < 0)
			return r;
	}
	r = page_buffer(s, i, n, &b, &run);
	if (r < 0)
		return r;
	if (r) {
		if (len < PAGE)
			memcpy(b->data, old, PAGE);
		r = page_place(s, i, n, b, &run);
		if (r < 0) {
			uint64_t page = b->page;

			if (buffer_drop(s, page) && !(run.count && run.page == page))
				alloc_release(s, page, 1);
			return r;
		}
	}
	if (src)
		memcpy(b->data + off, src, len);
	else
		memset(b->data + off, 0, len);
	if (s->checksum) {
		uint32_t sum = sum_page(b->data);

		sum_set(s, i, n, 1, &sum);
	}
	return 0;
}

int page_change(struct store *s, struct inode *i, uint64_t n, unsigned off, unsigned len,
		const void *src)
{
	struct run run;
	int r;

	if (!src) {
		r = chunk_find(s, i, n, &run);
		if (r <= 0 || (run.flags & RUN_UNWRITTEN))
			return r < 0 ? r : 0;
	}
	do {
		r = page_change_once(s, i, n, off, len, src);
	} while (r == -EAGAIN);
	return r;
}

int pages_punch(struct store *s, struct inode *i, uint64_t first, uint64_t end)
{
	while (first < end) {
		uint64_t index = first / ZCF_CHUNK_PAGES, base = index * ZCF_CHUNK_PAGES;
		uint64_t stop = MIN(end, base + ZCF_CHUNK_PAGES);
		struct chunk *c;
		struct run run;
		int r = chunk_find(s, i, first, &run);

		if (r == 0 && run.count >= stop - first) { /* nothing there */
			first = stop;
			continue;
		}
		if (r >= 0)
			r = chunk_change(s, i, index, &c);
		if (r == 0)
			r = chunk_set(s, i, c, (unsigned)(first - base), (unsigned)(stop - first),
				      0, 0, RUN_HOLE);
		if (r < 0)
			return r;
		first = stop;
	}
	return 0;
}

/* Is chunk `index` as the commit in flight, or the last one, has it? */
static bool hidden_by(const struct pending *p, uint64_t index)
{
	return p && (index >= p->cut || pending_chunk(p, index));
}

/* Pages in chunks from `first` on that are not in i->pend. */
static int count_pages(struct store *s, struct inode *i, uint64_t first, uint64_t *ret_pages)
{
	struct run runs[ZCF_CHUNK_PAGES];
	uint64_t pages = 0;

	for (uint64_t n = first; (n = chunk_next(s, i, n)) != UINT64_MAX; n++) {
		int k;

		if (hidden_by(i->pend, n))
			continue;
		k = chunk_read(s, i, n, runs);
		if (k < 0)
			return k;
		while (k--)
			pages += runs[k].count;
	}
	*ret_pages = pages;
	return 0;
}

/* Forget all chunks from `first` on. */
static int cut_chunks(struct store *s, struct inode *i, uint64_t first)
{
	struct chunk *c, *next, find = { .index = first };
	uint64_t gone = 0;
	int r = count_pages(s, i, first, &gone);

	if (r == 0)
		r = pending_get(i);
	if (r < 0)
		return r;
	for (c = RB_NFIND(chunk_tree, &i->pend->chunks, &find); c; c = next) {
		next = RB_NEXT(chunk_tree, &i->pend->chunks, c);
		r = chunk_set(s, i, c, 0, ZCF_CHUNK_PAGES, 0, 0, RUN_HOLE);
		if (r < 0)
			return r;
		RB_REMOVE(chunk_tree, &i->pend->chunks, c);
		chunk_free(c);
	}
	i->pend->cut = MIN(i->pend->cut, first);
	i->now.pages -= gone; /* chunk_set() counted the pending ones */
	return 0;
}

int data_cut(struct store *s, struct inode *i, uint64_t first)
{
	uint64_t chunk = (first + ZCF_CHUNK_PAGES - 1) / ZCF_CHUNK_PAGES;
	int r = 0;

	if (i->now.pages)
		r = pages_punch(s, i, first, chunk * ZCF_CHUNK_PAGES);
	if (r == 0 && i->now.pages)
		r = cut_chunks(s, i, chunk);
	return r;
}

int data_truncate(struct store *s, struct inode *i, uint64_t size)
{
	int r = store_may_write(s);

	if (r < 0)
		return r;
	if (!S_ISREG(i->mode))
		return S_ISDIR(i->mode) ? -EISDIR : -EINVAL;
	if (size > (uint64_t)ZCF_SIZE_MAX)
		return -EFBIG;
	/* Also when it grows: pages may have been allocated behind the end. */
	if (size < i->now.size || size == 0) {
		if (size % PAGE && i->now.pages)
			r = page_change(s, i, size / PAGE, (unsigned)(size % PAGE),
					PAGE - (unsigned)(size % PAGE), NULL);
		if (r == 0)
			r = data_cut(s, i, PAGE_UP(size) / PAGE);
		if (r < 0)
			return r;
	}
	i->now.size = size;
	inode_data_dirty(s, i);
	return 0;
}

/* ---- write(2) ----------------------------------------------------------------------------- */

struct writing {
	struct store *s;
	struct inode *i;
	const struct store_source *source;
	uint64_t offset, left;
	uint64_t buffered;  /* bytes copied into buffers */
	const uint8_t *buf; /* of what is left, or NULL: the pipe */
};

static void advance(struct writing *w, uint64_t n)
{
	w->offset += n;
	w->left -= n;
	if (w->buf)
		w->buf += n;
	if (w->offset > w->i->now.size)
		w->i->now.size = w->offset;
}

/* A piece inside one page. */
static int write_piece(struct writing *w)
{
	_Alignas(64) uint8_t copy[PAGE];
	unsigned off = (unsigned)(w->offset % PAGE);
	unsigned len = (unsigned)MIN(PAGE - off, w->left);
	const uint8_t *from = w->buf;
	int r;

	if (!from) {
		ssize_t n;

		store_unlock(w->s);
		n = zu_read_full(w->source->pipe_fd, copy, len);
		store_lock(w->s);
		if (n != (ssize_t)len)
			return n < 0 ? (int)n : -EIO;
		from = copy;
	}
	r = page_change(w->s, w->i, w->offset / PAGE, off, len, from);
	if (r == 0) {
		w->buffered += len;
		advance(w, len);
	}
	return r;
}

/* Give a run of new pages, written already, its place in the file. */
static int place_run(struct store *s, struct inode *i, uint64_t n, uint64_t page, uint64_t count)
{
	while (count) {
		unsigned at = (unsigned)(n % ZCF_CHUNK_PAGES);
		unsigned len = (unsigned)MIN(count, ZCF_CHUNK_PAGES - at);
		struct chunk *c;
		int r = chunk_change(s, i, n / ZCF_CHUNK_PAGES, &c);

		if (r == 0)
			r = chunk_set(s, i, c, at, len, page, BIRTH_PENDING, RUN_FRESH);
		if (r < 0) {
			alloc_release(s, page, count);
			return r;
		}
		n += len;
		page += len;
		count -= len;
	}
	return 0;
}

/* Put whole pages down; with checksums the bytes must be seen, also those of a pipe. */
static int put_pages(struct writing *w, uint64_t page, uint64_t count, uint32_t *sums)
{
	zu_cleanup_free uint8_t *copy = NULL;
	const uint8_t *buf = w->buf;

	if (sums && !buf) {
		ssize_t n;

		tally_fallback(w->s, STORE_CHECKSUMS);
		copy = aligned_alloc(PAGE, count * PAGE);
		if (!copy)
			return -ENOMEM;
		n = zu_read_full(w->source->pipe_fd, copy, count * PAGE);
		if (n != (ssize_t)(count * PAGE))
			return n < 0 ? (int)n : -EIO;
		buf = copy;
	}
	for (uint64_t n = 0; sums && n < count; n++)
		sums[n] = sum_page(buf + n * PAGE);
	return pagefile_write(w->s, page, count, buf, w->source->pipe_fd);
}

/* Whole pages, straight to the page file. */
static int write_run(struct writing *w)
{
	zu_cleanup_free uint32_t *sums = NULL;
	struct store *s = w->s;
	uint64_t page, count;
	int r;

	if (s->checksum && !(sums = malloc(RUN_MOST * sizeof(*sums))))
		return -ENOMEM;
	r = alloc_pages(s, w->i->hint, MIN(w->left / PAGE, RUN_MOST), &page, &count);
	if (r < 0)
		return r;
	w->i->hint = page + count;
	store_unlock(s);
	r = put_pages(w, page, count, sums);
	store_lock(s);
	if (r < 0) {
		alloc_release(s, page, count);
		if (r != -ENOSPC && r != -ENOMEM && r != -EDQUOT) {
			store_fail(s, r, "cannot write to the page file");
			r = -EIO;
		}
		return r;
	}
	r = place_run(s, w->i, w->offset / PAGE, page, count);
	if (r == 0) {
		sum_set(s, w->i, w->offset / PAGE, count, sums);
		advance(w, count * PAGE);
	} else {
		inode_data_dirty(s, w->i); /* some of it may have been placed */
	}
	return r;
}

/* What a failed write leaves in the pipe would be taken for the next request. */
static void drain(const struct writing *w)
{
	uint8_t sink[PAGE];
	int left = 0;

	if (w->source->buf)
		return;
	/* Some of what was not written may have been taken already. */
	while (ioctl(w->source->pipe_fd, FIONREAD, &left) == 0 && left > 0)
		if (read(w->source->pipe_fd, sink, sizeof(sink)) <= 0 && errno != EINTR)
			return;
}

static int write_locked(struct writing *w)
{
	bool small = w->left <= SMALL_WRITE;
	int r = 0;

	while (w->left && r == 0) {
		bool whole = w->offset % PAGE == 0 && w->left >= PAGE;

		if (w->s->nbuffers * PAGE >= BUFFER_LIMIT)
			r = buffer_flush(w->s, true);
		if (r == 0)
			r = whole && !small ? write_run(w) : write_piece(w);
	}
	return r;
}

ssize_t store_write(struct store *s, uint64_t ino, uint64_t offset, uint64_t length,
		    const struct store_source *source, unsigned flags)
{
	LOCKED(s);
	struct writing w = { s, NULL, source, offset, length, 0, source->buf };
	uint64_t end;
	int r = store_may_write(s);

	if (r == 0)
		r = inode_get(s, ino, &w.i);
	if (r == 0 && !S_ISREG(w.i->mode))
		r = -EINVAL;
	if (r == 0 && (!zu_add_u64(offset, length, &end) || end > (uint64_t)ZCF_SIZE_MAX))
		r = -EFBIG;
	if (r < 0) {
		drain(&w);
		return r;
	}
	if (!length)
		return 0;
	w.i->pins++;
	if (flags & STORE_WRITE_KILL_SUID)
		inode_kill_privs(s, w.i);
	r = write_locked(&w);
	if (w.buffered)
		tally_path(s, STORE_WRITE_BUFFER, w.buffered);
	if (r < 0)
		drain(&w);
	if (w.left < length)
		data_modified(s, w.i, flags & STORE_WRITE_KEEP_TIMES);
	w.i->pins--;
	inode_put(s, w.i);
	/* Not the count of what was written before an error: the kernel does not look at it when
	 * it writes pages back. */
	return r < 0 ? r : (ssize_t)length;
}
