/* SPDX-License-Identifier: MIT */
/* What the engine has done, for store_get_info(): additions without the lock, in no order. */
#include <time.h>

#include "store/store_i.h"

static const char *const path_names[STORE_PATHS] = {
	[STORE_WRITE_SPLICE] = "write_splice", [STORE_WRITE_DIRECT] = "write_direct",
	[STORE_WRITE_CACHED] = "write_cached", [STORE_WRITE_BUFFER] = "write_buffer",
	[STORE_WRITE_COPY] = "write_copy",     [STORE_FLUSH_AHEAD] = "flush_ahead",
	[STORE_FLUSH_BUFFER] = "flush_buffer", [STORE_FLUSH_LOG] = "flush_log",
};

static const char *const fallback_names[STORE_FALLBACKS] = {
	[STORE_NO_DIRECT_IO] = "write_no_direct_io",
	[STORE_NO_SPLICE] = "write_no_splice",
	[STORE_UNALIGNED] = "write_unaligned",
	[STORE_CHECKSUMS] = "write_checksums",
};

const char *store_path_name(enum store_path path)
{
	return path_names[path];
}

const char *store_fallback_name(enum store_fallback reason)
{
	return fallback_names[reason];
}

void tally_path(struct store *s, enum store_path path, uint64_t bytes)
{
	__atomic_add_fetch(&s->paths[path].bytes, bytes, __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->paths[path].ops, 1, __ATOMIC_RELAXED);
}

void tally_fallback(struct store *s, enum store_fallback reason)
{
	__atomic_add_fetch(&s->fallbacks[reason], 1, __ATOMIC_RELAXED);
}

uint64_t tally_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void tally_time(struct store_timing *timing, uint64_t start)
{
	uint64_t ns = tally_clock() - start;

	timing->count++;
	timing->ns += ns;
	timing->most = MAX(timing->most, ns);
}

void tally_get(struct store *s, struct store_info *o)
{
	for (unsigned i = 0; i < STORE_PATHS; i++) {
		o->paths[i].bytes = __atomic_load_n(&s->paths[i].bytes, __ATOMIC_RELAXED);
		o->paths[i].ops = __atomic_load_n(&s->paths[i].ops, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < STORE_FALLBACKS; i++)
		o->fallbacks[i] = __atomic_load_n(&s->fallbacks[i], __ATOMIC_RELAXED);
	o->whole = s->whole;
	o->logged = s->logged;
}
