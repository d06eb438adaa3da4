/* SPDX-License-Identifier: MIT */
/* pipe.c - pipes that a thread keeps, sized once. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs.h"
#include "pipe.h"

int fs_pipe_make(struct fs_pipe *p, unsigned slots)
{
	int fds[2], size;

	if (p->slots)
		return 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (fs.opt.pipe_size)
		slots = (unsigned)(fs.opt.pipe_size / FS_PAGE);
	/* More than pipe-max-size is for root alone; then the most that is allowed. */
	size = fcntl(fds[1], F_SETPIPE_SZ, (int)(slots * FS_PAGE));
	if (size < 0 && slots * FS_PAGE > FS_MAX_IO)
		fcntl(fds[1], F_SETPIPE_SZ, FS_MAX_IO);
	size = fcntl(fds[1], F_GETPIPE_SZ);
	*p = (struct fs_pipe){
		.out = fds[0],
		.in = fds[1],
		.slots = size < FS_PAGE ? 1 : (unsigned)size / FS_PAGE,
	};
	return 0;
}

void fs_pipe_drop(struct fs_pipe *p)
{
	if (!p->slots)
		return;
	close(p->out);
	close(p->in);
	*p = (struct fs_pipe){ 0 };
}
