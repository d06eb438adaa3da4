/* SPDX-License-Identifier: MIT */
/* The workloads: what is done how often, at random, from a seed. */
#ifndef LAB_MIX_H
#define LAB_MIX_H

#include "world.h"

enum op {
	OP_CREATE,
	OP_WRITE,
	OP_APPEND,
	OP_PIPE,
	OP_AHEAD,
	OP_TRUNCATE,
	OP_PUNCH,
	OP_FALLOCATE,
	OP_CLONE,
	OP_RENAME,
	OP_EXCHANGE,
	OP_UNLINK,
	OP_FORGET,
	OP_TMPFILE,
	OP_LINK,
	OP_CHMOD,
	OP_UTIMES,
	OP_ROLLBACK,
	OP_COMMIT,
	OP_GROUP,
	OP_NAMES, /* a commit of names alone */
	OP_ALL,
	OP_REOPEN,
	OP_SLEEP,
	OP_COUNT
};

/* So short that it is full every few commits. */
#define LOG_BYTES (64u << 10)

enum policies { MIXED, EXPLICIT, AUTO };

struct mix {
	const char *name;
	unsigned ops, files, threads;
	uint64_t limit, span;
	enum policies policies;
	bool loose;  /* the engine may commit on its own */
	bool atomic; /* changes of one page only */
	bool large;  /* writes that go straight to the page file */
	bool checksums;
	unsigned commit_seconds; /* with the engine's timer */
	uint8_t weight[OP_COUNT];
};

const struct mix *mix_find(const char *name);
void mix_names(void);
/* One random operation. OP_REOPEN is returned, for the caller to do. */
enum op mix_step(const struct mix *m, struct world *w);
void mix_files(const struct mix *m, struct world *w);

#endif
