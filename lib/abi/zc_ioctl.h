/* SPDX-License-Identifier: MIT */
/*
 * zc_ioctl.h - the ioctl of files on a mount: a ticket, with which the control socket (zc_ctl.h) may
 * be asked to do something with the file.
 *
 *	struct zc_ticket t = { 0 };
 *	ioctl(fd, ZC_IOC_TICKET, &t)
 *
 * A ticket is 128 random bits. It stands for the inode and for whether `fd` can write, and is good for
 * one request, of the process that asked for it (by its pid and uid, as the socket's peer), within
 * ZC_TICKET_SECONDS. A uid has at most ZC_TICKETS_MAX of them; one more drops its oldest.
 *
 * Who is going to have a file live (ATTACH in zc_ctl.h) opens it for writing with ZC_OPEN_LIVE besides
 * O_RDWR, a pair of flags without another use for a regular file (O_DIRECT needs _GNU_SOURCE). On a
 * mount with the write-back cache such a descriptor has no cached pages that could be written back
 * over the live memory, so two programs that open a file at the same time do not refuse each other.
 * It cannot be mapped (MAP_SHARED: ENODEV; with -o cache=none: msync fails with EBUSY).
 *
 * ENOTTY: not a file of a zcfs; EISDIR: a directory; EROFS: mounted read-only; ENXIO: the daemon has no
 * control socket (its log says why); ENOMEM. The structure is the same for 32 and 64 bit. Since
 * version 0.1.
 */
#ifndef ZC_IOCTL_H
#define ZC_IOCTL_H

#include <assert.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdint.h>

#define ZC_TICKET_SIZE 16
#define ZC_TICKET_SECONDS 15
#define ZC_TICKETS_MAX 1024

struct zc_ticket {
	uint8_t ticket[ZC_TICKET_SIZE];
	char socket[108];    /* path of the control socket, terminated */
	uint8_t writable;    /* 1: `fd` is open for writing */
	uint8_t reserved[3]; /* 0 */
};
static_assert(sizeof(struct zc_ticket) == 128, "the same for 32 and 64 bit");

#define ZC_OPEN_LIVE (O_DIRECT | O_NONBLOCK)

#define ZC_IOC_TICKET _IOR('Z', 0x43, struct zc_ticket)

#endif
