/* SPDX-License-Identifier: MIT */
/*
 * link.h - tickets and the control socket, without a zc_file; for libzc itself and for zcctl, which is linked
 * with its static library. All give 0 or a negative errno, with the text of zc_error(), and wait for
 * the mount and its daemon as long as it takes.
 */
#ifndef ZC_LINK_H
#define ZC_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "abi/zc_ctl.h"
#include "abi/zc_ioctl.h"

int lz_ticket(int fd, struct zc_ticket *ret);
/* Connect to where a ticket of `fd` may be shown. */
int lz_connect(int fd, const char *path, int *ret_link);

struct lz_request {
	unsigned type;
	const void *body;
	size_t length;
	int fd;	      /* to go with it, or -1 */
	void *answer; /* exactly this many bytes are wanted */
	size_t answer_size;
	int *ret_fd; /* NULL: none is wanted */
};
/* One request and its answer. -EUSERS: the daemon has no place for us. */
int lz_ask(int link, const struct lz_request *request);
/*
 * Ask with tickets of the `n` files: body and length are `prefix` bytes of `body`, to be followed by the
 * tickets. Over `link`; if that is -1, over a new connection, which then is `*ret_link`, -1 before.
 */
int lz_ask_tickets(const int *fds, size_t n, int link, struct lz_request *request, uint8_t *body,
		   size_t prefix, size_t suffix, int *ret_link);

/* Hand what the kernel has of the file to the daemon, without committing it. */
int lz_flush(int fd);
/* Commit the files of one mount, all or none; over `link`, or a new connection. At most ZC_CTL_COMMIT_MAX. */
int lz_commit(const int *fds, size_t n, int link);

struct lz_rollback {
	uint64_t size;
	struct timespec mtime;
	bool mtime_kept; /* false: only the owner may set it, so the file has another */
};
/* Return a file that is open for writing, live or not, to its last commit. */
int lz_roll_back(int fd, struct lz_rollback *ret);

#endif
