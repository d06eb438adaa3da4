/* SPDX-License-Identifier: MIT */
/*
 * Memory that is given back, by the commit thread, after a commit.
 *
 * Pages of LMDB's and the page file's mappings are the host's page cache; mapped, they count as memory of
 * the daemon, and are harder for the kernel to take. When they are many, the mappings are emptied: who
 * looks at such a page again finds it in the page cache, sixteen at a time. What large commits
 * allocated - names, inodes, pages of LMDB - is free then, but the C library would keep it.
 */
#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>

#include "store/store_i.h"

#define MAPPED_MOST (48u << 20)
#define FREED_MANY 8192u /* changes committed */

/* Bytes of files that are mapped and in memory. */
static uint64_t mapped_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * PAGE;
}

void memory_trim(struct store *s)
{
	bool much = s->freed >= FREED_MANY;
	uint64_t pages = s->pages;

	if (much)
		s->freed = 0;
	store_unlock(s);
	if (much)
		malloc_trim(0);
	if (mapped_bytes() >= MAPPED_MOST) {
		kv_unload(s->kv);
		if (s->map)
			madvise((void *)s->map, pages * PAGE, MADV_DONTNEED);
	}
	store_lock(s);
}
