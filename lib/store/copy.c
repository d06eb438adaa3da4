/* SPDX-License-Identifier: MIT */
/*
 * copy_file_range(2): whole pages are shared, the rest is copied. A shared page is pinned by every
 * pending chunk that names it, and never rewritten in place; its commits count it in `ref`.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/store_i.h"
#include "util/checked.h"
#include "util/cleanup.h"

#define PIECE (256u << 10)

/* What only the intent log has captured: the next commit into LMDB must count all who name it. */
static int logged_shared(struct store *s, struct inode *i, uint64_t n, const struct run *run)
{
	struct chunk *c = s->frozen ? NULL : pending_chunk(i->cap, n / ZCF_CHUNK_PAGES);
	int r = 0;

	for (unsigned k = 0; c && k < c->count && r == 0;) {
		const struct run old = c->runs[k];
		unsigned first = MAX(old.first, run->first);
		unsigned end = MIN(old.first + old.count, run->first + run->count);

		k++;
		/* (Both name the same pages, or none in common.) */
		if (first >= end || !(old.flags & RUN_FRESH) ||
		    old.page - old.first != run->page - run->first)
			continue;
		r = pin_add(s, run->page + (first - run->first), end - first);
		if (r == 0)
			r = chunk_set(s, i, c, first, end - first, run->page + (first - run->first),
				      old.birth, RUN_SHARED);
		k = 0; /* it may have joined its neighbours: from the start */
	}
	return r;
}

/* The source's own run can be rewritten in place no more: it is one of several now. */
static int source_shared(struct store *s, struct inode *i, uint64_t n, const struct run *run)
{
	struct chunk *c = pending_chunk(i->pend, n / ZCF_CHUNK_PAGES);
	int r;

	if (!(run->flags & RUN_FRESH))
		return logged_shared(s, i, n, run);
	r = pin_add(s, run->page, run->count);
	if (r < 0)
		return r;
	/* chunk_set() keeps a page that stays in its place. */
	return chunk_set(s, i, c, run->first, run->count, run->page, run->birth, RUN_SHARED);
}

/* Share what is at page `from` of `in`, at most `count` pages, as page `to` of `out`: how many. */
static int share(struct store *s, struct inode *in, uint64_t from, struct inode *out, uint64_t to,
		 uint64_t count)
{
	uint32_t sums[ZCF_CHUNK_PAGES];
	struct chunk *c;
	struct run run;
	int r = chunk_find(s, in, from, &run);
	bool hole = r == 0 || (run.flags & RUN_UNWRITTEN);

	if (r < 0)
		return r;
	count = MIN(MIN(count, run.count), ZCF_CHUNK_PAGES - to % ZCF_CHUNK_PAGES);
	run.count = (uint16_t)count;
	if (hole) {
		r = pages_punch(s, out, to, to + count);
		return r < 0 ? r : (int)count;
	}
	r = s->checksum ? sums_read(s, in, from / ZCF_CHUNK_PAGES, sums) : 0;
	if (r == 0)
		r = source_shared(s, in, from, &run);
	if (r == 0)
		r = pin_add(s, run.page, count);
	if (r < 0)
		return r;
	r = chunk_change(s, out, to / ZCF_CHUNK_PAGES, &c);
	if (r == 0)
		r = chunk_set(s, out, c, (unsigned)(to % ZCF_CHUNK_PAGES), (unsigned)count,
			      run.page, run.birth, RUN_SHARED);
	if (r < 0) {
		pin_drop(s, run.page, count);
		return r;
	}
	sum_set(s, out, to, count, sums + from % ZCF_CHUNK_PAGES);
	return (int)count;
}

static int share_pages(struct store *s, struct inode *in, uint64_t from, struct inode *out,
		       uint64_t to, uint64_t count)
{
	while (count) {
		int n = share(s, in, from, out, to, count);

		if (n < 0)
			return n;
		from += (unsigned)n;
		to += (unsigned)n;
		count -= (unsigned)n;
	}
	return 0;
}

