/* SPDX-License-Identifier: MIT */
/*
 * Content that tells where it comes from: every 4 KiB block is a function of (file, version,
 * block number) and starts with these, so a mixture of versions, a block of another file, a block
 * in the wrong place and a block of zeros are all recognised and named.
 */
#ifndef ZC_CRASH_CONTENT_H
#define ZC_CRASH_CONTENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BLOCK = 4096 };

/* A state of a file: version in [0, data), zeros in [data, size). */
struct content {
	uint32_t version;
	off_t data, size;
};

/* Size of a version where the caller does not choose one: 100 bytes to 128 KiB, often odd. */
off_t content_size(uint32_t file, uint32_t version);
struct content content_of(uint32_t file, uint32_t version);

/* Bytes [off, off + len) of it; off is a multiple of BLOCK. */
void content_fill(void *buf, uint32_t file, uint32_t version, off_t off, size_t len);

/* pwrite of [0, size): 0 or a negative errno. */
int content_write(int fd, uint32_t file, uint32_t version, off_t size);

/* The version in the header of the first block; 0: empty file; negative errno, -EILSEQ: no header. */
long content_peek(int fd, uint32_t file);

/* Is the file exactly this? 0, -EILSEQ with the difference on stderr, or another negative errno. */
int content_check(int fd, const char *name, uint32_t file, struct content want);

/* The same without a word: to try which of several states it is. */
int content_is(int fd, uint32_t file, struct content want);

#endif
