/* SPDX-License-Identifier: MIT */
/*
 * data_read.c - READ. All of an answer goes out in one call, whatever it is made of: pages of the page
 * file, holes, the store's memory. Pages go one of these ways, by the rule of read_ahead.c or by
 * -o read=:
 *
 * map     writev(2) from the mapping of the page file: the kernel copies from the page cache
 * direct  read past the page cache into the worker's buffer, by the device itself; then as above
 * splice  by a pipe, see read_splice.c
 * copy    read through the page cache into the worker's buffer
 *
 * An I/O error below the mapping shows as EFAULT of writev(2). The kernel has answered the reader
 * with EIO then, which is what a read(2) of those pages would have ended in.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "passthrough.h"
#include "read.h"
#include "util/fdio.h"

enum { ZEROS = 65536 };

static const char zeros[ZEROS] __attribute__((aligned(4096)));

enum from { FROM_MAP, FROM_DIRECT, FROM_COPY };

static int add(struct answer *a, const void *mem, uint64_t length)
{
	if (a->count >= READ_PIECES)
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

/* Whole pages into the answer's buffer. (A request has at most FS_MAX_IO bytes, and parts of pages
 * at its ends only: so they fit.) */
static int fetch(struct answer *a, int fd, uint64_t pos, uint64_t length, const char **ret_at)
{
	uint64_t skip = pos % FS_PAGE;
	uint64_t size = (skip + length + FS_PAGE - 1) / FS_PAGE * FS_PAGE;
	ssize_t n = zu_pread_full(fd, a->buf, (size_t)size, (off_t)(pos - skip));

	if (n < 0)
		return (int)n;
	if ((uint64_t)n < skip + length) /* the page file is shorter than the store says */
		return -EIO;
	*ret_at = a->buf + skip;
	a->buf += size;
	return 0;
}

int read_direct(struct answer *a, uint64_t pos, uint64_t length, const char **ret_at)
{
	return fetch(a, store_direct_fd(fs.store), pos, length, ret_at);
}

static int add_pages(struct answer *a, uint64_t pos, uint64_t length, enum from from)
{
	const char *at = NULL;
	int r = -EINVAL;

	if (from == FROM_MAP && !fs.opt.no_map)
		at = store_page_map(fs.store, pos, length);
	if (at) {
		a->mapped += length;
		return add(a, at, length);
	}
	if (from == FROM_MAP)
		ledger_fallback(LEDGER_NO_MAP);
	if (from == FROM_DIRECT && store_direct_fd(fs.store) >= 0)
		r = read_direct(a, pos, length, &at);
	if (r == 0) {
		a->direct += length;
	} else if (r == -EINVAL) { /* or the host takes no direct reads after all */
		r = fetch(a, store_page_fd(fs.store), pos, length, &at);
		a->copied += length;
	}
	return r < 0 ? r : add(a, at, length);
}

static int gather(struct answer *a, const struct store_read *read, enum from from)
{
	int r = 0;

	for (unsigned i = 0; i < read->count && r == 0; i++) {
		const struct store_segment *s = &read->segments[i];

		if (s->where == STORE_PAGES) {
			r = add_pages(a, s->pos, s->length, from);
		} else if (s->where == STORE_ZEROS) {
			r = add_zeros(a, s->length);
		} else {
			a->memory += s->length;
			r = add(a, s->mem, s->length);
		}
	}
	return r;
}

void read_count(const struct answer *a)
{
	const struct {
		enum ledger_path path;
		uint64_t bytes;
	} parts[] = {
		{ LEDGER_READ_SPLICE, a->spliced }, { LEDGER_READ_MAP, a->mapped },
		{ LEDGER_READ_DIRECT, a->direct },  { LEDGER_READ_COPY, a->copied },
		{ LEDGER_READ_MEMORY, a->memory },  { LEDGER_READ_ZERO, a->holes },
	};

	ledger_path(LEDGER_READ, a->length);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].bytes)
			ledger_path(parts[i].path, parts[i].bytes);
}

static void begin(struct answer *a, const struct request *r)
{
	a->count = 0;
	a->length = 0;
	a->spliced = a->mapped = a->direct = a->copied = a->memory = a->holes = 0;
	a->buf = r->out;
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

/* 0: answered. -E2BIG: too many pieces; another error: to be answered with it. */
static int answer(const struct request *r, const struct store_read *read)
{
	struct read_source source = { 0 };
	enum from from = FROM_MAP;
	struct answer a;
	int result = -EOPNOTSUPP;

	if (fs.opt.read == READ_AUTO || fs.opt.read == READ_SPLICE)
		read_source(read, &source);
	begin(&a, r);
	if (fs.opt.read == READ_SPLICE)
		result = read_splice(r, read, &a, source.cached);
	if (fs.opt.read == READ_COPY)
		from = FROM_COPY;
	else if (fs.opt.read != READ_MAP && !source.cached)
		from = FROM_DIRECT;
	if (result == -EOPNOTSUPP) {
		begin(&a, r);
		result = gather(&a, read, from);
		if (result == 0) {
			read_count(&a);
			wire_reply(r->in->unique, 0, a.iov, (int)a.count + 1);
		}
	}
	if (source.ahead)
		read_ahead_done(read);
	return result;
}

static void read_paged(const struct request *r, const struct fuse_read_in *in)
{
	struct store_read read;
	int result = store_read_begin(fs.store, r->in->nodeid, in->offset, in->size, &read);

	if (result == 0) {
		result = answer(r, &read);
		store_read_end(fs.store, &read);
	}
	if (result == -E2BIG) {
		ledger_fallback(LEDGER_TOO_MANY_PIECES);
		reply_copied(r, in);
	} else if (result < 0) {
		wire_reply_error(r->in->unique, result);
	}
}

/* Valid replies: bytes (less than asked for at the end of the file only), error */
void native_read(const struct request *r)
{
	const struct fuse_read_in *in = r->arg;
	ssize_t n;

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
	read_paged(r, in);
}
