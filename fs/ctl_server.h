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
#include <stdint.h>

#include "util/err.h"

struct ctl_hooks {
	void *arg;
	/* Add the facts of the mount to `into`; a negative errno refuses the request. Must not block.
	 * Numbers above 2^53 go in by cJSON_AddRawToObject(). NULL: ENOSYS. */
	int (*info)(void *arg, cJSON *into);
};

struct ctl_server;

/* Listen for the store `path` (absolute). EADDRINUSE: a live daemon has the socket (a copy of the
 * store, with the same uuid, is mounted). EINVAL EACCES ENOMEM and those of bind(2). */
int ctl_server_start(const char *path, const uint8_t uuid[16], const struct ctl_hooks *hooks,
		     struct ctl_server **ret_server, struct zu_err *err);

/* Where it listens. */
const char *ctl_server_address(const struct ctl_server *server);

/* End the thread, waiting for a hook in progress, and remove the socket. Accepts NULL. */
void ctl_server_stop(struct ctl_server *server);

#endif
