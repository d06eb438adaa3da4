/* SPDX-License-Identifier: MIT */
/* ctl_reply.h - packets to a client of the control socket. None waits; false: the client takes no
 * more, or is gone. */
#ifndef FS_CTL_REPLY_H
#define FS_CTL_REPLY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

bool ctl_send_reply(int fd, unsigned type, int code, const void *body, size_t length);
/* With a descriptor, which stays the caller's; -1: none. */
bool ctl_send_reply_fd(int fd, unsigned type, int code, const void *body, size_t length, int pass);
/* `why` needs no escaping in JSON. */
bool ctl_send_error(int fd, unsigned type, int code, const char *why);
bool ctl_send_json(int fd, unsigned type, const cJSON *json);

/* Close what a client sent. That hangs where its filesystem does, so nobody waits for it. */
void ctl_dispose(int fd);
/* False: so many of them hang that no other should be taken. */
bool ctl_may_dispose(void);

#endif
