// SPDX-License-Identifier: MIT
/* Shared by the files of the measured operations: their task, their result, checked I/O. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u
#define BLOCK (1u << 20)

struct result {
	uint64_t ops;
	uint64_t bytes;
	double seconds;
};

struct task {
	unsigned int count;
	uint64_t seed;
	unsigned char *buf; /* BLOCK bytes that do not compress */
};

typedef void pass_fn(struct task *t, int fd);

_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...);

double now(void);
uint64_t next_random(uint64_t *state);

/* Every page begins with its number in the file. */
void stamp(unsigned char *buf, uint64_t page);
void check_stamp(const unsigned char *buf, uint64_t page, const char *name);

/* I/O that is whole or ends the program. */
int open_file(const char *name, int flags);
void write_at(int fd, const char *name, const unsigned char *buf, size_t len, uint64_t off);
void read_at(int fd, const char *name, unsigned char *buf, size_t len, uint64_t off);
void sync_file(int fd, const char *name);
void close_file(int fd, const char *name);

/* Seconds of one pass. */
double once(struct task *t, pass_fn *pass, int fd);
/* One pass untimed, then passes until enough time has gone by; returns how many were timed. */
unsigned int repeat(struct task *t, pass_fn *pass, int fd, double *ret_seconds);

/* ops_big.c */
struct result op_seq_write(struct task *t);
struct result op_seq_read_once(struct task *t);
struct result op_seq_read_warm(struct task *t);
struct result op_sendfile_warm(struct task *t);
struct result op_random_write(struct task *t);
struct result op_commit(struct task *t);
struct result op_remove_big(struct task *t);
