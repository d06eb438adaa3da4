/* SPDX-License-Identifier: MIT */
/* live_fixture.h - a client of an image inside the test: what libzc does in another process. */
#ifndef LIVE_FIXTURE_H
#define LIVE_FIXTURE_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live/live.h"

struct fixture_client {
	struct live_client *client;
	struct live_status status;
	uint8_t *map;
	int fd, uffd;
	bool tracked;
};

/* Protect the mapping; -1: this machine cannot. */
static inline int fixture_protect(void *map, size_t length)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = 1u << 12 | 1u << 13 | 1u << 15, /* WP of shmem, unpopulated, async */
	};
	struct uffdio_register range = {
		.range = { (uintptr_t)map, length },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = { (uintptr_t)map, length },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0 ||
			ioctl(fd, UFFDIO_WRITEPROTECT, &protect) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static inline int fixture_attach(struct live *live, uint64_t ino, bool writable, bool track,
				 struct fixture_client *c)
{
	const struct live_attach a = { .ino = ino, .writable = writable, .pid = getpid() };
	int r;

	memset(c, 0, sizeof(*c));
	c->uffd = -1;
	r = live_attach(live, &a, &c->client, &c->status, &c->fd, NULL);
	if (r < 0)
		return r;
	c->map = mmap(NULL, c->status.capacity, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
		      c->fd, 0);
	if (c->map == MAP_FAILED)
		abort();
	if (writable && track)
		c->uffd = fixture_protect(c->map, c->status.capacity);
	if (c->uffd >= 0)
		c->tracked = live_track(c->client, (uintptr_t)c->map, c->status.capacity,
					open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) == 1;
	return 0;
}

static inline void fixture_unmap(struct fixture_client *c)
{
	munmap(c->map, c->status.capacity);
	close(c->fd);
	if (c->uffd >= 0)
		close(c->uffd);
}

/* As a client leaves, or as one dies. */
static inline void fixture_detach(struct fixture_client *c, bool settle)
{
	if (settle)
		live_client_settle(c->client);
	fixture_unmap(c);
	live_detach(c->client);
	memset(c, 0, sizeof(*c));
}

#endif
