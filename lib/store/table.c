/* SPDX-License-Identifier: MIT */
/*
 * The inodes that are known: by a number, what is known of them. Most of a million inodes to which
 * the kernel refers do nothing, so they are a slot of 16 bytes here and a record in LMDB.
 *
 * Open addressing, linear probing, at most three quarters full. A removal moves what follows up, so
 * that there are no tombstones. The memory is mapped, not allocated: it goes back at once when the
 * table shrinks.
 */
#include <errno.h>
#include <sys/mman.h>

#include "store/store_i.h"

#define LEAST 4096u /* slots: 64 KiB */

static size_t home(const struct table *t, uint64_t ino)
{
	return (size_t)((ino * 0x9e3779b97f4a7c15ull) >> t->shift); /* Fibonacci hashing */
}

static struct known *map_slots(size_t size)
{
	void *p = mmap(NULL, size * sizeof(struct known), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void put(struct table *t, const struct known *k)
{
	size_t n = home(t, k->ino);

	while (t->slots[n].ino)
		n = (n + 1) & (t->size - 1);
	t->slots[n] = *k;
}

static int resize(struct table *t, size_t size)
{
	struct table old = *t;

	t->slots = map_slots(size);
	if (!t->slots) {
		*t = old;
		return -ENOMEM;
	}
	t->size = size;
	t->shift = (unsigned)__builtin_clzll(size) + 1;
	for (size_t n = 0; n < old.size; n++)
		if (old.slots[n].ino)
			put(t, &old.slots[n]);
	if (old.slots)
		munmap(old.slots, old.size * sizeof(*old.slots));
	return 0;
}

struct known *table_find(const struct table *t, uint64_t ino)
{
	if (!t->size || !ino)
		return NULL;
	for (size_t n = home(t, ino); t->slots[n].ino; n = (n + 1) & (t->size - 1))
		if (t->slots[n].ino == ino)
			return &t->slots[n];
	return NULL;
}

int table_add(struct table *t, const struct known *k)
{
	if (t->count >= t->size / 4 * 3 && resize(t, t->size ? t->size * 2 : LEAST) < 0)
		return -ENOMEM;
	put(t, k);
	t->count++;
	return 0;
}

void table_remove(struct table *t, struct known *k)
{
	size_t mask = t->size - 1, hole = (size_t)(k - t->slots);

	for (size_t n = (hole + 1) & mask; t->slots[n].ino; n = (n + 1) & mask) {
		size_t from = home(t, t->slots[n].ino);

		/* It may move up, but not before its home. */
		if (((n - from) & mask) >= ((n - hole) & mask)) {
			t->slots[hole] = t->slots[n];
			hole = n;
		}
	}
	t->slots[hole] = (struct known){ 0 };
	t->count--;
	if (t->size > LEAST && t->count < t->size / 8)
		resize(t, t->size / 2); /* or it stays as large as it is */
}

void table_free(struct table *t)
{
	if (t->slots)
		munmap(t->slots, t->size * sizeof(*t->slots));
	*t = (struct table){ 0 };
}
