/* SPDX-License-Identifier: MIT */
/*
 * A part of recorder.so: random numbers and the clock as functions of a seed, so that a workload
 * of one thread does the same in every run, to the byte.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

#define EXPORT __attribute__((visibility("default")))

static uint64_t seed;
static bool fixed;
static uint64_t ticks;

EXPORT void zc_deterministic(uint64_t value)
{
	seed = value * 0x9e3779b97f4a7c15ull + 12345;
	fixed = true;
}

void randombytes_buf(void *buf, size_t size); /* of libsodium */

EXPORT void randombytes_buf(void *buf, size_t size)
{
	uint8_t *p = buf;

	while (size--) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		*p++ = (uint8_t)(seed >> 56);
	}
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t t;

	if (!fixed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return (int)syscall(SYS_clock_gettime, clock, ts);
	t = __atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
	ts->tv_sec = 1000000000 + (time_t)(t / 1000);
	ts->tv_nsec = (long)(t % 1000) * 1000000;
	return 0;
}
