/* SPDX-License-Identifier: MIT */
/*
 * ledger.c - see ledger.h.
 *
 * The first threads, workers among them, have a sheet each, to which nobody else adds: a load and a
 * store will do, and the lines stay in the CPU's own cache. All later ones share the last, and add
 * atomically. Nothing is ordered by these numbers, so all of it is relaxed.
 *
 * When a request came is kept in a table by its number. One that is answered very late may have lost
 * its place to a younger one: then it counts as a request, and its time is not known.
 */
#include "ledger.h"

#include <cjson/cJSON.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto.h"

enum {
	SHEETS = 32,
	OPERATIONS = 64, /* by opcode; 0: unknown ones */
	ERRNOS = 134,	 /* Linux has none above; 0: unknown ones */
	FLIGHTS = 2048,
};

typedef _Atomic uint64_t counter;

static struct sheet {
	_Alignas(128) counter bytes[LEDGER_PATHS];
	counter ops[LEDGER_PATHS];
	counter fallbacks[LEDGER_FALLBACKS];
	struct {
		counter came, answered, ns, most;
	} operations[OPERATIONS];
	counter errors[ERRNOS];
} sheets[SHEETS];

static struct {
	counter unique, start;
	_Atomic uint32_t opcode;
} flights[FLIGHTS];

static const char *const path_names[LEDGER_PATHS] = {
	[LEDGER_READ] = "read",
	[LEDGER_READ_SPLICE] = "read_splice",
	[LEDGER_READ_MAP] = "read_map",
	[LEDGER_READ_COPY] = "read_copy",
	[LEDGER_READ_DIRECT] = "read_direct",
	[LEDGER_READ_MEMORY] = "read_memory",
	[LEDGER_READ_ZERO] = "read_zero",
	[LEDGER_READ_IMAGE] = "read_image",
	[LEDGER_WRITE] = "write",
	[LEDGER_WRITE_IMAGE] = "write_image",
};

static const char *const fallback_names[LEDGER_FALLBACKS] = {
	[LEDGER_NO_SPLICE] = "read_no_splice",
	[LEDGER_SMALL_PIPE] = "read_small_pipe",
	[LEDGER_NO_MAP] = "read_no_map",
	[LEDGER_TOO_MANY_PIECES] = "read_too_many_pieces",
	[LEDGER_CHECKSUMS] = "read_checksums",
	[LEDGER_NO_READAHEAD] = "no_readahead_control",
	[LEDGER_RECEIVE_NO_SPLICE] = "receive_no_splice",
	[LEDGER_RECEIVE_SMALL_PIPE] = "receive_small_pipe",
	[LEDGER_RECEIVE_CHECKSUMS] = "receive_checksums",
};

static const char *const operation_names[OPERATIONS] = {
	[0] = "unknown",
	[FUSE_LOOKUP] = "lookup",
	[FUSE_FORGET] = "forget",
	[FUSE_GETATTR] = "getattr",
	[FUSE_SETATTR] = "setattr",
	[FUSE_READLINK] = "readlink",
	[FUSE_SYMLINK] = "symlink",
	[FUSE_MKNOD] = "mknod",
	[FUSE_MKDIR] = "mkdir",
	[FUSE_UNLINK] = "unlink",
	[FUSE_RMDIR] = "rmdir",
	[FUSE_RENAME] = "rename",
	[FUSE_LINK] = "link",
	[FUSE_OPEN] = "open",
	[FUSE_READ] = "read",
	[FUSE_WRITE] = "write",
	[FUSE_STATFS] = "statfs",
	[FUSE_RELEASE] = "release",
	[FUSE_FSYNC] = "fsync",
	[FUSE_SETXATTR] = "setxattr",
	[FUSE_GETXATTR] = "getxattr",
	[FUSE_LISTXATTR] = "listxattr",
	[FUSE_REMOVEXATTR] = "removexattr",
	[FUSE_FLUSH] = "flush",
	[FUSE_INIT] = "init",
	[FUSE_OPENDIR] = "opendir",
	[FUSE_READDIR] = "readdir",
	[FUSE_RELEASEDIR] = "releasedir",
	[FUSE_FSYNCDIR] = "fsyncdir",
	[FUSE_GETLK] = "getlk",
	[FUSE_SETLK] = "setlk",
	[FUSE_SETLKW] = "setlkw",
	[FUSE_ACCESS] = "access",
	[FUSE_CREATE] = "create",
	[FUSE_INTERRUPT] = "interrupt",
	[FUSE_BMAP] = "bmap",
	[FUSE_DESTROY] = "destroy",
	[FUSE_IOCTL] = "ioctl",
	[FUSE_POLL] = "poll",
	[FUSE_NOTIFY_REPLY] = "notify_reply",
	[FUSE_BATCH_FORGET] = "batch_forget",
	[FUSE_FALLOCATE] = "fallocate",
	[FUSE_READDIRPLUS] = "readdirplus",
	[FUSE_RENAME2] = "rename2",
	[FUSE_LSEEK] = "lseek",
	[FUSE_COPY_FILE_RANGE] = "copy_file_range",
	[FUSE_SETUPMAPPING] = "setupmapping",
	[FUSE_REMOVEMAPPING] = "removemapping",
	[FUSE_SYNCFS] = "syncfs",
	[FUSE_TMPFILE] = "tmpfile",
	[PROTO_STATX] = "statx",
	[PROTO_COPY_FILE_RANGE_64] = "copy_file_range_64",
};

