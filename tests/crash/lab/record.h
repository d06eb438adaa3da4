/* SPDX-License-Identifier: MIT */
/*
 * The record of a run: what recorder.so writes and replay reads. A sequence of records, each a
 * header and `length` bytes, in the order in which the calls were complete.
 */
#ifndef LAB_RECORD_H
#define LAB_RECORD_H

#include <stdint.h>

enum rec_type {
	REC_FILE = 1,	/* a file as it was when recording began: name, NUL, bytes; offset: size */
	REC_WRITE,	/* bytes at offset */
	REC_SIZE,	/* the file is at least (flag TRUNCATE: exactly) `offset` bytes long */
	REC_PUNCH,	/* `offset` and, as 8 bytes of data, the length: zeros */
	REC_SYNC_BEGIN, /* what was complete before this ... */
	REC_SYNC_END,	/* ... is durable from here on; offset: index of its begin */
	REC_MARKER,	/* a text of the workload */
	REC_ODD,	/* something that the model of the disk has no place for: text */
};

#define REC_FLAG_DURABLE 1u  /* written through a descriptor with O_DSYNC */
#define REC_FLAG_TRUNCATE 2u /* may make it shorter */

struct rec_header {
	uint32_t type;
	uint32_t file; /* number of a REC_FILE record, from 0 */
	uint64_t offset;
	uint32_t length;
	uint32_t flags;
};

/* What the preload offers to the program that it is loaded into. */
void zc_record_start(const char *store, const char *record);
void zc_record_stop(void);
void zc_marker(const char *text);
/* The n-th call on a file of `store` (from 1) fails; `kind`: 'e' EIO, 's' ENOSPC, 'h' short, and
 * in capitals that one and all later ones. n = 0: only count. */
void zc_fault_arm(const char *store, unsigned long n, int kind);
unsigned long zc_fault_disarm(void); /* calls counted */
/* Random numbers and the clock become a function of `seed`. */
void zc_deterministic(uint64_t seed);

#endif
