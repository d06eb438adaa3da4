// SPDX-License-Identifier: MIT
/* Shared by the files of the measured commits: one way to change pages of a large file and commit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u

struct commit_run {
	uint32_t file_pages;
	uint32_t *page; /* those of the commit at hand, without duplicates */
	uint32_t pages;
	uint64_t serial; /* of the commit at hand */
	unsigned char buf[PAGE];
	int fd;
	unsigned char *map;
	void *db; /* of a database, and its statements */
	void *put;
	void *get;
	unsigned int dbi;
};

/* Each works in the current directory and ends the program if it fails. */
struct way {
	const char *name;
	void (*fill)(struct commit_run *r);   /* makes the file or the database, on disk */
	void (*open)(struct commit_run *r);   /* also reads all of it: caches are warm */
	void (*commit)(struct commit_run *r); /* changes the pages, and commits them */
	void (*read)(struct commit_run *r, uint32_t page, unsigned char *out);
	void (*close)(struct commit_run *r);
};

extern const struct way way_sqlite, way_lmdb;

_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...);

/* Puts into r->buf what this page has at this commit. */
void stamp(struct commit_run *r, uint32_t page);
