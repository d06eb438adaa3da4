/* SPDX-License-Identifier: MIT */
/*
 * The table of a kill test, mapped from a file outside the mount: it survives whatever happens to
 * the mount. Before a process changes a file it stores the version as started, and after a commit
 * was acknowledged it stores it as acked. Versions are never used twice.
 *
 * After a crash a file may be at `acked`, or at a version in [first, started] above it; first is
 * the first version of the round. Version 0: no file, or an empty one.
 */
#ifndef ZC_CRASH_LOAD_H
#define ZC_CRASH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What is done to a file; each process has PER of them. */
enum kind {
	WRITER,	 /* pwrite in place, ftruncate, fsync */
	MAPPER,	 /* ftruncate, stores to a mapping, msync */
	RENAMER, /* a new file, renamed over the old one */
	MAKER,	 /* odd versions: created and fsynced; even ones: unlinked */
	KINDS
};

enum { PROCS = 8, PER = 3, SLOTS = PROCS * PER };

struct slot {
	uint32_t next, first;
	_Atomic uint32_t started, acked;
};

struct table {
	_Atomic bool stop;
	struct slot slot[SLOTS];
};

static inline enum kind slot_kind(int i)
{
	return (enum kind)(i / PER % KINDS);
}

static inline uint32_t slot_file(int i)
{
	return (uint32_t)i + 1;
}

/* load.c / load_verify.c */
void slot_name(int i, bool temporary, char out[32]);
int load_verify(const char *dir, struct table *t);

#endif
