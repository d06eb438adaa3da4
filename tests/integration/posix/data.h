/* SPDX-License-Identifier: MIT */
/* data.h - what data.c and data_map.c share. */
#ifndef DATA_H
#define DATA_H

#include "posix.h"

enum { KIB = 1024, MIB = 1024 * KIB, PAGE = 4096 };

int new_file(const char *name);
/* Write, or expect, `size` bytes at `at` that depend on their place and on `seed`; never zero. */
void put(int fd, off_t at, size_t size, int seed);
void expect_put(int fd, off_t at, size_t size, off_t place, int seed);
void expect_zeros(int fd, off_t at, size_t size);
struct stat stat_fd(int fd);

/* Cases. */
void map_tail(void);
void map_shared(void);
void map_outlives_descriptor(void);
void map_and_truncate(void);
void map_beyond_end(void);
void copy_range(void);
void copy_range_in_place(void);
void copy_range_errors(void);
void send_file(void);
void by_splice(void);

#endif
