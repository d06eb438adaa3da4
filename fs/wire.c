/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the descriptors of the connection, and every byte that is written to them.
 *
 * Each worker reads from a clone of the device (FUSE_DEV_IOC_CLONE), and the kernel wants the
 * answer where it gave the request; but answers also come from other threads, and libfuse knows one
 * descriptor only. So a request's `unique` carries the number of its descriptor in bits that the
 * kernel's counter does not reach, and every answer, libfuse's too by way of its custom I/O, has it
 * taken out again here.
 *
 * INIT goes through libfuse, which wants to see it, but what is answered is init.c's: the packaged
 * library does not know all of its flags.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <syslog.h>
#include <unistd.h>

#include "fs.h"
#include "util/cleanup.h"

enum { TAG_SHIFT = 48, TAG_MASK = 0x7fff };

/* Constant while there are workers. */
static int fds[FS_MAX_WORKERS + 1] = { [0 ... FS_MAX_WORKERS] = -1 };
static int ready_fd = -1;
static bool refused; /* and fs.init_*: written before ready_fd */

static uint64_t init_unique; /* 0: INIT was answered */
static struct fuse_init_out init_out;

static void trace(const char *what, uint64_t unique, uint32_t opcode, uint64_t ino, int64_t n)
{
	if (fs.opt.debug)
		log_text(LOG_DEBUG, "%s %llu: operation %u, inode %llu, %lld", what,
			 (unsigned long long)unique, opcode, (unsigned long long)ino, (long long)n);
}

void wire_answered(uint64_t unique, int error)
{
	unique &= ~((uint64_t)TAG_MASK << TAG_SHIFT);
	if (unique && error)
		ledger_error(error);
	ledger_answered(unique);
}

static int send_answer(struct iovec *iov, int count)
{
	struct fuse_out_header *out = iov[0].iov_base;
	unsigned channel = out->unique >> TAG_SHIFT & TAG_MASK;
	uint64_t tagged = out->unique;
	int r = 0;

	out->unique &= ~((uint64_t)TAG_MASK << TAG_SHIFT);
	trace("answer", out->unique, 0, 0, out->error ? out->error : (int64_t)out->len);
	if (writev(fds[channel], iov, count) < 0)
		r = -errno;
	wire_answered(out->unique, r == -EFAULT ? -EIO : out->error); /* as its caller sees it */
	out->unique = tagged;
	/* ENOENT: nobody waits any more. ENODEV, ECONNABORTED: unmounted. */
	if (r < 0 && r != -ENOENT && r != -ENODEV && r != -ECONNABORTED && r != -EFAULT)
		log_text(LOG_ERR, "an answer is refused by the kernel: %s", strerror(-r));
	return r;
}

int wire_reply(uint64_t unique, int error, struct iovec *iov, int count)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = error, .unique = unique };
	int r;

	iov[0] = (struct iovec){ .iov_base = &out, .iov_len = sizeof(out) };
	for (int i = 1; i < count; i++)
		out.len += (uint32_t)iov[i].iov_len;
	r = send_answer(iov, count);
	iov[0] = (struct iovec){ 0 }; /* `out` ends here */
	return r;
}

void wire_header(uint64_t unique, uint64_t length, struct fuse_out_header *ret_header)
{
	*ret_header = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(*ret_header) + length),
		.unique = unique & ~((uint64_t)TAG_MASK << TAG_SHIFT),
	};
}

int wire_splice(uint64_t unique, int pipe_fd, size_t size, unsigned flags)
{
	uint64_t plain = unique & ~((uint64_t)TAG_MASK << TAG_SHIFT);
	unsigned channel = unique >> TAG_SHIFT & TAG_MASK;
	ssize_t n;

	trace("answer by a pipe", plain, 0, 0, (int64_t)size);
	do {
		n = splice(pipe_fd, NULL, fds[channel], NULL, size, flags);
	} while (n < 0 && errno == EINTR);
	if (n >= 0 || errno == ENOENT || errno == ENODEV || errno == ECONNABORTED) {
		wire_answered(plain, 0);
		return n < 0 ? -errno : 0;
	}
	/* Answered with EIO if the pipe could not be read; with anything else it was not looked at, so it
	 * has to be answered. */
	wire_reply_error(unique, -EIO);
	return -EIO;
}

