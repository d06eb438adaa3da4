/* SPDX-License-Identifier: MIT */
/*
 * read_splice.c - answers to READ by way of a pipe: header, pages, holes and buffers in their order,
 * and then all of it to the device in one splice(2), which is what the kernel wants.
 *
 * Pages come past the page cache: splice(2) from a file that is open with O_DIRECT has the device
 * write into new pages that are nobody's. SPLICE_F_MOVE then lets FUSE put these very pages into its
 * cache, so that no byte is copied and none is in memory twice. They are not pages of the page file's
 * cache, so whatever happens to the page file later, the reader's cache does not change.
 *
 * Pages that are in the page cache already are taken from there, and without SPLICE_F_MOVE: FUSE
 * copies them. (Moving would be right, too: a page is first taken out of its file's cache, which fails
 * while it is dirty or mapped. But it would take them from whoever else uses them, and a large folio
 * would be taken out and then copied all the same.)
 *
 * Once the splice to the device has returned, nothing refers to the page file or to memory any more: it
 * copies or moves before it returns. Holes and buffers are given by reference (vmsplice(2) without
 * SPLICE_F_GIFT), which cannot be moved, only copied.
 *
 * A pipe that something went wrong with is dropped with what is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "pipe.h"
#include "read.h"

enum { ZEROS = 65536, SLOTS = FS_MAX_IO / FS_PAGE + 8 };

static const char zeros[ZEROS] __attribute__((aligned(FS_PAGE)));
static __thread struct fs_pipe tube;

void read_splice_end(void)
{
	fs_pipe_drop(&tube);
}

static uint64_t pages_of(uint64_t from, uint64_t length)
{
	return length ? (from + length - 1) / FS_PAGE - from / FS_PAGE + 1 : 0;
}

/* Buffers of the pipe that the answer takes at most. */
static uint64_t slots_of(const struct store_read *read)
{
	uint64_t slots = 1;

	for (unsigned i = 0; i < read->count; i++) {
		const struct store_segment *s = &read->segments[i];

		if (s->where == STORE_PAGES)
			slots += pages_of(s->pos, s->length);
		else if (s->where == STORE_MEMORY)
			slots += s->length / FS_PAGE + 2; /* wherever it begins */
		else
			slots += pages_of(0, s->length);
	}
	return slots;
}

static int put_memory(const void *mem, uint64_t length)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)mem, .iov_len = (size_t)length };

	while (iov.iov_len) {
		ssize_t n = vmsplice(tube.in, &iov, 1, SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EOPNOTSUPP;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

static int put_zeros(uint64_t length)
{
	int r = 0;

	while (length && r == 0) {
		uint64_t n = length < ZEROS ? length : ZEROS;

		r = put_memory(zeros, n);
		length -= n;
	}
	return r;
}

static int put_file(int fd, uint64_t pos, uint64_t length)
{
	off_t at = (off_t)pos;

	while (length) {
		ssize_t n = splice(fd, &at, tube.in, NULL, (size_t)length, SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EINVAL || errno == EAGAIN || errno == EPERM ||
					       errno == ENOSYS
				       ? -EOPNOTSUPP
				       : -errno;
		if (n == 0) /* the page file is shorter than the store says */
			return -EIO;
		length -= (uint64_t)n;
	}
	return 0;
}

/* Parts of pages, which only the ends of a request are, cannot come past the page cache by a pipe. */
static int put_part(struct answer *a, uint64_t pos, uint64_t length)
{
	const char *at;
	int r = read_direct(a, pos, length, &at);

	if (r == 0)
		r = put_memory(at, length);
	a->direct += length;
	return r;
}

static int put_pages(struct answer *a, uint64_t pos, uint64_t length, bool cached)
{
	int direct = cached ? -1 : store_direct_fd(fs.store);
	uint64_t head, body;
	int r = 0;

	if (direct < 0) {
		a->spliced += length;
		return put_file(store_page_fd(fs.store), pos, length);
	}
	head = pos % FS_PAGE ? FS_PAGE - pos % FS_PAGE : 0;
	if (head > length)
		head = length;
	body = (length - head) / FS_PAGE * FS_PAGE;
	if (head)
		r = put_part(a, pos, head);
	if (r == 0 && body) {
		a->spliced += body;
		r = put_file(direct, pos + head, body);
	}
	if (r == 0 && length > head + body)
		r = put_part(a, pos + head + body, length - head - body);
	return r;
}

static int fill(const struct store_read *read, struct answer *a, bool cached)
{
	int r = 0;

	for (unsigned i = 0; i < read->count && r == 0; i++) {
		const struct store_segment *s = &read->segments[i];

		if (s->where == STORE_PAGES) {
			r = put_pages(a, s->pos, s->length, cached);
		} else if (s->where == STORE_ZEROS) {
			a->holes += s->length;
			r = put_zeros(s->length);
		} else {
			a->memory += s->length;
			r = put_memory(s->mem, s->length);
		}
		a->length += s->length;
	}
	return r;
}

static int give_up(int error, enum ledger_fallback reason)
{
	fs_pipe_drop(&tube);
	if (error == -EOPNOTSUPP)
		ledger_fallback(reason);
	return error;
}

int read_splice(const struct request *r, const struct store_read *read, struct answer *a,
		bool cached)
{
	struct fuse_out_header header;
	uint64_t slots;
	int result = fs.opt.no_splice ? -EPERM : fs_pipe_make(&tube, SLOTS);

	if (result < 0)
		return give_up(-EOPNOTSUPP, LEDGER_NO_SPLICE);
	slots = slots_of(read);
	if (slots > SLOTS || slots > tube.slots) {
		ledger_fallback(slots > SLOTS ? LEDGER_TOO_MANY_PIECES : LEDGER_SMALL_PIPE);
		return -EOPNOTSUPP;
	}
	wire_header(r->in->unique, read->length, &header);
	if (write(tube.in, &header, sizeof(header)) != sizeof(header))
		return give_up(-EOPNOTSUPP, LEDGER_NO_SPLICE);
	result = fill(read, a, cached);
	if (result < 0)
		return give_up(result, LEDGER_NO_SPLICE);
	read_count(a);
	result = wire_splice(r->in->unique, tube.out, header.len,
			     cached || store_direct_fd(fs.store) < 0 ? 0 : SPLICE_F_MOVE);
	if (result < 0)
		fs_pipe_drop(&tube);
	return 0;
}
