/* SPDX-License-Identifier: MIT */
/*
 * track.c - have the kernel note which pages of a mapping are stored to, so that the daemon can look it
 * up (PAGEMAP_SCAN through a descriptor of our page map) instead of comparing the whole file.
 *
 * Asynchronous write protection of userfaultfd: the first store to a page costs one fault in the
 * kernel, which lifts the protection by itself; nobody waits for us. It sees only stores through
 * this mapping of this process, which is why a child of fork does not get the mapping (zc/map.h).
 */
#include "zc_i.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* Newer than some headers: Linux 5.11 to 6.7. */
#define USER_MODE_ONLY 1
#define FEATURE_WP_SHMEM (1ull << 12)
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_WP_ASYNC (1ull << 15)

int lz_track(void *map, size_t length, int *ret_uffd, int *ret_pagemap)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = FEATURE_WP_SHMEM | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC,
	};
	struct uffdio_register range = {
		.range = { (uintptr_t)map, length },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = { (uintptr_t)map, length },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	zu_cleanup_close int uffd = -1, pagemap = -1;

	if (secure_getenv("ZC_NO_TRACKING"))
		return -EOPNOTSUPP;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return -errno;
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 ||
	    ioctl(uffd, UFFDIO_REGISTER, &range) < 0 ||
	    ioctl(uffd, UFFDIO_WRITEPROTECT, &protect) < 0)
		return -errno;
	*ret_uffd = TAKE_FD(uffd);
	*ret_pagemap = TAKE_FD(pagemap);
	return 0;
}
