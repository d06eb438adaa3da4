/* SPDX-License-Identifier: MIT */
/* probe_memory.c - pipes, memfds and the tracking of dirty pages, as live files use them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"
#include "util/cleanup.h"

/* Newer than some packaged headers; from the kernel's uapi memfd.h, fs.h and userfaultfd.h. */
#define NOEXEC_SEAL 0x0008u
#define WP_SHMEM (1u << 12)
#define WP_UNPOPULATED (1u << 13)
#define WP_ASYNC (1u << 15)
#define USER_MODE_ONLY 1
struct scan_region {
	uint64_t start, end, categories;
};
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define IOC_PAGEMAP_SCAN _IOWR('f', 16, struct scan_arg)
#define SCAN_WRITTEN (1u << 1)
#define SCAN_PROTECT_AGAIN (1u << 0)
#define SCAN_NEEDS_ASYNC (1u << 1)

enum { PAGE = 4096, PAGES = 16, DIRTY = 5 };

static void probe_pipe(const char *dir, struct probe_result *result)
{
	int fds[2], got;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		probe_errno(result);
		return;
	}
	got = fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	if (got < 0)
		got = fcntl(fds[1], F_GETPIPE_SZ);
	probe_say(result, got >= 1 << 20 ? PROBE_YES : PROBE_NO, "%d KiB", got / 1024);
	close(fds[0]);
	close(fds[1]);
}

static void probe_memfd(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = memfd_create("zcctl-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, PAGE) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

static void probe_noexec(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd =
		memfd_create("zcctl-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL);

	if (fd >= 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

/* A mapping of a memfd under asynchronous write protection; gives its userfaultfd. */
static int protect(char **ret_map)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = WP_SHMEM | WP_UNPOPULATED | WP_ASYNC,
	};
	zu_cleanup_close int memfd = memfd_create("zcctl-probe", MFD_CLOEXEC);
	zu_cleanup_close int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
	char *map;

	if (memfd < 0 || fd < 0 || ftruncate(memfd, PAGES * PAGE) < 0 ||
	    ioctl(fd, UFFDIO_API, &api) < 0)
		return -1;
	map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (map != MAP_FAILED) {
		struct uffdio_range range = { (uintptr_t)map, PAGES * PAGE };
		struct uffdio_register reg = { .range = range, .mode = UFFDIO_REGISTER_MODE_WP };
		struct uffdio_writeprotect wp = { .range = range,
						  .mode = UFFDIO_WRITEPROTECT_MODE_WP };

		if (ioctl(fd, UFFDIO_REGISTER, &reg) == 0 &&
		    ioctl(fd, UFFDIO_WRITEPROTECT, &wp) == 0) {
			*ret_map = map;
			return TAKE_FD(fd);
		}
		munmap(map, PAGES * PAGE);
	}
	return -1;
}

static void probe_uffd(const char *dir, struct probe_result *result)
{
	char *map = NULL;
	zu_cleanup_close int fd = protect(&map);

	if (fd < 0) {
		probe_errno(result);
		return;
	}
	map[0] = 1; /* would hang here, were the faults not resolved by the kernel */
	munmap(map, PAGES * PAGE);
	result->answer = PROBE_YES;
}

static void probe_scan(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct scan_region region[PAGES] = { 0 };
	char *map = NULL;
	zu_cleanup_close int fd = protect(&map);
	struct scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_PROTECT_AGAIN | SCAN_NEEDS_ASYNC,
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + PAGES * PAGE,
		.vec = (uintptr_t)region,
		.vec_len = PAGES,
		.category_mask = SCAN_WRITTEN,
		.return_mask = SCAN_WRITTEN,
	};
	int n;

	if (fd < 0) {
		probe_say(result, PROBE_UNKNOWN, "needs userfaultfd");
		return;
	}
	map[DIRTY * PAGE] = 1;
	n = pagemap < 0 ? -1 : ioctl(pagemap, IOC_PAGEMAP_SCAN, &arg);
	if (n < 0)
		probe_errno(result);
	else if (n == 1 && region[0].start == (uintptr_t)map + DIRTY * PAGE &&
		 region[0].end == region[0].start + PAGE)
		result->answer = PROBE_YES;
	else
		probe_say(result, PROBE_NO, "it gave other pages than the dirty one");
	munmap(map, PAGES * PAGE);
}

static void probe_uring(const char *dir, struct probe_result *result)
{
	char params[120] = { 0 }; /* struct io_uring_params */
	zu_cleanup_close int fd = (int)syscall(SYS_io_uring_setup, 4, params);

	if (fd >= 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

const struct probe probes_memory[] = {
	{ "pipe_1m", "pipes of 1 MiB", "large requests are copied instead of spliced", probe_pipe },
	{ "memfd", "memfd with seals", "there are no live files", probe_memfd },
	{ "memfd_noexec", "memfd with MFD_NOEXEC_SEAL",
	  "images of live files could be made executable", probe_noexec },
	{ "uffd_wp_async", "asynchronous write protection by userfaultfd",
	  "commits of live files compare whole images instead of finding the dirty pages",
	  probe_uffd },
	{ "pagemap_scan", "PAGEMAP_SCAN",
	  "commits of live files compare whole images instead of finding the dirty pages",
	  probe_scan },
	{ "io_uring", "io_uring", "nothing yet: zcfs does not use it", probe_uring },
	{ 0 },
};
