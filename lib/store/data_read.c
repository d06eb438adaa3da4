/* SPDX-License-Identifier: MIT */
/*
 * Reads: where the bytes of a range are. The pages named are kept from reuse by the epoch that the
 * read began in (see alloc.c); bytes that are only in memory are copied out under the lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/fdio.h"

/* A read under construction. Memory of buffered pages is one list, freed at the end. */
struct plan {
	struct store *s;
	struct store_read *out;
	unsigned room;
};

static int plan_add(struct plan *p, enum store_where where, uint64_t pos, const void *mem,
		    uint64_t length)
{
	struct store_read *o = p->out;
	struct store_segment *last = o->count ? &o->segments[o->count - 1] : NULL;

	if (last && last->where == where &&
	    (where == STORE_ZEROS || (where == STORE_PAGES && last->pos + last->length == pos))) {
		last->length += length;
		return 0;
	}
	if (o->count == p->room) {
		unsigned room = p->room * 4;
		struct store_segment *more = malloc(room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memcpy(more, o->segments, o->count * sizeof(*more));
		if (o->segments != o->fixed)
			free(o->segments);
		o->segments = more;
		p->room = room;
	}
	o->segments[o->count++] = (struct store_segment){ where, length, pos, mem };
	return 0;
}

/* Bytes [from, to) counted from the start of store page `page`. */
static int plan_pages(struct plan *p, uint64_t page, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t at = page + from / PAGE, end = page + (to + PAGE - 1) / PAGE;
		struct buffer *b = buffer_from(p->s, at, end);
		uint64_t stop = b ? MAX((b->page - page) * PAGE, from) : to;
		uint8_t *copy;
		int r = 0;

		if (stop > from)
			r = plan_add(p, STORE_PAGES, page * PAGE + from, NULL, stop - from);
		if (r < 0 || !b)
			return r;
		from = stop;
		stop = MIN((b->page - page + 1) * PAGE, to);
		copy = malloc(stop - from);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, b->data + from % PAGE, stop - from);
		r = plan_add(p, STORE_MEMORY, 0, copy, stop - from);
		if (r < 0) {
			free(copy);
			return r;
		}
		from = stop;
	}
	return 0;
}

/* The checksums of a chunk's pages, for the whole read's list. */
static int plan_sums(struct plan *p, struct inode *i, uint64_t index, uint64_t first_page,
		     uint64_t end_page)
{
	uint32_t sums[ZCF_CHUNK_PAGES];
	int r = sums_read(p->s, i, index, sums);

	for (uint64_t n = 0; n < ZCF_CHUNK_PAGES && r == 0; n++) {
		uint64_t page = index * ZCF_CHUNK_PAGES + n;

		if (page >= first_page && page < end_page)
			p->out->sums[page - first_page] = sums[n];
	}
	return r;
}

/* Bytes [from, to) of a chunk. */
static int plan_chunk(struct plan *p, struct inode *i, uint64_t index, uint64_t from, uint64_t to)
{
	struct run buf[ZCF_CHUNK_PAGES], *runs = buf;
	struct chunk *c = pending_chunk(i->pend, index);
	int n, r = 0;

	if (c) {
		runs = c->runs;
		n = (int)c->count;
	} else {
		n = chunk_read(p->s, i, index, runs);
	}
	if (n < 0)
		return n;
	for (int k = 0; k < n && from < to && r == 0; k++) {
		uint64_t start = (uint64_t)runs[k].first * PAGE;
		uint64_t end = start + (uint64_t)runs[k].count * PAGE;

		if (end <= from)
			continue;
		if (start >= to)
			break;
		if (start > from) {
			r = plan_add(p, STORE_ZEROS, 0, NULL, start - from);
			from = start;
		}
		end = MIN(end, to);
		if (r == 0 && (runs[k].flags & RUN_UNWRITTEN))
			r = plan_add(p, STORE_ZEROS, 0, NULL, end - from);
		else if (r == 0)
			r = plan_pages(p, runs[k].page, from - start, end - start);
		from = end;
	}
	if (r == 0 && from < to)
		r = plan_add(p, STORE_ZEROS, 0, NULL, to - from);
	return r;
}

static void read_free(struct store_read *read)
{
	for (unsigned n = 0; n < read->count; n++)
		if (read->segments[n].where == STORE_MEMORY)
			free((void *)read->segments[n].mem);
	if (read->segments != read->fixed)
		free(read->segments);
	free(read->sums);
}