/* ---- counting ----------------------------------------------------------------------------- */

static __thread struct sheet *sheet; /* of this thread */

static struct sheet *mine(void)
{
	static _Atomic unsigned turn;

	if (!sheet) {
		unsigned n = atomic_load(&turn) < SHEETS ? atomic_fetch_add(&turn, 1) : SHEETS;

		sheet = &sheets[n < SHEETS ? n : SHEETS - 1];
	}
	return sheet;
}

static uint64_t look(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* To a counter of mine(). */
static void add(counter *c, uint64_t n)
{
	if (sheet != &sheets[SHEETS - 1])
		atomic_store_explicit(c, look(c) + n, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static void raise_to(counter *c, uint64_t n)
{
	uint64_t now = look(c);

	while (now < n && !atomic_compare_exchange_weak_explicit(c, &now, n, memory_order_relaxed,
								 memory_order_relaxed))
		;
}

static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void ledger_path(enum ledger_path path, uint64_t bytes)
{
	struct sheet *s = mine();

	add(&s->bytes[path], bytes);
	add(&s->ops[path], 1);
}

void ledger_fallback(enum ledger_fallback reason)
{
	add(&mine()->fallbacks[reason], 1);
}

void ledger_error(int error)
{
	unsigned code = error < 0 ? -(unsigned)error : (unsigned)error;

	add(&mine()->errors[code < ERRNOS ? code : 0], 1);
}

void ledger_request(uint64_t unique, uint32_t opcode)
{
	size_t slot = unique % FLIGHTS;
	uint32_t known = opcode < OPERATIONS && operation_names[opcode] ? opcode : 0;

	add(&mine()->operations[known].came, 1);
	atomic_store_explicit(&flights[slot].opcode, known, memory_order_relaxed);
	atomic_store_explicit(&flights[slot].start, nanoseconds(), memory_order_relaxed);
	atomic_store_explicit(&flights[slot].unique, unique, memory_order_relaxed);
}

void ledger_answered(uint64_t unique)
{
	size_t slot = unique % FLIGHTS;
	uint64_t start = look(&flights[slot].start), ns;
	uint32_t opcode = atomic_load_explicit(&flights[slot].opcode, memory_order_relaxed);
	struct sheet *s = mine();

	/* A younger request that takes the place just now spoils one figure, no more. */
	if (!unique || look(&flights[slot].unique) != unique)
		return;
	atomic_store_explicit(&flights[slot].unique, 0, memory_order_relaxed);
	ns = nanoseconds() - start;
	add(&s->operations[opcode].answered, 1);
	add(&s->operations[opcode].ns, ns);
	raise_to(&s->operations[opcode].most, ns);
}

/* ---- telling ------------------------------------------------------------------------------ */

static uint64_t sum(size_t offset)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SHEETS; i++)
		n += look((const counter *)((const char *)&sheets[i] + offset));
	return n;
}
#define SUM(member) sum((size_t)((const char *)&sheets[0].member - (const char *)&sheets[0]))

uint64_t ledger_requests(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < OPERATIONS; i++)
		n += SUM(operations[i].came);
	return n;
}

static bool put(cJSON *json, const char *name, const char *end, uint64_t value)
{
	char key[64], text[24];

	snprintf(key, sizeof(key), "%s%s", name, end);
	/* cJSON's numbers are doubles. */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cJSON_AddRawToObject(json, key, text) != NULL;
}

bool ledger_add_paths(cJSON *json)
{
	bool good = true;

	for (unsigned i = 0; i < LEDGER_PATHS; i++) {
		good = good && put(json, path_names[i], "_bytes", SUM(bytes[i]));
		good = good && put(json, path_names[i], "_ops", SUM(ops[i]));
	}
	return good;
}

static bool add_operation(cJSON *json, unsigned i)
{
	uint64_t came = SUM(operations[i].came), most = 0;
	cJSON *one;

	if (!came)
		return true;
	for (unsigned k = 0; k < SHEETS; k++) {
		uint64_t n = look(&sheets[k].operations[i].most);

		most = n > most ? n : most;
	}
	one = cJSON_AddObjectToObject(json, operation_names[i]);
	return one && put(one, "count", "", came) &&
	       put(one, "answered", "", SUM(operations[i].answered)) &&
	       put(one, "nanoseconds", "", SUM(operations[i].ns)) &&
	       put(one, "max_nanoseconds", "", most);
}

static bool add_error(cJSON *json, int code)
{
	uint64_t n = SUM(errors[code]);
	const char *name = strerrorname_np(code);
	char number[16];

	snprintf(number, sizeof(number), "%d", code);
	return !n || put(json, !code ? "unknown" : name ? name : number, "", n);
}

bool ledger_add_rest(cJSON *json)
{
	cJSON *operations = cJSON_AddObjectToObject(json, "operations");
	cJSON *fallbacks = cJSON_AddObjectToObject(json, "fallbacks");
	cJSON *errors = cJSON_AddObjectToObject(json, "errors");
	bool good = operations && fallbacks && errors;

	for (unsigned i = 0; i < OPERATIONS && good; i++)
		good = add_operation(operations, i);
	for (unsigned i = 0; i < LEDGER_FALLBACKS && good; i++)
		good = put(fallbacks, fallback_names[i], "", SUM(fallbacks[i]));
	for (int i = 0; i < ERRNOS && good; i++)
		good = add_error(errors, i);
	return good;
}
