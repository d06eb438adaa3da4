/* SPDX-License-Identifier: MIT */
/* ctl_client.h - asking the daemon of a mounted store (abi/zc_ctl.h). */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <cjson/cJSON.h>
#include <sys/types.h>

#include "util/err.h"

/*
 * Ask the daemon that has the store `path` mounted; `uid` is who mounted it, or the caller.
 * -ENOENT: no daemon listens. Others, with a text: EACCES EBADMSG EPROTONOSUPPORT ETIMEDOUT, and
 * what the daemon itself gave. `ret_socket` (108 bytes) gets the address. cJSON_Delete() the reply.
 */
int ctl_ask(const char *path, uid_t uid, unsigned type, char *ret_socket, cJSON **ret_json,
	    struct zu_err *err);

/* The same at an address that ctl_ask() gave, with arguments. ENOENT with a text, too. */
int ctl_ask_at(const char *socket, uid_t uid, unsigned type, const void *body, size_t length,
	       cJSON **ret_json, struct zu_err *err);

/* The path of the store that is mounted at `point`, when the table of mounts does not say it (-o
 * fsname): asks every daemon of `uid`. NULL: none; to be freed. */
char *ctl_find_store(const char *point, uid_t uid);

#endif
