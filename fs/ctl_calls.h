/* SPDX-License-Identifier: MIT */
/* ctl_calls.h - requests of the control socket that work on files: COMMIT and ROLLBACK_*. */
#ifndef FS_CTL_CALLS_H
#define FS_CTL_CALLS_H

#include "ctl_server.h"
#include "tickets.h"

/* Hooks of the control server. */
void ctl_calls_take(void *arg, struct ctl_call *call);
void ctl_calls_gone(void *arg, uint64_t client);

/* Use a ticket of the caller up: the inode gets a reference. On failure the call is answered. */
int ctl_calls_redeem(struct ctl_call *call, const uint8_t *id, struct ticket *ret_ticket);

/* ---- scrub.c ----------------------------------------------------------------------------- */

int scrub_step(void *arg, const uint8_t *body, size_t length, cJSON *into); /* a hook */

/* ---- rollback.c -------------------------------------------------------------------------- */

void rollback_begin(struct ctl_call *call);
void rollback_end(struct ctl_call *call);
void rollback_gone(void *arg, uint64_t client); /* a hook */

#endif
