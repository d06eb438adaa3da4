/* SPDX-License-Identifier: MIT */
/*
 * tickets.c - see tickets.h. Each uid with tickets has a queue of them, the oldest first, so what is
 * dropped - too old, or one too many - is always at the head of a queue; a hash of the numbers finds
 * them. One lock, held for no call that waits.
 */
#include "tickets.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

enum { BUCKETS = 1024 };

struct owner;

struct entry {
	TAILQ_ENTRY(entry) by_age;
	LIST_ENTRY(entry) by_id;
	struct owner *owner;
	uint8_t id[ZC_TICKET_SIZE];
	struct ticket ticket;
	int64_t end;
};

struct owner {
	LIST_ENTRY(owner) link;
	TAILQ_HEAD(, entry) queue;
	uid_t uid;
	unsigned count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, owner) owners = LIST_HEAD_INITIALIZER(owners);
static LIST_HEAD(bucket, entry) buckets[BUCKETS];
static unsigned total;

static struct bucket *bucket_of(const uint8_t id[ZC_TICKET_SIZE])
{
	return &buckets[(id[0] | (unsigned)id[1] << 8) % BUCKETS]; /* the numbers are random */
}

static struct owner *find_owner(uid_t uid)
{
	struct owner *o;

	LIST_FOREACH(o, &owners, link)
		if (o->uid == uid)
			return o;
	o = calloc(1, sizeof(*o));
	if (o) {
		o->uid = uid;
		TAILQ_INIT(&o->queue);
		LIST_INSERT_HEAD(&owners, o, link);
	}
	return o;
}

/* Its owner goes with the last of its tickets. */
static void drop(struct entry *e)
{
	struct owner *o = e->owner;

	TAILQ_REMOVE(&o->queue, e, by_age);
	LIST_REMOVE(e, by_id);
	free(e);
	total--;
	if (--o->count == 0) {
		LIST_REMOVE(o, link);
		free(o);
	}
}

/* Drop what is too old. */
static void expire(int64_t now)
{
	struct owner *o, *next;

	for (o = LIST_FIRST(&owners); o; o = next) {
		unsigned left = o->count;

		next = LIST_NEXT(o, link);
		while (left-- > 0 && TAILQ_FIRST(&o->queue)->end <= now)
			drop(TAILQ_FIRST(&o->queue));
	}
}

/* Make room for one of `uid`: at its own cost, else at that of who has the most. */
static void make_room(uid_t uid)
{
	struct owner *o, *most = NULL;

	LIST_FOREACH(o, &owners, link) {
		if (o->uid == uid && o->count >= ZC_TICKETS_MAX) {
			drop(TAILQ_FIRST(&o->queue));
			return;
		}
		if (!most || o->count > most->count)
			most = o;
	}
	if (total >= TICKETS_ALL)
		drop(TAILQ_FIRST(&most->queue));
}

int tickets_issue(const struct ticket *t, int64_t now, uint8_t ret_id[ZC_TICKET_SIZE])
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	if (getrandom(e->id, sizeof(e->id), 0) != sizeof(e->id)) {
		int r = -errno;

		free(e);
		return r;
	}
	e->ticket = *t;
	e->end = now + ZC_TICKET_SECONDS * 1000;
	pthread_mutex_lock(&lock);
	expire(now);
	make_room(t->uid);
	e->owner = find_owner(t->uid);
	if (!e->owner) {
		pthread_mutex_unlock(&lock);
		free(e);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&e->owner->queue, e, by_age);
	LIST_INSERT_HEAD(bucket_of(e->id), e, by_id);
	e->owner->count++;
	total++;
	memcpy(ret_id, e->id, sizeof(e->id));
	pthread_mutex_unlock(&lock);
	return 0;
}

static struct entry *find(const uint8_t id[ZC_TICKET_SIZE])
{
	struct entry *e;

	LIST_FOREACH(e, bucket_of(id), by_id)
		if (!memcmp(e->id, id, ZC_TICKET_SIZE))
			break;
	return e;
}

int tickets_take(const uint8_t id[ZC_TICKET_SIZE], uid_t uid, pid_t pid, int64_t now,
		 struct ticket *ret_ticket)
{
	struct entry *e;
	int r = 0;

	pthread_mutex_lock(&lock);
	expire(now);
	e = find(id);
	if (!e)
		r = -ESTALE;
	else if (e->ticket.uid != uid || e->ticket.pid != pid)
		r = -EPERM;
	if (r == 0) {
		*ret_ticket = e->ticket;
		drop(e);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

unsigned tickets_count(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = total;
	pthread_mutex_unlock(&lock);
	return n;
}

void tickets_clear(void)
{
	pthread_mutex_lock(&lock);
	expire(INT64_MAX);
	pthread_mutex_unlock(&lock);
}
