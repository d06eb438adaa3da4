/* SPDX-License-Identifier: MIT */
/* What a store shows, as text that can be compared: one line per name, sorted. */
#ifndef LAB_LISTING_H
#define LAB_LISTING_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

#define SECTOR 512u
#define LISTING_MAX 16384u

/* A piece of a file: every sector says which file, version and place it was written for. */
void content_fill(uint8_t *buf, size_t length, uint32_t file, uint32_t version, uint64_t offset);
uint64_t content_hash(const uint8_t *buf, size_t length);

struct listing {
	char text[LISTING_MAX];
	size_t length;
};
void listing_directory(struct listing *l, const char *path, uint64_t ino, mode_t mode);
void listing_file(struct listing *l, const char *path, const struct store_attr *attr,
		  uint64_t hash);
void listing_sort(struct listing *l);
/* Everything below the directory `name` of the root. -errno, `what`: where. */
int listing_of_store(struct store *s, const char *name, struct listing *l, char what[300]);
/* For people: which versions the sectors of the files are of. */
void listing_explain(struct store *s, const char *name);

#endif
