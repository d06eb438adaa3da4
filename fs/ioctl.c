/* SPDX-License-Identifier: MIT */
/* ioctl.c - tickets for open files (abi/zc_ioctl.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs.h"
#include "tickets.h"
#include "util/cleanup.h"

/* Set once, by the main thread, while requests are served already: `known` is stored after it. */
static char address[sizeof(((struct zc_ticket *)0)->socket)];
static _Atomic bool known;

int64_t fs_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void ioctl_set_address(const char *path)
{
	snprintf(address, sizeof(address), "%s", path);
	atomic_store(&known, true);
}

/* A request names the thread; a socket's peer is the process. The thread waits for the answer, so
 * its number cannot mean another one meanwhile. 0: of a namespace that cannot be seen here, where the
 * socket's peer is 0 as well. */
static pid_t process_of(pid_t thread)
{
	zu_cleanup_file FILE *status = NULL;
	char path[48], line[128];
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	status = thread > 0 ? fopen(path, "re") : NULL;
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			return pid;
	return thread; /* hidden: right for a process of one thread */
}

/* Valid replies: ioctl, err */
void ll_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct ticket t = { .ino = ino, .uid = ctx->uid };
	struct zc_ticket out = { 0 };
	int r = 0;

	if (cmd != ZC_IOC_TICKET)
		r = -ENOTTY;
	else if (flags & FUSE_IOCTL_DIR)
		r = -EISDIR;
	else if (fs.opt.read_only)
		r = -EROFS;
	else if (!atomic_load(&known))
		r = -ENXIO;
	else if (out_size < sizeof(out))
		r = -EINVAL;
	if (r == 0) {
		t.pid = process_of(ctx->pid);
		t.writable = fi->fh & HANDLE_WRITABLE;
		t.cached = fi->fh & HANDLE_CACHED;
		r = tickets_issue(&t, fs_now_ms(), out.ticket);
	}
	if (r < 0) {
		reply_result(req, r);
		return;
	}
	memcpy(out.socket, address, sizeof(out.socket));
	out.writable = t.writable;
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}
