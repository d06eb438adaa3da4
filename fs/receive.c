/* SPDX-License-Identifier: MIT */
/*
 * receive.c - how a worker gets a request: by read(2) into its memory, or by splice(2) into its pipe.
 *
 * In the pipe the payload of a WRITE is the pages of the kernel's cache themselves. The store splices
 * them on into the page file, which is opened O_DIRECT: so the device takes them from where the program
 * put them, and nobody copies. The two headers of a WRITE, 80 bytes, lie in a page of their own before,
 * and everything that is small is read out of the pipe again.
 *
 * Splicing is a call more for each request: 2.2 us more of the daemon's time for a small one (10.6
 * instead of 8.4), while a MiB that is read costs 180. So requests are spliced only while large
 * write-backs come: each gives a credit for each 16 KiB of it, each other request costs one. What is not
 * a write-back (direct I/O) gives none: the kernel copies it on its way into the pipe, too.
 *
 * A pipe has slots, of a page each at most. A request that needs more of them than there are would fail,
 * so what is agreed upon with the kernel as the longest WRITE (receive_max_pages) goes into the pipe,
 * and where that would be too little nothing is spliced. An ordinary user's pipe has 256 slots.
 *
 * The pipe is a worker's own, and empty between requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

#include "fs.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum {
	WRITE_HEADERS = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
	IN_OFFSET = FS_PAGE - WRITE_HEADERS, /* so that the payload of a WRITE begins a page */
	IN_SIZE = WRITE_HEADERS + FS_MAX_IO + FS_PAGE,
	BUFFER = FS_PAGE + FS_MAX_IO + FS_PAGE,
	MAX_PAGES = FS_MAX_IO / FS_PAGE,
	LEAST_PAGES = 32, /* shorter WRITEs than this cost more than they save */
	LARGE = 64 << 10, /* the store keeps what is not longer in buffers (data_write.c) */
	CREDIT_BYTES = 16 << 10,
	CREDIT_MOST = 256,
};

/* Of all workers. (Its races lose a credit or two.) */
static _Atomic int credit;
static unsigned max_pages = MAX_PAGES;

unsigned receive_max_pages(void)
{
	return max_pages;
}

/* The pages that fit into the pipe behind the headers. */
static unsigned pages_in(int pipe_fd)
{
	int size = fcntl(pipe_fd, F_GETPIPE_SZ);

	return size < 2 * FS_PAGE ? 0 : (unsigned)size / FS_PAGE - 1;
}

/* What cannot be made as large as it should be is left as large as it can be. */
static void enlarge(int pipe_fd)
{
	if (fs.opt.pipe_size) {
		fcntl(pipe_fd, F_SETPIPE_SZ, (int)fs.opt.pipe_size);
		return;
	}
	for (int size = 2 * FS_MAX_IO; size >= (LEAST_PAGES + 1) * FS_PAGE; size /= 2)
		if (fcntl(pipe_fd, F_SETPIPE_SZ, size) >= 0)
			return;
}

static void close_pipe(struct receiver *r)
{
	zu_close_fd(&r->pipe[0]);
	zu_close_fd(&r->pipe[1]);
}

static void open_pipe(struct receiver *r)
{
	static bool first = true;
	unsigned pages;

	r->why =
		store_has_checksums(fs.store) ? LEDGER_RECEIVE_CHECKSUMS : LEDGER_RECEIVE_NO_SPLICE;
	if (fs.opt.write == WRITE_COPY || fs.opt.read_only || r->why == LEDGER_RECEIVE_CHECKSUMS ||
	    pipe2(r->pipe, O_CLOEXEC) < 0)
		return;
	enlarge(r->pipe[0]);
	pages = pages_in(r->pipe[0]);
	/* The first one's sets what is agreed upon; who gets less than that does without. */
	if (first && pages >= LEAST_PAGES && pages < MAX_PAGES)
		max_pages = pages;
	first = false;
	if (pages < max_pages) {
		r->why = LEDGER_RECEIVE_SMALL_PIPE;
		close_pipe(r);
	}
}

int receiver_open(struct receiver *r, int fd)
{
	*r = (struct receiver){ .fd = fd, .pipe = { -1, -1 } };
	r->memory = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->memory == MAP_FAILED)
		return -errno;
	r->in = (struct fuse_in_header *)(r->memory + IN_OFFSET);
	open_pipe(r);
	return 0;
}

void receiver_close(struct receiver *r)
{
	close_pipe(r);
	munmap(r->memory, BUFFER);
}

/* ---- a request --------------------------------------------------------------------------- */

