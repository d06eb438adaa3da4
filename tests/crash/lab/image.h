/* SPDX-License-Identifier: MIT */
/*
 * The disk: what is durable (`disk`), what is written but not synced (pending), and an image of a
 * store in a directory, which is the durable part and some of the pending.
 */
#ifndef LAB_IMAGE_H
#define LAB_IMAGE_H

#include "log.h"

#define IMAGE_SECTOR 512u
#define PENDING_MAX 4096u

struct image_file {
	int fd;
	uint8_t *disk; /* durable bytes */
	uint8_t *map;  /* the image's */
	uint64_t disk_size, size, room;
};

struct touched {
	unsigned file;
	uint64_t offset, length;
};

struct image {
	const struct log *log;
	char dir[400];
	struct image_file files[LOG_FILES];
	uint64_t disk_hash, hash; /* of the contents: durable, of the image */
	size_t pending[PENDING_MAX];
	size_t npending;
	struct touched touched[4 * PENDING_MAX];
	size_t ntouched;
};

struct image *image_new(const struct log *l, const char *dir);
void image_free(struct image *i);
/* The event happened: it is pending, or makes others durable. */
void image_event(struct image *i, size_t event);
/* The durable event, a pending one, is complete. */
void image_settle(struct image *i, size_t event);
/* Put sectors [from, to) of the range of a pending event in the image; to = UINT64_MAX: all of it
 * and its size. */
void image_apply(struct image *i, size_t event, uint64_t from, uint64_t to);
void image_apply_size(struct image *i, size_t event); /* only the size that it makes */
uint64_t image_sectors(const struct event *e);
void image_undo(struct image *i);
/* The image's files into another directory. */
void image_copy(const struct image *i, const char *dir);

#endif
