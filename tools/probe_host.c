/* SPDX-License-Identifier: MIT */
/* probe_host.c - what the filesystem of a store can do: tried on an unnamed or unlinked file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum { PAGE = 4096 };

/* A file without a name in `dir`, of 64 pages of data unless `empty`. */
static int scratch(const char *dir, int flags, bool empty)
{
	static const char zeros[PAGE];
	zu_cleanup_free char *name = NULL;
	zu_cleanup_close int fd = -1;

	if (asprintf(&name, "%s/.zcctl-probe-XXXXXX", dir) < 0)
		return -1;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (int i = 0; i < 64 && !empty; i++)
		if (zu_pwrite_full(fd, zeros, PAGE, (off_t)i * PAGE) != PAGE) {
			unlink(name);
			return -1;
		}
	if (flags) {
		int again = open(name, O_RDWR | O_CLOEXEC | flags);
		int saved = errno;

		close(fd);
		fd = again;
		errno = saved;
	}
	unlink(name);
	return TAKE_FD(fd);
}

static void probe_direct(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, O_DIRECT, false);
	zu_cleanup_free void *page = aligned_alloc(PAGE, PAGE);

	if (fd < 0 || !page) {
		probe_errno(result);
		return;
	}
	memset(page, 'd', PAGE);
	if (pwrite(fd, page, PAGE, PAGE) == PAGE && pread(fd, page, PAGE, 0) == PAGE)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

/* A page from a pipe straight into the file: the way of large writes. */
static void probe_splice(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, O_DIRECT, false);
	zu_cleanup_free char *page = aligned_alloc(PAGE, PAGE);
	int pipe_fds[2];
	off_t offset = PAGE;
	ssize_t n;

	if (fd < 0 || !page || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		probe_errno(result);
		return;
	}
	memset(page, 's', PAGE);
	n = write(pipe_fds[1], page, PAGE);
	if (n == PAGE)
		n = splice(pipe_fds[0], NULL, fd, &offset, PAGE, SPLICE_F_MOVE);
	memset(page, 0, PAGE);
	if (n != PAGE)
		probe_errno(result);
	else if (pread(fd, page, PAGE, PAGE) == PAGE && page[0] == 's' && page[PAGE - 1] == 's')
		result->answer = PROBE_YES;
	else
		probe_say(result, PROBE_NO, "the bytes are not those that were written");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void probe_fallocate(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, 0, true);

	if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 16 * PAGE) == 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

static void probe_punch(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, 0, false);

	if (fd >= 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 32 * PAGE) == 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

static void probe_seek(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, 0, true);
	off_t data;

	if (fd < 0 || ftruncate(fd, 1 << 20) < 0 ||
	    zu_pwrite_full(fd, "x", 1, (1 << 20) - PAGE) != 1) {
		probe_errno(result);
		return;
	}
	data = lseek(fd, 0, SEEK_DATA);
	if (data > 0)
		result->answer = PROBE_YES;
	else if (data == 0)
		probe_say(result, PROBE_NO, "holes look like data");
	else
		probe_errno(result);
}

static void probe_xattr(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, 0, true);

	if (fd >= 0 && fsetxattr(fd, "user.zcfs.probe", "1", 1, 0) == 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

static void probe_map(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = scratch(dir, 0, false);
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED) {
		probe_errno(result);
		return;
	}
	munmap(map, PAGE);
	result->answer = PROBE_YES;
}

const struct probe probes_host[] = {
	{ "host_direct", "O_DIRECT on the host filesystem",
	  "data pass through its page cache, and each commit flushes what others wrote",
	  probe_direct },
	{ "host_splice_direct", "splice into a file opened O_DIRECT",
	  "large writes are copied once in the daemon (about half as fast)", probe_splice },
	{ "host_mmap", "shared mappings of files", "a store cannot be made there: LMDB needs them",
	  probe_map },
	{ "host_fallocate", "fallocate",
	  "a full host shows only at the commit, and the page file gets fragmented",
	  probe_fallocate },
	{ "host_punch_hole", "punching holes",
	  "pages that were freed stay allocated on the host until they are used again",
	  probe_punch },
	{ "host_seek_hole", "SEEK_DATA and SEEK_HOLE",
	  "copies of a store's page file are not sparse (zcfs itself does without)", probe_seek },
	{ "host_xattr", "extended attributes of users",
	  "nothing: those of zcfs are in its metadata", probe_xattr },
	{ 0 },
};
