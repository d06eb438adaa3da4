/* SPDX-License-Identifier: MIT */
/* ctl_listen.h - where the control socket is: made, taken over from the dead, removed. */
#ifndef FS_CTL_LISTEN_H
#define FS_CTL_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "util/err.h"

struct ctl_listen {
	struct sockaddr_un address;
	int fd, dir_fd; /* -1 */
	bool everybody; /* set before: not in $XDG_RUNTIME_DIR, which other users cannot enter */
	dev_t dev;	/* of the socket's file, to remove no other */
	ino_t ino;
};

/* Listen at the first place of abi/zc_ctl.h that can be used. */
int ctl_listen_open(struct ctl_listen *l, const char *uuid, int backlog, struct zu_err *err);
/* Accepts one that was never opened (fd and dir_fd -1). */
void ctl_listen_close(struct ctl_listen *l);

#endif
