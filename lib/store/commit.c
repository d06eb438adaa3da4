/* SPDX-License-Identifier: MIT */
/*
 * The commit thread. A commit takes all names and attributes so far and the data halves of a set of
 * files:
 *
 *   freeze   under the lock: what is taken is marked; changes from now on go on top of it
 *   write    the taken buffers and a sync of the page file
 *   apply    everything into one LMDB transaction, which is synced
 *   finish   under the lock: readers move to the new commit, replaced pages are given up
 *
 * Requests that come meanwhile are taken together by the next one. If writing or applying fails, the
 * store is read-only from then on: what was frozen stays in memory, readable, and is never tried
 * again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/store_i.h"

/* So many changed inodes or names are committed without waiting for the period. (LMDB keeps the memory
 * of the most pages that a transaction ever changed: in a large directory one for each name.) */
#define DIRTY_MANY 16384u
#define DIRTY_FEW 512u /* when there is little room for metadata */
#define REAP_BATCH 512u

/* ---- finish ------------------------------------------------------------------------------- */

static void unpin(struct store *s, const struct pending *p)
{
	struct chunk *c;

	RB_FOREACH(c, chunk_tree, (struct chunk_tree *)&p->chunks)
		for (unsigned n = 0; n < c->count; n++)
			if (c->runs[n].flags & RUN_SHARED)
				pin_drop(s, c->runs[n].page, c->runs[n].count);
}

static void finish_inode(struct store *s, struct frozen_inode *f)
{
	struct inode *i = f->inode;

	i->frozen = false;
	if (i->cap) {
		unpin(s, i->cap);
		i->cap = NULL; /* f->cap is freed later */
	}
	if (f->remove)
		i->stored = false;
	inode_put(s, i);
}

/* Under the lock, after the LMDB commit. */
static int finish(struct store *s, struct commit *c)
{
	int r = kv_renew(s->rtxn);

	if (r == 0)
		r = kv_cursor_renew(s->rtxn, s->dent_cursor);
	if (r < 0)
		return r;
	s->super = c->super;
	s->frozen = NULL;
	r = alloc_hold(s, &c->freed);
	if (r < 0)
		return r;
	for (size_t n = 0; n < c->freed.count; n++)
		alloc_freed(s, c->freed.items[n].page, c->freed.items[n].count);
	for (size_t n = 0; n < c->count; n++)
		finish_inode(s, &c->inodes[n]);
	return 0;
}

static void commit_free(struct commit *c, bool done)
{
	for (size_t n = 0; n < c->count && done; n++)
		if (c->inodes[n].cap)
			pending_free(c->inodes[n].cap);
	free(c->inodes);
	free(c->buffers);
	extents_clear(&c->freed);
	if (done)
		layer_free(c->layer);
}

static void answer(struct commit_request *list, int result)
{
	struct commit_request *next;

	for (struct commit_request *q = list; q; q = next) {
		next = q->next;
		q->done(q->arg, result);
		free(q);
	}
}

/* ---- the thread --------------------------------------------------------------------------- */

/* Write and apply, without the lock. */
static int put_down(struct store *s, struct commit *c, const char **ret_what)
{
	int r;

	*ret_what = "cannot write to the page file";
	r = buffer_write(s, c->buffers, c->nbuffers);
	if (r < 0)
		return r;
	*ret_what = "cannot sync the page file";
	r = pagefile_sync(s);
	if (r < 0)
		return r;
	*ret_what = "cannot commit the metadata";
	r = commit_apply(s, c);
	if (r == 0)
		meta_reserve(s);
	return r;
}

/* Who flushes buffers, or has several writes to make, ends first. */
static void wait_for_others(struct store *s)
{
	s->freezing = true;
	pthread_cond_broadcast(&s->finished); /* who waits in a hold */
	while (s->flushing || s->holds)
		pthread_cond_wait(&s->finished, &s->lock);
}

/* From here on changes go on top. */
static void frozen(struct store *s)
{
	s->freezing = false;
	s->committing = true;
	pthread_cond_broadcast(&s->finished);
	store_unlock(s);
}

/* A commit into LMDB. The lock is given up meanwhile. */
static int commit_whole(struct store *s, struct commit *c, unsigned flags)
{
	const char *what = "cannot prepare a commit";
	int r = freeze(s, c, flags);

	if (r == 0 && !c->count && !c->layer->count) {
		s->frozen = NULL;
		return 0;
	}
	frozen(s);
	if (r == 0)
		r = put_down(s, c, &what);
	store_lock(s);
	if (r == 0)
		r = finish(s, c);
	if (r < 0)
		store_fail(s, r, what);
	else
		intent_reset(s);
	buffer_done(s, c->buffers, c->nbuffers);
	return r;
}

/* A commit into the intent log. The same. */
static int commit_logged(struct store *s, struct commit *c)
{
	const char *what = "cannot prepare a commit";
	uint64_t length = 0;
	int r = freeze_logged(s, c);

	if (r == 0 && !c->count)
		return 0;
	frozen(s);
	if (r == 0 && c->placed) {
		what = "cannot sync the page file";
		r = pagefile_sync(s);
	}
	if (r == 0) {
		what = "cannot write to the intent log";
		r = intent_write(s, (uint32_t)c->count, c->entries, &length);
	}
	store_lock(s);
	if (r == 0)
		intent_written(s, length, c->placed);
	buffer_logged(s, c->buffers, c->nbuffers);
	/* They stay captured, in the list of the log. */
	free(c->inodes);
	c->inodes = NULL;
	c->count = c->room = c->nbuffers = 0;
	if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG) {
		intent_refuse(s, r);
		wait_for_others(s);
		return commit_whole(s, c, 0);
	}
	if (r < 0)
		store_fail(s, r, what);
	return r;
}

