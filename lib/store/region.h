/* SPDX-License-Identifier: MIT */
/* region.h - the bitmaps of free pages, for those that take pages and give them up. */
#ifndef REGION_H
#define REGION_H

#include "store/store_i.h"

#define REGION_WORDS (ZCF_REGION_PAGES / 64)

bool bit_get(const uint64_t *map, uint32_t n);
/* Set or clear [n, n+count): how many bits changed. */
uint32_t bits_set(uint64_t *map, uint32_t n, uint32_t count, bool value);
/* The first bit >= n that is `value`, or `end`. */
uint32_t bit_find(const uint64_t *map, uint32_t n, uint32_t end, bool value);

uint32_t region_pages(const struct store *s, size_t r);
int region_load(struct store *s, size_t r);
uint32_t region_free(struct store *s, size_t r); /* pages, without loading it */
int regions_resize(struct store *s, uint64_t pages);
/* Pages of a loaded region: the first of them as a store page. */
uint64_t region_take(struct store *s, size_t r, uint32_t n, uint32_t count);

#endif