static bool is_large(const struct fuse_in_header *in, ssize_t n)
{
	return n > LARGE + WRITE_HEADERS && in->opcode == FUSE_WRITE;
}

static void note(const struct receiver *r, ssize_t n)
{
	const struct fuse_write_in *write = (const void *)(r->in + 1);
	int c = atomic_load_explicit(&credit, memory_order_relaxed), to = c;

	if (is_large(r->in, n) && write->write_flags & FUSE_WRITE_CACHE) {
		to = c + (int)(n / CREDIT_BYTES) < CREDIT_MOST ? c + (int)(n / CREDIT_BYTES)
							       : CREDIT_MOST;
		if (r->pipe[0] < 0)
			ledger_fallback(r->why);
	} else if (c > 0) {
		to = c - 1;
	}
	if (to != c)
		atomic_store_explicit(&credit, to, memory_order_relaxed);
}

static bool by_splice(const struct receiver *r)
{
	return r->pipe[0] >= 0 && (fs.opt.write == WRITE_SPLICE ||
				   atomic_load_explicit(&credit, memory_order_relaxed) > 0);
}

static void empty_pipe(struct receiver *r)
{
	char sink[FS_PAGE];
	int left;

	while (ioctl(r->pipe[0], FIONREAD, &left) == 0 && left > 0)
		if (read(r->pipe[0], sink, sizeof(sink)) <= 0 && errno != EINTR)
			break;
	r->in_pipe = 0;
}

/* Splicing does not work here, or no more. */
static void give_up(struct receiver *r, int error)
{
	static atomic_bool told;

	if (!atomic_exchange(&told, true))
		log_text(LOG_WARNING,
			 "requests cannot be spliced: %s; writes are copied by the kernel",
			 strerror(error));
	empty_pipe(r);
	close_pipe(r);
	r->why = error == EIO ? LEDGER_RECEIVE_SMALL_PIPE : LEDGER_RECEIVE_NO_SPLICE;
}

/* Some request is in the pipe: take what of it belongs into memory. */
static ssize_t unpack(struct receiver *r, ssize_t n)
{
	const struct fuse_write_in *write = (const void *)(r->in + 1);
	ssize_t first = n > LARGE + WRITE_HEADERS ? WRITE_HEADERS : n;
	ssize_t done = n > IN_SIZE ? -EIO : zu_read_full(r->pipe[0], r->in, (size_t)first);

	if (done == first && first < n) {
		r->in_pipe = (size_t)(n - first);
		/* (Its length is what the header says.) */
		if (!(is_large(r->in, n) && write->size == r->in_pipe) && receive_pull(r) < 0)
			done = -EIO;
	}
	if (done != first) { /* (a pipe that holds n bytes gives them) */
		log_text(LOG_ERR, "a request of %zd bytes is lost in a pipe", n);
		empty_pipe(r);
		errno = EAGAIN;
		return -1;
	}
	return n;
}

static ssize_t receive_spliced(struct receiver *r)
{
	ssize_t n = splice(r->fd, NULL, r->pipe[1], NULL, IN_SIZE, 0);

	if (n > 0)
		return unpack(r, n);
	if (n == 0 || errno == EINTR || errno == EAGAIN || errno == ENOENT || errno == ENODEV ||
	    errno == ECONNABORTED)
		return n;
	/* (EIO: a request that did not fit into the pipe, which the kernel has answered so.) */
	give_up(r, errno);
	errno = EAGAIN;
	return -1;
}

ssize_t receive(struct receiver *r)
{
	ssize_t n = by_splice(r) ? receive_spliced(r) : read(r->fd, r->in, IN_SIZE);

	if (n > 0)
		note(r, n);
	return n;
}

int receive_pull(struct receiver *r)
{
	size_t want = r ? r->in_pipe : 0;
	ssize_t n;

	if (!want)
		return 0;
	r->in_pipe = 0;
	n = zu_read_full(r->pipe[0], (char *)r->in + WRITE_HEADERS, want);
	if (n == (ssize_t)want)
		return 0;
	empty_pipe(r);
	return n < 0 ? (int)n : -EIO;
}

struct store_source receive_source(const struct request *r)
{
	const char *after = (const char *)r->arg + sizeof(struct fuse_write_in);

	if (!r->from || !r->from->in_pipe)
		return (struct store_source){ .buf = after, .pipe_fd = -1 };
	r->from->in_pipe = 0;
	return (struct store_source){ .buf = NULL, .pipe_fd = r->from->pipe[0] };
}

void receive_end(struct receiver *r)
{
	if (r->in_pipe)
		empty_pipe(r);
}