int wire_reply_error(uint64_t unique, int error)
{
	struct iovec iov[1];

	return wire_reply(unique, error, iov, 1);
}

int wire_reply_data(uint64_t unique, const void *data, size_t size)
{
	struct iovec iov[2] = { [1] = { .iov_base = (void *)(uintptr_t)data, .iov_len = size } };

	return wire_reply(unique, 0, iov, size ? 2 : 1);
}

/* ---- libfuse's custom I/O ---------------------------------------------------------------- */

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *user)
{
	struct fuse_out_header *out = iov[0].iov_base;
	struct iovec init[2] = { iov[0], { .iov_base = &init_out, .iov_len = sizeof(init_out) } };
	ssize_t total = 0;
	int r;

	for (int i = 0; i < count; i++)
		total += (ssize_t)iov[i].iov_len;
	if (init_unique && out->unique == init_unique && out->error == 0) {
		init_unique = 0;
		out->len = sizeof(*out) + sizeof(init_out);
		r = send_answer(init, 2);
		eventfd_write(ready_fd, 1);
	} else {
		r = send_answer(iov, count);
		if (init_unique && out->unique == init_unique) { /* libfuse refuses */
			refused = true;
			eventfd_write(ready_fd, 1);
		}
	}
	errno = -r;
	return r < 0 ? -1 : total;
}

static ssize_t io_read(int fd, void *buf, size_t size, void *user)
{
	return read(fd, buf, size);
}

static ssize_t io_splice_receive(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
				 unsigned flags, void *user)
{
	return splice(in, in_offset, out, out_offset, size, flags);
}

/* Answers are never spliced: the tag could not be taken out of a pipe. */
static ssize_t io_splice_send(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
			      unsigned flags, void *user)
{
	errno = EOPNOTSUPP;
	return -1;
}

/* ---- requests ---------------------------------------------------------------------------- */

static void received_init(const struct fuse_in_header *in, size_t size)
{
	struct fuse_init_in init = { 0 };

	memcpy(&init, in + 1,
	       size - sizeof(*in) < sizeof(init) ? size - sizeof(*in) : sizeof(init));
	init_answer(&init, &init_out);
	init_unique = in->unique;
}

bool wire_received(unsigned channel, struct fuse_in_header *in, size_t size)
{
	if (size < sizeof(*in) || in->len != size)
		return false;
	trace("request", in->unique, in->opcode, in->nodeid, (int64_t)size);
	if (in->unique >> TAG_SHIFT & TAG_MASK) {
		log_text(LOG_ERR, "request number %llu is too large for this zcfs",
			 (unsigned long long)in->unique);
		return false;
	}
	in->unique |= (uint64_t)channel << TAG_SHIFT;
	if (in->opcode == FUSE_INIT)
		received_init(in, size);
	ledger_request(in->unique & ~((uint64_t)TAG_MASK << TAG_SHIFT), in->opcode);
	return true;
}

int wire_fd(unsigned channel)
{
	return fds[channel];
}

bool wire_refused(void)
{
	eventfd_t count;

	eventfd_read(ready_fd, &count); /* what was written before is seen after this */
	return refused;
}

int wire_ready_fd(void)
{
	return ready_fd;
}

int wire_clone(void)
{
	uint32_t base = (uint32_t)fds[0];
	zu_cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &base) < 0) {
		/* An ordinary user may have the device from fusermount3 alone: share it. */
		int shared = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);

		return shared < 0 ? -errno : shared;
	}
	return TAKE_FD(fd);
}

int wire_start(unsigned workers)
{
	static const struct fuse_custom_io io = {
		.writev = io_writev,
		.read = io_read,
		.splice_receive = io_splice_receive,
		.splice_send = io_splice_send,
	};
	int r;

	ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ready_fd < 0)
		return -errno;
	fds[0] = fuse_session_fd(fs.session);
	r = fuse_session_custom_io(fs.session, &io, fds[0]);
	if (r != 0)
		return r < 0 ? r : -EIO;
	for (unsigned i = 1; i <= workers; i++) {
		fds[i] = wire_clone();
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

void wire_stop(void)
{
	for (unsigned i = 1; i <= FS_MAX_WORKERS; i++)
		zu_close_fd(&fds[i]);
	zu_close_fd(&ready_fd);
	fds[0] = -1; /* the session's */
}
