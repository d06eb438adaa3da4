/* SPDX-License-Identifier: MIT */
/*
 * zc_fake.h - a daemon in a thread, for tests of libzc without a mount: tickets come from the ioctl of
 * any file (the test is linked with --wrap=ioctl), the control socket gives out one memfd.
 */
#ifndef ZC_FAKE_H
#define ZC_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake {
	/* What the test may set while nothing is asked */
	bool off;	       /* no file is one of ours */
	int refuse_type;       /* requests of this type fail ... */
	int refuse_status;     /* ... so */
	bool hang_up;	       /* instead of an answer to refuse_type */
	uint32_t lies;	       /* not 0: answers are changed at random, from this seed on */
	int stale;	       /* so many tickets more are unknown */
	int extra_fds;	       /* of ATTACH's answer, besides the image */
	int hold_type;	       /* requests of this type are not answered until this is -1 */
	int no_place;	       /* so many connections more are refused at once */
	bool unsealed;	       /* images without seals */
	bool passthrough;      /* images are such */
	bool cannot_track;     /* TRACK is answered so */
	bool second_mount;     /* tickets are of another socket */
	const char *elsewhere; /* tickets name this socket */
	uint64_t generation;   /* of LIVE_STATUS */
	uint64_t size, capacity;

	/* What it saw */
	int asked[16]; /* requests by type */
	int attached;  /* connections */
	int tracks_with_fd;
	uint64_t track_address, track_length, wanted;
	uint32_t attach_flags, tickets_shown;
	int pagemap; /* of the last TRACK, -1 */
	int memfd;
};
extern struct fake fake;

void fake_start(void);
void fake_stop(void);
/* As after fake_start(). */
void fake_reset(void);
/* Until no connection is attached; false: not within 10 s. */
bool fake_wait_detached(void);
/* Pages stored to since the last call, through the passed page map; looks and protects again. */
long fake_scan(uint64_t *pages, size_t max);

#endif
