/* SPDX-License-Identifier: MIT */
/*
 * umount_fuse_zcfs.c - umount.fuse.zcfs, which umount(8) runs for a mount of type fuse.zcfs: as
 * `zcctl umount`, so that also umount(8) returns after the last commit. It never calls umount(8),
 * which would call it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "umount.h"
#include "util/cleanup.h"
#include "util/fdio.h"

/* umount -N: go where the mount is. */
static int enter(const char *name)
{
	zu_cleanup_close int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && setns(fd, CLONE_NEWNS) == 0)
		return 0;
	fprintf(stderr, "umount.fuse.zcfs: mount namespace %s: %s\n", name, strerror(errno));
	return -1;
}

int main(int argc, char **argv)
{
	struct umount_options options = { .program = "umount.fuse.zcfs", .seconds = 300 };
	int c;

	zu_fill_stdio();
	/* What libmount may give; -n -v -r -t mean nothing here. */
	while ((c = getopt(argc, argv, "nlfvrN:t:o:")) != -1)
		switch (c) {
		case 'l':
			options.lazy = true;
			break;
		case 'f':
			options.force = true;
			break;
		case 'N':
			if (enter(optarg) < 0)
				return 2;
			break;
		case '?':
			return 2;
		default:
			break;
		}
	if (optind + 1 != argc) {
		fputs("usage: umount.fuse.zcfs MNT [-nlfvr] [-N NAMESPACE] [-t TYPE]\n", stderr);
		return 2;
	}
	return umount_and_wait(argv[optind], &options);
}
