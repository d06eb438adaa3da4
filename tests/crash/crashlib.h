/* SPDX-License-Identifier: MIT */
/* What the programs of the crash tests share. Each is told the daemon's pid; 0: nothing is killed. */
#ifndef ZC_CRASH_LIB_H
#define ZC_CRASH_LIB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Ends the program, status 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * After a call failed with err (positive): true if that is the death of the daemon, that is, if the
 * directory itself now answers ENOTCONN. Any other failure is one of the filesystem.
 */
bool is_dead(const char *dir, int err);

uint64_t rng_next(uint64_t *state);
void sleep_us(unsigned us); /* spins for the last part: short delays are met closely */
double now(void);
int open_at(const char *dir, const char *name, int flags); /* fd or negative errno */
int sync_dir(const char *dir);				   /* fsync of it: 0 or negative errno */
void *map_table(const char *path, size_t size);		   /* shared, zero when new */

#endif
