/* SPDX-License-Identifier: MIT */
/* What a store may look like after a crash, as the markers of the workload say. */
#ifndef LAB_LEGAL_H
#define LAB_LEGAL_H

#include "log.h"

#define LEGAL_WORLDS 8
#define LEGAL_LOOSE 512

struct text {
	const char *text;
	size_t length;
};

struct legal {
	unsigned nworlds;
	uint64_t number; /* changes with every marker that changes what is legal */
	struct {
		struct text acked, flight, next, loose[LEGAL_LOOSE];
		unsigned nloose;
		bool in_flight, has_next;
	} worlds[LEGAL_WORLDS];
};

void legal_marker(struct legal *l, const struct event *e);
/* An operation in progress may be on the disk before the workload has said so: what the next
 * marker of each "loose" world will be, from event `n` on. */
void legal_look_ahead(struct legal *l, const struct log *log, size_t n);
/* Check the store `dir` with the engine; 0, or 1 with the reason in `why` (and more on stderr if
 * `explain`). */
int legal_check(const struct legal *l, const char *dir, char why[1000], bool explain);
/* Open it for writing, use it, and look again: recovery. It is changed. */
int legal_recover(const struct legal *l, const char *dir, char why[1000]);

#endif