int store_read_begin(struct store *s, uint64_t ino, uint64_t offset, uint64_t length,
		     struct store_read *read)
{
	LOCKED(s);
	struct plan p = { s, read, sizeof(read->fixed) / sizeof(*read->fixed) };
	struct inode *i;
	int r = inode_get(s, ino, &i);
	uint64_t end, first;

	if (r < 0)
		return r;
	if (!S_ISREG(i->mode))
		return S_ISDIR(i->mode) ? -EISDIR : -EINVAL;
	read->count = 0;
	read->segments = read->fixed;
	read->sums = NULL;
	end = offset >= i->now.size ? offset : offset + MIN(length, i->now.size - offset);
	read->length = end - offset;
	first = offset / PAGE;
	if (s->checksum && read->length) {
		read->sums = calloc(PAGE_UP(end) / PAGE - first, sizeof(*read->sums));
		if (!read->sums)
			return -ENOMEM;
	}
	while (offset < end && r == 0) {
		uint64_t index = offset / CHUNK_BYTES, base = index * CHUNK_BYTES;
		uint64_t stop = MIN(end, base + CHUNK_BYTES);

		r = plan_chunk(&p, i, index, offset - base, stop - base);
		if (r == 0 && read->sums)
			r = plan_sums(&p, i, index, first, PAGE_UP(end) / PAGE);
		offset = stop;
	}
	if (r < 0) {
		read_free(read);
		return r;
	}
	read->epoch = s->epoch;
	s->readers[s->epoch & 1]++;
	return 0;
}

void store_read_end(struct store *s, struct store_read *read)
{
	store_lock(s);
	s->readers[read->epoch & 1]--;
	store_unlock(s);
	read_free(read);
}

bool store_has_checksums(const struct store *s)
{
	return s->checksum;
}

/* Whole pages are read and verified, and what was asked for of them is copied. `sums` begins with
 * the page of the segment's first byte. */
static int read_verified(struct store *s, const struct store_segment *seg, const uint32_t *sums,
			 uint8_t *to)
{
	_Alignas(64) uint8_t page[PAGE];
	uint64_t pos = seg->pos, end = seg->pos + seg->length;

	for (unsigned n = 0; pos < end; n++) {
		uint64_t len = MIN(end, PAGE_DOWN(pos) + PAGE) - pos;
		int r = pagefile_read(s, pos / PAGE, page, PAGE);

		if (r < 0)
			return r;
		if (sum_page(page) != sums[n])
			return -EIO;
		memcpy(to, page + pos % PAGE, len);
		to += len;
		pos += len;
	}
	return 0;
}

static int read_segment(struct store *s, const struct store_segment *seg, const uint32_t *sums,
			uint8_t *to)
{
	ssize_t n;

	switch (seg->where) {
	case STORE_ZEROS:
		memset(to, 0, seg->length);
		return 0;
	case STORE_MEMORY:
		memcpy(to, seg->mem, seg->length);
		return 0;
	case STORE_PAGES:
		if (sums)
			return read_verified(s, seg, sums, to);
		n = zu_pread_full(s->page_fd, to, seg->length, (off_t)seg->pos);
		if (n < 0)
			return (int)n;
		return (uint64_t)n == seg->length ? 0 : -EIO;
	}
	return -EIO;
}

ssize_t store_pread(struct store *s, uint64_t ino, void *buf, size_t length, uint64_t offset)
{
	struct store_read read;
	uint64_t done = 0;
	int r = store_read_begin(s, ino, offset, length, &read);

	if (r < 0)
		return r;
	for (unsigned n = 0; n < read.count && r == 0; n++) {
		uint64_t page = (offset + done) / PAGE - offset / PAGE;

		r = read_segment(s, &read.segments[n], read.sums ? read.sums + page : NULL,
				 (uint8_t *)buf + done);
		done += read.segments[n].length;
	}
	store_read_end(s, &read);
	if (r == -EIO)
		store_log(
			s, STORE_LOG_ERROR,
			"store %s: inode %llu: damaged or unreadable between bytes %llu and %llu; "
			"run zcctl scrub",
			s->path, (unsigned long long)ino, (unsigned long long)offset,
			(unsigned long long)offset + done);
	return r < 0 ? r : (ssize_t)done;
}
