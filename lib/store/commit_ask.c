/* SPDX-License-Identifier: MIT */
/*
 * Asking for commits. A request waits in a queue for the commit thread, which takes all that are there at
 * once. Where nothing is being done, whoever asks may make a short commit himself: to wake the thread, and
 * to be woken by it, can take as long as the device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"

static bool names_dirty(const struct store *s)
{
	return s->ndirty || s->active->count;
}

static bool wanted_dirty(struct store *s, const uint64_t *inos, size_t n, unsigned flags)
{
	if (s->committing || names_dirty(s))
		return true;
	if (flags && s->ndata_dirty)
		return true;
	for (size_t k = 0; k < n; k++) {
		struct inode *i = inode_cached(s, inos[k]);

		if (i && i->data_dirty)
			return true;
	}
	return false;
}

/* With the lock held; nobody is woken. -ENOMEM: `done` was not taken. */
static int append(struct store *s, const uint64_t *inos, size_t n, unsigned flags,
		  store_commit_fn *done, void *arg)
{
	struct commit_request *q = malloc(sizeof(*q) + n * sizeof(*inos));

	if (!q)
		return -ENOMEM;
	*q = (struct commit_request){ .done = done, .arg = arg, .flags = flags, .count = n };
	if (n)
		memcpy(q->inos, inos, n * sizeof(*inos));
	*s->queue_tail = q;
	s->queue_tail = &q->next;
	return 0;
}

/* The same, for the thread. */
static int enqueue(struct store *s, const uint64_t *inos, size_t n, unsigned flags,
		   store_commit_fn *done, void *arg)
{
	int r = append(s, inos, n, flags, done, arg);

	if (r == 0)
		pthread_cond_signal(&s->wake);
	return r;
}

/* Nothing is being done and nothing else waits to be: who asks for a commit can make it himself. */
static bool at_rest(const struct store *s)
{
	return !s->committing && !s->freezing && !s->flushing && !s->holds && !s->queue &&
	       !s->kick && !s->stopping && !s->intent.replayed;
}

/* Whom the thread would take longer to be woken for than the commit takes. */
static bool may_lead(struct store *s, unsigned flags)
{
	return flags == STORE_COMMIT_HERE && at_rest(s);
}

void store_commit_start(struct store *s, const uint64_t *inos, size_t n, unsigned flags,
			store_commit_fn *done, void *arg)
{
	int r = 0;
	bool taken = false;

	store_lock(s);
	if (s->failed) {
		r = -EIO;
	} else if (s->thread_runs && wanted_dirty(s, inos, n, flags & ~STORE_COMMIT_HERE)) {
		bool lead = may_lead(s, flags);

		r = append(s, inos, n, flags & ~STORE_COMMIT_HERE, done, arg);
		taken = r == 0;
		if (taken && lead && intent_suits(s) == INTENT_WAY_LOG)
			commit_once(s, 0);
		else if (taken)
			pthread_cond_signal(&s->wake);
	}
	store_unlock(s);
	if (!taken)
		done(arg, r);
}

struct waiter {
	struct store *s;
	bool done;
	int result;
};

static void wait_done(void *arg, int result)
{
	struct waiter *w = arg;
	struct store *s = w->s;

	store_lock(s);
	w->done = true;
	w->result = result;
	pthread_cond_broadcast(&s->finished);
	store_unlock(s);
}

int store_commit(struct store *s, const uint64_t *inos, size_t n, unsigned flags)
{
	struct waiter w = { .s = s };

	store_commit_start(s, inos, n, flags, wait_done, &w);
	store_lock(s);
	while (!w.done)
		pthread_cond_wait(&s->finished, &s->lock);
	store_unlock(s);
	return w.result;
}

int commit_wait_locked(struct store *s, unsigned flags)
{
	struct waiter w = { .s = s };
	int r;

	if (!s->thread_runs)
		return -EROFS;
	r = enqueue(s, NULL, 0, flags, wait_done, &w);
	if (r < 0)
		return r;
	while (!w.done)
		pthread_cond_wait(&s->finished, &s->lock);
	return w.result;
}

void store_hold_begin(struct store *s)
{
	store_lock(s);
	while (s->freezing && !s->failed)
		pthread_cond_wait(&s->finished, &s->lock);
	s->holds++;
	store_unlock(s);
}

void store_hold_end(struct store *s)
{
	store_lock(s);
	if (--s->holds == 0)
		pthread_cond_broadcast(&s->finished);
	store_unlock(s);
}
