/* SPDX-License-Identifier: MIT */
/*
 * data_read.c - READ. The answer is gathered from the mapped page file, a page of zeros, and the
 * store's memory; what cannot be mapped is read into the worker's buffer first.
 *
 * An I/O error below the mapping shows as EFAULT of writev(2). The kernel has answered the reader
 * with EIO then, which is what a read(2) of those pages would have ended in.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "passthrough.h"
#include "util/fdio.h"

enum { MAX_PIECES = 600, ZEROS = 65536 };

static const char zeros[ZEROS] __attribute__((aligned(4096)));

struct answer {
	struct iovec iov[MAX_PIECES + 1]; /* the first is for the header */
	unsigned count;
	uint64_t length;
	char *buf; /* the next free byte of the worker's buffer */
	uint64_t mapped, copied, memory, holes;
};

static int add(struct answer *a, const void *mem, uint64_t length)
{
	if (a->count >= MAX_PIECES)
		return -E2BIG;
	a->iov[++a->count] =
		(struct iovec){ .iov_base = (void *)(uintptr_t)mem, .iov_len = (size_t)length };
	a->length += length;
	return 0;
}

static int add_zeros(struct answer *a, uint64_t length)
{
	int r = 0;

	a->holes += length;
	while (length && r == 0) {
		uint64_t n = length < ZEROS ? length : ZEROS;

		r = add(a, zeros, n);
		length -= n;
	}
	return r;
}

static int add_pages(struct answer *a, uint64_t pos, uint64_t length)
{
	const void *map = store_page_map(fs.store, pos, length);
	ssize_t n;

	if (map) {
		a->mapped += length;
		return add(a, map, length);
	}
	ledger_fallback(LEDGER_NO_MAP);
	n = zu_pread_full(store_page_fd(fs.store), a->buf, (size_t)length, (off_t)pos);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n < length) /* the page file is shorter than the store says */
		return -EIO;
	a->copied += length;
	a->buf += length;
	return add(a, a->buf - length, length);
}

static int gather(struct answer *a, const struct store_read *read)
{
	int r = 0;

	for (unsigned i = 0; i < read->count && r == 0; i++) {
		const struct store_segment *s = &read->segments[i];

		if (s->where == STORE_PAGES) {
			r = add_pages(a, s->pos, s->length);
		} else if (s->where == STORE_ZEROS) {
			r = add_zeros(a, s->length);
		} else {
			a->memory += s->length;
			r = add(a, s->mem, s->length);
		}
	}
	return r;
}

static void count_answer(const struct answer *a)
{
	ledger_path(LEDGER_READ, a->length);
	if (a->mapped)
		ledger_path(LEDGER_READ_MAP, a->mapped);
	if (a->copied)
		ledger_path(LEDGER_READ_COPY, a->copied);
	if (a->memory)
		ledger_path(LEDGER_READ_MEMORY, a->memory);
	if (a->holes)
		ledger_path(LEDGER_READ_ZERO, a->holes);
}

/* Too many pieces: all of it through the buffer. */
static void reply_copied(const struct request *r, const struct fuse_read_in *in)
{
	ssize_t n = store_pread(fs.store, r->in->nodeid, r->out, in->size, in->offset);

	if (n < 0) {
		wire_reply_error(r->in->unique, (int)n);
		return;
	}
	ledger_path(LEDGER_READ, (uint64_t)n);
	ledger_path(LEDGER_READ_COPY, (uint64_t)n);
	wire_reply_data(r->in->unique, r->out, (size_t)n);
}

/* Valid replies: bytes (less than asked for at the end of the file only), error */
void native_read(const struct request *r)
{
	const struct fuse_read_in *in = r->arg;
	struct store_read read;
	struct answer a;
	ssize_t n;
	int result;

	if (r->size < sizeof(*in) || in->size > FS_MAX_IO) {
		wire_reply_error(r->in->unique, -EINVAL);
		return;
	}
	n = passthrough_read(r->in->nodeid, r->out, in->size, in->offset);
	if (n >= 0) {
		ledger_path(LEDGER_READ, (uint64_t)n);
		ledger_path(LEDGER_READ_IMAGE, (uint64_t)n);
		wire_reply_data(r->in->unique, r->out, (size_t)n);
		if (!(in->read_flags & FUSE_READ_LOCKOWNER)) /* read(2) would have it */
			passthrough_cached(r->in->nodeid);
	} else if (n != -ENOENT)
		wire_reply_error(r->in->unique, (int)n);
	if (n != -ENOENT)
		return;
	if (store_has_checksums(fs.store)) { /* they need to see the bytes */
		ledger_fallback(LEDGER_CHECKSUMS);
		reply_copied(r, in);
		return;
	}
	result = store_read_begin(fs.store, r->in->nodeid, in->offset, in->size, &read);
	if (result < 0) {
		wire_reply_error(r->in->unique, result);
		return;
	}
	a.count = 0;
	a.length = a.mapped = a.copied = a.memory = a.holes = 0;
	a.buf = r->out;
	result = gather(&a, &read);
	if (result == 0) {
		count_answer(&a);
		wire_reply(r->in->unique, 0, a.iov, (int)a.count + 1);
	}
	store_read_end(fs.store, &read);
	if (result == -E2BIG) {
		ledger_fallback(LEDGER_TOO_MANY_PIECES);
		reply_copied(r, in);
	} else if (result < 0)
		wire_reply_error(r->in->unique, result);
}
