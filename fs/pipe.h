/* SPDX-License-Identifier: MIT */
/* pipe.h - pipes that a thread keeps, sized once. */
#ifndef FS_PIPE_H
#define FS_PIPE_H

#include <stddef.h>

/* All zero: not made yet. One thread uses it. */
struct fs_pipe {
	int out, in;	/* read from, write to */
	unsigned slots; /* buffers it holds, each a page or a part of one; 0: not made */
};

/* Have a pipe that holds `slots` buffers, or as many as the user may have: see what it got. Options
 * may make it smaller. EMFILE ENFILE */
int fs_pipe_make(struct fs_pipe *p, unsigned slots);
/* Drop it, with whatever is in it. */
void fs_pipe_drop(struct fs_pipe *p);

#endif
