/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - what the daemon has done: bytes by the path they took, fallbacks by reason, errors, and
 * requests with the time they took. What the engine does is counted there (enum store_path).
 *
 * Rules: a byte is counted once, when it has taken its path and before the answer leaves, so that
 * who has an answer finds it counted. An operation is a request that a path had a part in. Counting
 * takes no lock and never fails: each thread adds to one of a few sheets, which are summed up when
 * somebody asks; the sum of a moment may miss what is being added.
 */
#ifndef FS_LEDGER_H
#define FS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct cJSON;

/* JSON has NAME_bytes and NAME_ops of each. The paths of a READ add up to LEDGER_READ; those of a WRITE,
 * with the engine's, to LEDGER_WRITE. */
enum ledger_path {
	LEDGER_READ,	    /* read: READs answered */
	LEDGER_READ_SPLICE, /* page file -> pipe -> device */
	LEDGER_READ_MAP,    /* gathered from the mapped page file */
	LEDGER_READ_COPY,   /* copied in this process */
	LEDGER_READ_DIRECT, /* O_DIRECT into the worker's buffer */
	LEDGER_READ_MEMORY, /* of the store's buffers, not yet in the page file */
	LEDGER_READ_ZERO,   /* holes */
	LEDGER_READ_IMAGE,  /* of live and passed files */
	LEDGER_WRITE,	    /* write: WRITEs answered */
	LEDGER_WRITE_IMAGE, /* into live and passed files */
	LEDGER_PATHS
};

/* Why a path that costs less was not taken; those of writes are the engine's (enum store_fallback). */
enum ledger_fallback {
	/* of READs */
	LEDGER_NO_SPLICE,	/* the kernel refused it, or it is forced off */
	LEDGER_SMALL_PIPE,	/* the pipe cannot hold the request */
	LEDGER_NO_MAP,		/* the page file cannot be mapped */
	LEDGER_TOO_MANY_PIECES, /* for one gathered answer */
	LEDGER_CHECKSUMS,	/* the bytes have to be seen */
	LEDGER_NO_READAHEAD,	/* there is no sysfs that sets the mount's read-ahead */
	/* of large write-backs, on their way into the daemon */
	LEDGER_RECEIVE_NO_SPLICE,
	LEDGER_RECEIVE_SMALL_PIPE,
	LEDGER_RECEIVE_CHECKSUMS,
	LEDGER_FALLBACKS
};

void ledger_path(enum ledger_path path, uint64_t bytes);
void ledger_fallback(enum ledger_fallback reason);
/* An answer with this errno, of either sign. */
void ledger_error(int error);

/* A request has come; the number is the kernel's, without a tag. */
void ledger_request(uint64_t unique, uint32_t opcode);
/* Its answer is out, or it needs none. Any thread; a number that is not known is ignored. */
void ledger_answered(uint64_t unique);

uint64_t ledger_requests(void); /* all that have come */

/* Members NAME_bytes and NAME_ops.. */
bool ledger_add_paths(struct cJSON *json);
/* Members "operations", "fallbacks", "errors", each an object. */
bool ledger_add_rest(struct cJSON *json);

#endif
