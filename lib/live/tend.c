/* SPDX-License-Identifier: MIT */
/*
 * tend.c - what happens to images by itself: images of policy auto go to the store every few seconds,
 * clients that are gone are let go, and an image without clients is retired.
 *
 * Retiring. A mapping may outlive its client's connection and descriptor, and what is stored there
 * must not be lost. F_SEAL_WRITE can be added only when no writable mapping is left: so the daemon
 * gives its own up, and tries; if another is there (EBUSY), the image stays, and is tried again. After
 * the seal its bytes are final. If all clients were watched to their end, the store has these bytes
 * already, and the image ends at once; else it is compared a last time, and changes wait for that.
 *
 * A client may have sealed the memfd itself. Then nothing can be said about mappings that are left:
 * the image ends with its clients.
 *
 * One thread looks for what is to be done; jobs do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "live/live_i.h"

enum { RETRY_MS = 1000 };

/* ---- retiring ----------------------------------------------------------------------------- */

/* Gate held for writing. */
static bool has_changes(const struct image *image)
{
	uint64_t count = image->capacity / PAGE / 64 + 1;

	if (image->cut != atomic_load(&image->size))
		return true;
	for (uint64_t i = 0; i < count; i++)
		if (atomic_load_explicit(&image->wrote[i], memory_order_relaxed))
			return true;
	return false;
}

/* SEALED, work held: can nobody store to it any more? The kernel waits a while for who has pinned a
 * page, so no other lock is held. */