/* What is too much for the log goes to the page file first, as far as it is still in memory. The lock is
 * given up then. */
static bool goes_to_log(struct store *s)
{
	enum intent_way way = intent_suits(s);

	if (way == INTENT_WAY_FLUSH && buffer_flush(s, false) == 0) {
		wait_for_others(s);
		way = s->failed ? INTENT_WAY_LMDB : intent_suits(s);
	}
	return way == INTENT_WAY_LOG || way == INTENT_WAY_SYNC;
}

void commit_once(struct store *s, unsigned flags)
{
	uint64_t start = tally_clock(), before = s->intent.commits;
	struct commit c = { 0 };
	bool prepare, logged;
	int r = -EIO;

	wait_for_others(s);
	logged = !s->failed && !flags && goes_to_log(s);
	if (s->failed) {
		c.requests = s->queue;
		s->queue = NULL;
		s->queue_tail = &s->queue;
	} else if (logged) {
		r = commit_logged(s, &c);
	} else {
		r = commit_whole(s, &c, flags);
	}
	s->freezing = false;
	if (s->committing) {
		tally_time(s->intent.commits != before ? &s->logged : &s->whole, start);
		s->committing = false;
		pin_settle(s);
		quarantine_advance(s);
		alloc_look_at_host(s);
		alloc_update_low(s);
	}
	prepare = intent_wanted(s);
	s->commit_serial++;
	s->freed += c.count + (c.layer ? c.layer->count : 0);
	pthread_cond_broadcast(&s->finished);
	store_unlock(s);
	answer(c.requests, r < 0 ? -EIO : 0);
	commit_free(&c, r == 0);
	if (prepare)
		intent_prepare(s);
	store_lock(s);
}

/* Unnamed inodes of an earlier life of the store. */
static void reap_orphans(struct store *s)
{
	uint8_t key[KEY_MAX];
	uint64_t from = 0;
	unsigned n;

	do {
		struct kv_cursor *cursor;
		struct kv_val k, v;
		uint64_t inos[REAP_BATCH];
		int r;

		n = 0;
		if (kv_cursor_open(s->rtxn, ZCF_DB_ORPHAN, &cursor) < 0)
			return;
		for (r = kv_seek(cursor, key, key_orphan(key, from), &k, &v);
		     r == 0 && n < REAP_BATCH; r = kv_next(cursor, &k, &v)) {
			uint64_t ino = 0;

			for (size_t b = 0; b < 8 && k.size == 8; b++)
				ino = ino << 8 | ((const uint8_t *)k.data)[b];
			inos[n++] = ino;
			from = ino + 1;
		}
		kv_cursor_close(cursor);
		for (unsigned m = 0; m < n; m++) {
			struct inode *i;

			if (inode_get(s, inos[m], &i) == 0)
				inode_put(s, i);
		}
		if (n)
			s->kick = true;
	} while (n == REAP_BATCH);
}

static void deadline(struct timespec *at, unsigned seconds)
{
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_sec += seconds;
}

static bool passed(const struct timespec *at)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return time_after(&now, at);
}

static void *thread_main(void *arg)
{
	struct store *s = arg;
	struct timespec at;

	store_lock(s);
	reap_orphans(s);
	deadline(&at, s->options.commit_seconds);
	while (!s->stopping || s->queue || s->committing) {
		bool due = false;

		if (s->committing) { /* by who asked for it */
			pthread_cond_wait(&s->finished, &s->lock);
			continue;
		}

		if (!s->queue && !s->kick && !s->stopping) {
			int e = s->options.commit_seconds
					? pthread_cond_timedwait(&s->wake, &s->lock, &at)
					: pthread_cond_wait(&s->wake, &s->lock);

			due = e == ETIMEDOUT;
		}
		/* Also where requests come so fast that it never waits. */
		due |= s->options.commit_seconds && passed(&at);
		if (s->committing || (!s->queue && !s->kick && !due))
			continue;
		due |= s->kick;
		s->kick = false;
		if (due)
			deadline(&at, s->options.commit_seconds);
		/* The first commit makes the log void: it takes all that was in it. */
		commit_once(s, s->intent.replayed ? STORE_COMMIT_EVERYTHING
			       : due		  ? STORE_COMMIT_ALL
						  : 0);
		s->intent.replayed = false;
		if (due)
			memory_trim(s);
	}
	if (!s->failed)
		commit_once(s, STORE_COMMIT_EVERYTHING);
	store_unlock(s);
	return NULL;
}

int commit_start_thread(struct store *s)
{
	int r = pthread_create(&s->thread, NULL, thread_main, s);

	s->thread_runs = r == 0;
	return -r;
}

void commit_stop_thread(struct store *s)
{
	if (!s->thread_runs)
		return;
	store_lock(s);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	store_unlock(s);
	pthread_join(s->thread, NULL);
	s->thread_runs = false;
}

void commit_kick(struct store *s)
{
	uint64_t most = atomic_load(&s->meta_low) ? DIRTY_FEW : DIRTY_MANY;

	if (s->kick || (s->ndirty < most && s->active->count < 4 * most))
		return;
	s->kick = true;
	pthread_cond_signal(&s->wake);
}
