/* SPDX-License-Identifier: MIT */
/*
 * handles.c - which inodes have handles open for writing, and what became of their delivery.
 *
 * A table in shards, each with its own lock, held for a few instructions and no call. `total` is
 * read without a lock: it only says that nothing needs to be looked up.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs.h"

enum { SHARDS = 64, BUCKETS = 64 };

struct inode {
	struct inode *next;
	uint64_t ino;
	unsigned writers, cached;
	unsigned deliveries;
	int error;
	int lost; /* of a write-back, not told to the program yet */
};

static struct shard {
	pthread_mutex_t lock;
	struct inode *buckets[BUCKETS];
	struct inode *spare; /* one released, kept for the next */
} shards[SHARDS] = { [0 ... SHARDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };

static _Atomic uint64_t total;

static struct shard *shard_lock(uint64_t ino)
{
	struct shard *s = &shards[ino % SHARDS];

	pthread_mutex_lock(&s->lock);
	return s;
}

static struct inode **find(struct shard *s, uint64_t ino)
{
	struct inode **at = &s->buckets[ino / SHARDS % BUCKETS];

	while (*at && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

static struct inode *find_or_add(struct shard *s, uint64_t ino)
{
	struct inode **at = find(s, ino);

	if (*at)
		return *at;
	if (s->spare) {
		*at = s->spare;
		s->spare = NULL;
	} else {
		*at = malloc(sizeof(**at));
	}
	if (*at)
		**at = (struct inode){ .ino = ino };
	return *at;
}

static void drop_unused(struct shard *s, struct inode **at)
{
	struct inode *inode = *at;

	if (inode->writers || inode->deliveries)
		return;
	*at = inode->next;
	if (s->spare)
		free(inode);
	else
		s->spare = inode;
}

int handles_add(uint64_t ino, bool cached)
{
	struct shard *s = shard_lock(ino);
	struct inode *inode = find_or_add(s, ino);

	if (inode) {
		inode->writers++;
		inode->cached += cached;
		atomic_fetch_add(&total, 1);
	}
	pthread_mutex_unlock(&s->lock);
	return inode ? 0 : -ENOMEM;
}

void handles_drop(uint64_t ino, bool cached)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);

	if (*at && (*at)->writers) {
		(*at)->writers--;
		(*at)->cached -= cached;
		atomic_fetch_sub(&total, 1);
		drop_unused(s, at);
	}
	pthread_mutex_unlock(&s->lock);
}

void handles_uncache(uint64_t ino)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);

	if (*at && (*at)->cached)
		(*at)->cached--;
	pthread_mutex_unlock(&s->lock);
}

unsigned handles_cached(uint64_t ino)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);
	unsigned cached = *at ? (*at)->cached : 0;

	pthread_mutex_unlock(&s->lock);
	return cached;
}

bool handles_any(uint64_t ino)
{
	struct shard *s;
	struct inode **at;
	bool any;

	if (atomic_load(&total) == 0)
		return false;
	if (ino == 0)
		return true;
	s = shard_lock(ino);
	at = find(s, ino);
	any = *at && (*at)->writers;
	pthread_mutex_unlock(&s->lock);
	return any;
}

void handles_note_error(uint64_t ino, int error)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);

	if (*at && (*at)->deliveries && (*at)->error == 0)
		(*at)->error = error;
	pthread_mutex_unlock(&s->lock);
}

void handles_note_lost(uint64_t ino, int error)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);

	if (*at && (error == 0 || (*at)->lost == 0))
		(*at)->lost = error;
	pthread_mutex_unlock(&s->lock);
}

int handles_lost(uint64_t ino)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);
	int lost = *at ? (*at)->lost : 0;

	pthread_mutex_unlock(&s->lock);
	return lost;
}

void handles_deliver(uint64_t ino, bool begin)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);

	if (begin) {
		struct inode *inode = find_or_add(s, ino);

		if (inode && inode->deliveries++ == 0)
			inode->error = 0;
	} else if (*at && (*at)->deliveries) {
		(*at)->deliveries--;
		drop_unused(s, at);
	}
	pthread_mutex_unlock(&s->lock);
}

int handles_take_error(uint64_t ino)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);
	int error = *at ? (*at)->error : 0;

	pthread_mutex_unlock(&s->lock);
	return error;
}

bool handles_delivering(uint64_t ino)
{
	struct shard *s = shard_lock(ino);
	struct inode **at = find(s, ino);
	bool delivering = *at && (*at)->deliveries;

	pthread_mutex_unlock(&s->lock);
	return delivering;
}