/* Through memory, without the lock. */
static ssize_t copy_bytes(struct store *s, uint64_t in, uint64_t in_offset, uint64_t out,
			  uint64_t out_offset, uint64_t length)
{
	zu_cleanup_free void *buf = aligned_alloc(PAGE, PIECE);
	uint64_t done = 0;

	if (!buf)
		return -ENOMEM;
	while (done < length) {
		uint64_t want = MIN(length - done, PIECE - (in_offset + done) % PAGE);
		ssize_t n = store_pread(s, in, buf, (size_t)want, in_offset + done);
		struct store_source source = { .buf = buf };
		ssize_t w;

		if (n <= 0)
			return n < 0 && !done ? n : (ssize_t)done;
		w = store_write(s, out, out_offset + done, (uint64_t)n, &source, 0);
		if (w < 0)
			return done ? (ssize_t)done : w;
		done += (uint64_t)n;
	}
	return (ssize_t)done;
}

/* How much of the range can be shared, after `head` bytes that must be copied. */
static uint64_t shareable(const struct inode *in, const struct inode *out, uint64_t in_offset,
			  uint64_t out_offset, uint64_t length, uint64_t *ret_head)
{
	uint64_t head = (PAGE - in_offset % PAGE) % PAGE, body;

	*ret_head = length;
	if (in_offset % PAGE != out_offset % PAGE || head >= length)
		return 0;
	body = length - head;
	/* The last page may be shared in part: behind both ends there are zeros. */
	if (!(in_offset + length == in->now.size && out_offset + length >= out->now.size))
		body = PAGE_DOWN(body);
	if (body)
		*ret_head = head;
	return body;
}

ssize_t store_copy_range(struct store *s, uint64_t in, uint64_t in_offset, uint64_t out,
			 uint64_t out_offset, uint64_t length)
{
	struct inode *a, *b;
	uint64_t head, body, end;
	ssize_t n;
	int r;

	store_lock(s);
	r = store_may_write(s);
	if (r == 0)
		r = inode_get(s, in, &a);
	if (r == 0)
		r = inode_get(s, out, &b);
	if (r == 0 && (!S_ISREG(a->mode) || !S_ISREG(b->mode)))
		r = -EINVAL;
	if (r == 0 && in_offset >= a->now.size)
		length = 0;
	if (r == 0 && length)
		length = MIN(length, a->now.size - in_offset);
	if (r == 0 && (!zu_add_u64(out_offset, length, &end) || end > (uint64_t)ZCF_SIZE_MAX))
		r = -EFBIG;
	if (r == 0 && in == out && MAX(in_offset, out_offset) < MIN(in_offset, out_offset) + length)
		r = -EINVAL;
	if (r < 0 || !length) {
		store_unlock(s);
		return r;
	}
	body = shareable(a, b, in_offset, out_offset, length, &head);
	a->pins++;
	b->pins++;
	store_unlock(s);
	n = head ? copy_bytes(s, in, in_offset, out, out_offset, head) : 0;
	store_lock(s);
	if (n == (ssize_t)head && body) {
		/* Both may have changed while the head was copied. */
		body = MIN(body, shareable(a, b, in_offset + head, out_offset + head, body, &end));
		r = share_pages(s, a, (in_offset + head) / PAGE, b, (out_offset + head) / PAGE,
				PAGE_UP(body) / PAGE);
		if (r == 0) {
			n += (ssize_t)body;
			b->now.size = MAX(b->now.size, out_offset + head + body);
		}
		data_modified(s, b, false);
	}
	a->pins--;
	b->pins--;
	inode_put(s, a);
	if (a != b)
		inode_put(s, b);
	store_unlock(s);
	if (r < 0)
		return n > 0 ? n : r;
	if (n >= 0 && (uint64_t)n == head + body && (uint64_t)n < length) {
		ssize_t tail = copy_bytes(s, in, in_offset + (uint64_t)n, out,
					  out_offset + (uint64_t)n, length - (uint64_t)n);

		n = tail < 0 ? n : n + tail;
	}
	return n;
}