static bool seal(struct image *image)
{
	int seals = fcntl(image->fd, F_GET_SEALS);

	if (image->map)
		munmap(image->map, image->capacity);
	image->map = NULL;
	image->foreign = seals != (F_SEAL_SHRINK | F_SEAL_GROW);
	if (fcntl(image->fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 || errno == EPERM)
		return true;
	image->map = mmap(NULL, image->capacity, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	if (image->map != MAP_FAILED)
		return false;
	image->map = NULL;
	return errno == EPERM; /* sealed by somebody else this moment */
}

enum retired { NOT_YET, AGAIN, LAST_LOOK, ENDED };

static void lock_state(struct image *image)
{
	pthread_rwlock_wrlock(&shard_of(image->live, image->ino)->gate);
	pthread_mutex_lock(&image->live->lock);
}

static void unlock_state(struct image *image)
{
	pthread_mutex_unlock(&image->live->lock);
	pthread_rwlock_unlock(&shard_of(image->live, image->ino)->gate);
}

/* From LIVE to SEALED, if it may be. */
static enum retired begin_end(struct image *image, bool watched)
{
	enum retired result = LAST_LOOK;

	lock_state(image);
	if (image->attached)
		result = NOT_YET;
	else if (watched && has_changes(image))
		result = AGAIN;
	if (result == LAST_LOOK) {
		image->state = SEALED;
		image->retire_error = 0;
	}
	unlock_state(image);
	return result;
}

/* To its end, or back to LIVE. */
static enum retired close_image(struct image *image, bool watched)
{
	struct live *live = image->live;
	enum retired result = begin_end(image, watched);
	bool sealed;

	if (result != LAST_LOOK)
		return result;
	sealed = seal(image);
	lock_state(image);
	if (!sealed) {
		image->suspect = true;
		image->retry_at = live_now_ms() + RETRY_MS;
		image->state = LIVE;
		pthread_cond_broadcast(&live->changed);
		result = NOT_YET;
	} else {
		live->stats.foreign_seals += image->foreign;
		if (watched && !image->foreign) {
			image_end_begin(image);
			image_remove_locked(image);
			result = ENDED;
		}
	}
	unlock_state(image);
	if (result == ENDED)
		store_forget(live->opt.store, image->ino, 1);
	return result;
}

/* The store can't have it now, or somebody has it mapped. */
static void try_later(struct image *image, int error)
{
	struct live *live = image->live;

	pthread_mutex_lock(&live->lock);
	image->retry_at = live_now_ms() + RETRY_MS;
	image->retire_error = error;
	pthread_cond_broadcast(&live->changed);
	pthread_mutex_unlock(&live->lock);
}

/* work held; no client is left, or so it was. */
static void retire(struct image *image)
{
	struct live_commit_result ignored = { 0 };
	enum retired how = image->state == SEALED ? LAST_LOOK : AGAIN;
	int r = 0;

	while (how == AGAIN && r == 0) {
		bool watched = !image->suspect;

		if (watched)
			r = image_flush(image, &ignored);
		if (r == 0)
			how = close_image(image, watched && !image->suspect);
	}
	if (how == LAST_LOOK && r == 0) {
		image->suspect = true;
		r = image_flush(image, &ignored);
		if (r == 0) {
			pthread_mutex_lock(&image->live->lock);
			image_end_begin(image);
			pthread_mutex_unlock(&image->live->lock);
			image_remove(image);
		}
	}
	if (r < 0)
		try_later(image, r);
}

/* ---- jobs --------------------------------------------------------------------------------- */

/* work held. */
static void flush_auto(struct image *image)
{
	struct live_commit_result result = { 0 };
	struct live *live = image->live;
	int64_t begin = live_now_ms(), now;
	struct store_attr attr;
	bool is_auto;

	is_auto = store_getattr(live->opt.store, image->ino, &attr) == 0 &&
		  !(attr.flags & STORE_INODE_EXPLICIT);
	/* (What fails now fails again for who asks for it.) */
	if (is_auto)
		image_flush(image, &result);
	now = live_now_ms();
	pthread_mutex_lock(&live->lock);
	image->explicit_policy = !is_auto;
	/* One that must be compared may be large: at most a twentieth of the time. */
	image->flush_at = now + live->opt.commit_seconds * 1000ll + 20 * (now - begin);
	pthread_mutex_unlock(&live->lock);
}

static void tend(void *arg)
{
	struct image *image = arg;
	struct live *live = image->live;
	bool alone, due, gone;
	enum image_state state;

	pthread_mutex_lock(&image->work);
	image_reap(image);
	pthread_mutex_lock(&live->lock);
	alone = image->attached == 0;
	state = image->state;
	due = live->opt.commit_seconds && live_now_ms() >= image->flush_at;
	pthread_mutex_unlock(&live->lock);
	if (state == SEALED || (state == LIVE && alone))
		retire(image);
	if (state == LIVE && due && image->state == LIVE)
		flush_auto(image);
	pthread_mutex_lock(&live->lock);
	gone = image->state == GONE;
	image->tending = false;
	pthread_mutex_unlock(&live->lock);
	pthread_mutex_unlock(&image->work);
	if (gone || due)
		image_invalidate(live, image->ino, atomic_exchange(&image->read_cached, false));
	if (gone)
		image_end_over(image);
	image_put(image);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* live.lock held. When is it to be looked at, at the latest? */
static int64_t due_at(const struct image *image)
{
	const struct live *live = image->live;
	int64_t at = INT64_MAX;

	if (image->state == FILLING || image->tending)
		return at;
	if (image->tend_now)
		return 0;
	if (image->attached == 0 || image->state == SEALED)
		at = image->retry_at;
	if (live->opt.commit_seconds && !image->explicit_policy && image->flush_at < at &&
	    image->state == LIVE)
		at = image->flush_at;
	return at;
}

/* live.lock held; the time to wait for. */
static int64_t look(struct live *live)
{
	int64_t now = live_now_ms(), next = now + 1000;
	struct image *image;

	for (unsigned i = 0; i < SHARDS; i++)
		LIST_FOREACH(image, &live->shards[i].images, link) {
			int64_t at = due_at(image);

			if (at > now) {
				next = at < next ? at : next;
				continue;
			}
			image->refs++;
			image->tending = true;
			image->tend_now = false;
			if (jobs_run(live->jobs, LIVE_OF_CLIENT, image->ino | 1ull << 63, 0, tend,
				     image) < 0) {
				image->refs--; /* not the last */
				image->tending = false;
				image->tend_now = true;
			}
		}
	return next;
}

static void *run(void *arg)
{
	struct live *live = arg;

	pthread_mutex_lock(&live->lock);
	while (!live->stopping) {
		int64_t until = look(live);
		struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

		if (!live->kicked && !live->stopping)
			pthread_cond_timedwait(&live->wake, &live->lock, &at);
		live->kicked = false;
	}
	pthread_mutex_unlock(&live->lock);
	return NULL;
}

void tend_kick(struct live *live)
{
	live->kicked = true;
	pthread_cond_signal(&live->wake);
}

int tend_start(struct live *live)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&live->thread, NULL, run, live);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	live->running = r == 0;
	return -r;
}

void tend_stop(struct live *live)
{
	if (!live->running)
		return;
	pthread_mutex_lock(&live->lock);
	live->stopping = true;
	pthread_cond_signal(&live->wake);
	pthread_mutex_unlock(&live->lock);
	pthread_join(live->thread, NULL);
}
