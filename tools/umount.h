/* SPDX-License-Identifier: MIT */
/* umount.h - unmounting, common to `zcctl umount` and the helper of umount(8). */
#ifndef UMOUNT_H
#define UMOUNT_H

#include <stdbool.h>

struct umount_options {
	const char *program; /* before messages */
	bool lazy;	     /* detach now; do not wait */
	bool force;	     /* abort what hangs: uncommitted changes are lost */
	bool quiet;	     /* no progress */
	unsigned seconds;    /* wait so long for the last commit */
};
/* Gives an exit code: 0, or 2 with a line on stderr. */
int umount_and_wait(const char *path, const struct umount_options *options);

#endif
