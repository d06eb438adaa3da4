// SPDX-License-Identifier: MIT
/* Shared by the files of the measured operations: their task, their result, checked I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096u
#define BLOCK (1u << 20)
#define MAX_SERVERS 16
#define MAX_JOBS 64

struct result {
	uint64_t ops;
	uint64_t bytes;
};

/* Clocks, in seconds; of what lies between start_clocks() and stop_clocks() once that has run. */
struct clocks {
	double wall;
	double own;	/* CPU time of this program and of its children that have ended */
	double servers; /* CPU time of the servers */
	double machine; /* time that all processors were busy, by ticks, or polled while idle */
};

struct task {
	unsigned int count; /* files, MiB, commits or writes, as the operation says */
	unsigned int size;  /* bytes of a small file */
	unsigned int jobs;  /* processes that work side by side */
	unsigned int job;   /* which of them this is */
	unsigned int round; /* small files of each round have directories of their own */
	double least;	    /* seconds that warm operations last */
	uint64_t seed;
	const char *word;   /* the seed as it was given */
	unsigned char *buf; /* BLOCK bytes that do not compress */
	pid_t servers[MAX_SERVERS];
	unsigned int n_servers;
	struct clocks clocks;
};

/* One pass of a job over its part of the work: what it has done. */
typedef struct result pass_fn(struct task *t, int fd);

_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...);

uint64_t next_random(uint64_t *state);

/* Every page begins with its number in the file. */
void stamp(unsigned char *buf, uint64_t page);
void stamp_block(unsigned char *buf, size_t len, uint64_t page);
void check_stamp(const unsigned char *buf, uint64_t page, const char *name);
void check_block(const unsigned char *buf, size_t len, uint64_t page, const char *name);

/* I/O that is whole or ends the program. */
int open_file(const char *name, int flags);
void write_at(int fd, const char *name, const unsigned char *buf, size_t len, uint64_t off);
void read_at(int fd, const char *name, unsigned char *buf, size_t len, uint64_t off);
void sync_file(int fd, const char *name);
void close_file(int fd, const char *name);

/* ops_time.c: what is measured, in t->clocks. */
void start_clocks(struct task *t);
void stop_clocks(struct task *t);
/* One pass of each job. */
struct result once(struct task *t, pass_fn *pass, int fd);
/* One pass of each job untimed, then passes until enough time has gone by. */
struct result repeat(struct task *t, pass_fn *pass, int fd);

/* ops_files.c */
struct result op_create(struct task *t);
struct result op_stat_warm(struct task *t);
struct result op_stat_once(struct task *t);
struct result op_read_warm(struct task *t);
struct result op_read_once(struct task *t);
struct result op_list_once(struct task *t);
struct result op_unlink(struct task *t);
struct result op_make_many(struct task *t);
struct result op_stat_many(struct task *t);

/* ops_big.c */
struct result op_seq_write(struct task *t);
struct result op_overwrite(struct task *t);
struct result op_seq_read_once(struct task *t);
struct result op_seq_read_warm(struct task *t);
struct result op_random_read_once(struct task *t);
struct result op_random_read_warm(struct task *t);
struct result op_mmap_fault(struct task *t);
struct result op_mmap_scan(struct task *t);
struct result op_random_write_once(struct task *t);
struct result op_random_write(struct task *t);
struct result op_commit(struct task *t);
struct result op_remove_big(struct task *t);

/* ops_send.c */
struct result op_sendfile_once(struct task *t);
struct result op_sendfile_warm(struct task *t);
struct result op_copy_warm(struct task *t);
