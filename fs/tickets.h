/* SPDX-License-Identifier: MIT */
/*
 * tickets.h - the table of tickets (abi/zc_ioctl.h): random numbers that stand, once and for a while,
 * for an open file of a process. Knows nothing of FUSE or the store. Any thread may call.
 */
#ifndef FS_TICKETS_H
#define FS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/zc_ioctl.h"

enum { TICKETS_ALL = 16 * ZC_TICKETS_MAX }; /* of all users together */

struct ticket {
	uint64_t ino;
	bool writable;
	bool cached; /* and its writes go through the kernel's cache */
	uid_t uid;   /* whose it is */
	pid_t pid;
};

/* A new ticket for what `t` says, good until `now` (any clock, ms) + ZC_TICKET_SECONDS. The oldest
 * one is dropped where a limit is reached. ENOMEM, and those of getrandom(2). */
int tickets_issue(const struct ticket *t, int64_t now, uint8_t ret_id[ZC_TICKET_SIZE]);

/* Use a ticket up. ESTALE: unknown, used, or too old; EPERM: of another process, and left to it. */
int tickets_take(const uint8_t id[ZC_TICKET_SIZE], uid_t uid, pid_t pid, int64_t now,
		 struct ticket *ret_ticket);

unsigned tickets_count(void);
void tickets_clear(void);

#endif
