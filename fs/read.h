/* SPDX-License-Identifier: MIT */
/* read.h - what the files of the read path share. */
#ifndef FS_READ_H
#define FS_READ_H

#include "fs.h"

enum { READ_PIECES = 600 };

/* The answer to a READ while it is put together, and what it is counted as. */
struct answer {
	struct iovec iov[READ_PIECES + 1]; /* the first is for the header */
	unsigned count;
	uint64_t length;
	char *buf; /* the next free page of the worker's buffer */
	uint64_t spliced, mapped, direct, copied, memory, holes;
};

/* ---- data_read.c ------------------------------------------------------------------------ */

/* Count the answer: before it leaves. */
void read_count(const struct answer *a);
/* Read that piece of the page file past the page cache into the answer's buffer, in whole pages;
 * *ret_at is its first byte. -EIO: the page file is too short. */
int read_direct(struct answer *a, uint64_t pos, uint64_t length, const char **ret_at);

/* ---- read_splice.c ---------------------------------------------------------------------- */

/* Answer by way of a pipe. -EOPNOTSUPP: it was not answered, and another way has to; another error:
 * it was not answered, and is to be answered with that. `cached`: the page file's pages are in the
 * page cache, so take them from there. */
int read_splice(const struct request *r, const struct store_read *read, struct answer *a,
		bool cached);
/* The thread ends. */
void read_splice_end(void);

/* ---- read_ahead.c ----------------------------------------------------------------------- */

/* How the page file's pages of a READ come cheapest. */
struct read_source {
	bool cached; /* they are in the host's page cache, or on the way there */
	bool ahead;  /* since we had them read ahead: tell read_ahead_done() */
};
void read_source(const struct store_read *read, struct read_source *ret_source);
/* It is answered: what is in the reader's cache now need not stay in the host's. */
void read_ahead_done(const struct store_read *read);

#endif
