/* SPDX-License-Identifier: MIT */
/*
 * ctl_server.h - the daemon's end of the control socket (abi/zc_ctl.h).
 *
 * One thread of its own, which calls the hooks one at a time. Start it after daemonizing and after
 * the mount is there; without it the mount works all the same, so a failure is to be logged, no
 * more. Since version 0.1.
 */
#ifndef FS_CTL_SERVER_H
#define FS_CTL_SERVER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "util/err.h"

/* A request that takes its time. It belongs to who answers it. */
struct ctl_call {
	unsigned type;
	uint64_t client; /* the connection's number, never used again */
	struct ucred peer;
	size_t length;
	const uint8_t *body;
	int fd; /* that came with TRACK, or -1: who takes it leaves -1 */
};

struct ctl_hooks {
	void *arg;
	bool everybody; /* other users have files of the mount, too */
	/* Add the facts of the mount to `into`; a negative errno refuses the request. Must not block.
	 * Numbers above 2^53 go in by cJSON_AddRawToObject(). NULL: ENOSYS. */
	int (*info)(void *arg, cJSON *into);
	/* STATS, as `info`. */
	int (*stats)(void *arg, cJSON *into);
	/* SCRUB: one step, as the protocol says it; may take 0.2 s. NULL: ENOSYS. */
	int (*scrub)(void *arg, const uint8_t *body, size_t length, cJSON *into);
	/* LIVE_LIST, as `info`. */
	int (*list)(void *arg, cJSON *into);
	/* A request of another type. Must not block; whoever does the work, then or later, in any
	 * thread, calls ctl_call_answer() once. NULL: such requests are unknown. */
	void (*call)(void *arg, struct ctl_call *call);
	/* The connection of this number has ended; its calls are to be answered all the same. May be
	 * NULL. */
	void (*gone)(void *arg, uint64_t client);
};

struct ctl_server;

/* `result`: 0, or a negative errno with a line `why` (NULL: strerror) that needs no escaping in JSON.
 * After a success `size` (at most 64) bytes of `body` are the reply's. */
void ctl_call_answer(struct ctl_call *call, int result, const char *why, const void *body,
		     size_t size);

/* A success, with a descriptor (taken over; -1: none). */
void ctl_call_answer_fd(struct ctl_call *call, const void *body, size_t size, int fd);

/* Listen for the store `path` (absolute). EADDRINUSE: a live daemon has the socket (a copy of the
 * store, with the same uuid, is mounted). EINVAL EACCES ENOMEM and those of bind(2). */
int ctl_server_start(const char *path, const uint8_t uuid[16], const struct ctl_hooks *hooks,
		     struct ctl_server **ret_server, struct zu_err *err);

/* Where it listens. */
const char *ctl_server_address(const struct ctl_server *server);

/* Hang up, wait until every call is answered, end the thread and remove the socket. Accepts NULL. */
void ctl_server_stop(struct ctl_server *server);

#endif
