/* SPDX-License-Identifier: MIT */
/*
 * commit.c - the store gets what it does not have of images: many pages are written ahead, and all that
 * changes the files happens between store_hold_begin() and _end(), so that a commit takes all of it or
 * nothing. What was found is kept until the store has it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "live/live_i.h"
#include "util/cleanup.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* What is put into the store in one hold. */
struct batch {
	struct live *live;
	struct taken *t;
	size_t n;
	const uint64_t *inos; /* of all files, those that are not live, too */
	size_t ninos;
};

static int compare_inos(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The store has it. */
static void note(struct taken *t)
{
	struct image *image = t->image;
	struct live *live = image->live;
	uint64_t count = image->capacity / PAGE / 64 + 1, first = 0;

	if (!t->pages) /* beyond the end only, if any */
		first = (t->snap.size + PAGE - 1) / PAGE / 64;
	memset(image->dirty + first, 0, (count - first) * 8);
	pthread_mutex_lock(&live->lock);
	image->dirty_pages = t->pages;
	live->stats.written_pages += t->pages;
	pthread_mutex_unlock(&live->lock);
}

/* ---- several ------------------------------------------------------------------------------ */

/* Small ones take their pages within the hold, where no commit can make room: before, if it must be. (If
 * there is none: -ENOSPC, from who asks for them.) */
static void make_room(const struct taken *t, size_t n)
{
	uint64_t need = 64;

	for (size_t i = 0; i < n; i++)
		need += t[i].many ? 0 : t[i].pages;
	store_make_room(t[0].image->live->opt.store, need);
}

/* In the hold: what is there of it goes back, where it can. Others' files go by others_store() itself. */
static void take_back_held(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct image *image = b->t[i].image;

		/* First: who sees the number as it was has committed before this. */
		atomic_fetch_add(&image->taken_back, 1);
		store_rollback_held(b->live->opt.store, image->ino);
	}
}

/* ret_half: something may have changed in the store. */
static int put_all(struct batch *b, bool *ret_half)
{
	const struct live_options *opt = &b->live->opt;
	struct store_ahead *ahead = NULL;
	void *others = NULL;
	int r = store_ahead_new(opt->store, &ahead);

	for (size_t i = 0; i < b->n && r == 0; i++)
		r = put_ahead(&b->t[i], ahead);
	if (r == 0)
		r = store_ahead_write(ahead);
	if (r == 0 && b->n)
		make_room(b->t, b->n); /* beside what those ahead have taken */
	if (r == 0 && b->ninos && opt->others_begin)
		r = opt->others_begin(opt->arg, b->inos, b->ninos, &others);
	if (r == 0) {
		store_hold_begin(opt->store);
		*ret_half = true;
		for (size_t i = 0; i < b->n && r == 0; i++)
			r = put_place(&b->t[i], ahead);
		if (r == 0 && others)
			r = opt->others_store(others);
		if (r < 0)
			take_back_held(b);
		store_hold_end(opt->store);
	}
	if (others)
		opt->others_end(others);
	store_ahead_free(ahead);
	for (size_t i = 0; i < b->n; i++)
		put_end(&b->t[i]);
	return r == -EFAULT ? -ENOMEM : r; /* a page of the image could not be had */
}

/* Half of it may be in the store: back to its last commit. What else it had is found by a
 * comparison. */
static void take_back(struct taken *t, size_t n)
{
	struct store_attr attr;

	for (size_t i = 0; i < n; i++) {
		struct image *image = t[i].image;

		image->suspect = true;
		atomic_fetch_add(&image->taken_back, 1);
		if (store_rollback(image->live->opt.store, image->ino, &attr) < 0)
			live_log(image->live, STORE_LOG_WARNING,
				 "inode %llu: half of a commit that failed cannot be taken back",
				 (unsigned long long)image->ino);
	}
}

static int collect(struct taken *t, size_t n, struct live_commit_result *result)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		image_reap(t[i].image);
		r = image_collect(t[i].image, &t[i].snap);
		result->compared += r == 0 ? t[i].snap.compared : 0;
	}
	/* The least sizes are taken: only a comparison finds what they stood for. */
	for (size_t i = 0; i < n && r < 0; i++)
		t[i].image->suspect = true;
	return r;
}

/* work of all held. */
static int flush(struct batch *b, struct live_commit_result *result)
{
	struct taken *t = b->t;
	size_t n = b->n;
	bool half = false;
	int r = collect(t, n, result);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		put_count(&t[i]);
	r = put_all(b, &half);
	if (r < 0) {
		if (half)
			take_back(t, n);
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		note(&t[i]);
		result->written += t[i].pages;
	}
	return 0;
}

int image_flush(struct image *image, struct live_commit_result *result)
{
	struct taken t = { .image = image };
	struct batch b = { .live = image->live, .t = &t, .n = 1 };

	return flush(&b, result);
}

/* References to those that are live, each once, by inode: as their locks are taken. */
static size_t take(struct live *live, uint64_t *inos, size_t n, struct taken *t, int *ret_error)
{
	size_t count = 0;

	*ret_error = 0;
	qsort(inos, n, sizeof(*inos), compare_inos);
	for (size_t i = 0; i < n; i++) {
		struct image *image;
		int r;

		if (i > 0 && inos[i] == inos[i - 1])
			continue;
		if (!image_settled(live, inos[i], &r))
			continue;
		if (r < 0) /* the store cannot have the last of it */
			*ret_error = r;
		image = image_get(live, inos[i], false);
		if (image)
			t[count++] = (struct taken){ .image = image };
	}
	for (size_t i = 0; i < count; i++)
		pthread_mutex_lock(&t[i].image->work);
	return count;
}

/* One that ended meanwhile has given all to the store. */
static size_t drop_ended(struct live *live, struct taken *t, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct image *image = t[i].image;
		bool is_live;

		pthread_mutex_lock(&live->lock);
		is_live = image->state == LIVE;
		pthread_mutex_unlock(&live->lock);
		if (is_live) {
			t[kept++] = t[i];
		} else {
			pthread_mutex_unlock(&image->work);
			image_put(image);
		}
	}
	return kept;
}

/* Leaves `work` of all of `t` locked, also after an error. */
static int flush_files(struct live *live, const uint64_t *inos, size_t n, struct taken *t,
		       size_t *ret_count, struct live_commit_result *result)
{
	zu_cleanup_free uint64_t *sorted = calloc(n, sizeof(*sorted));
	struct batch b = { .live = live, .t = t, .inos = sorted, .ninos = n };
	size_t count;
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, inos, n * sizeof(*sorted));
	count = take(live, sorted, n, t, &r);
	count = drop_ended(live, t, count);
	b.n = count;
	if (r == 0 && (count || live->opt.others_begin))
		r = flush(&b, result);
	*ret_count = count;
	return r;
}

static void unlock(struct taken *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		t[i].taken_back = atomic_load(&t[i].image->taken_back);
		pthread_mutex_unlock(&t[i].image->work);
	}
}

static void committed(struct live *live, struct taken *t, size_t n)
{
	pthread_mutex_lock(&live->lock);
	for (size_t i = 0; i < n; i++) {
		t[i].image->commits++;
		t[i].image->committed_at = live_now_ms();
	}
	live->stats.commits++;
	pthread_mutex_unlock(&live->lock);
}

void image_invalidate(struct live *live, uint64_t ino, bool cached)
{
	int r = cached && live->opt.deliver ? live->opt.deliver(live->opt.arg, ino) : 0;

	if (r < 0)
		live_log(live, STORE_LOG_WARNING,
			 "inode %llu: the kernel may show old bytes of it: %s",
			 (unsigned long long)ino, strerror(-r));
}

/* What was put into the store went back before it was committed: another's flush failed. */
static bool is_taken_back(const struct taken *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (atomic_load(&t[i].image->taken_back) != t[i].taken_back)
			return true;
	return false;
}

static unsigned others_taken_back(struct live *live, const uint64_t *inos, size_t n)
{
	const struct live_options *opt = &live->opt;

	return opt->others_begin ? opt->others_taken_back(opt->arg, inos, n) : 0;
}

/* `t` has room for all. `alone`: nobody else flushes these images before they are committed; so this
 * ends also where others fail all the time. */
static int commit_files(struct live *live, const uint64_t *inos, size_t n, unsigned flags,
			struct taken *t, bool alone, struct live_commit_result *result,
			bool *ret_again)
{
	unsigned others = others_taken_back(live, inos, n);
	size_t count = 0;
	int r = 0;

	if (n && (live->opt.others_begin || atomic_load(&live->count)))
		r = flush_files(live, inos, n, t, &count, result);
	if (!alone)
		unlock(t, count);
	if (r == 0)
		r = store_commit(live->opt.store, inos, n, flags);
	if (alone)
		unlock(t, count);
	*ret_again =
		r == 0 && (is_taken_back(t, count) || others != others_taken_back(live, inos, n));
	if (r == 0 && !*ret_again)
		committed(live, t, count);
	for (size_t i = 0; i < count; i++) {
		struct image *image = t[i].image;

		if (r == 0)
			image_invalidate(live, image->ino,
					 atomic_exchange(&image->read_cached, false));
		image_put(image);
	}
	return r;
}

int live_commit(struct live *live, const uint64_t *inos, size_t n, unsigned flags,
		struct live_commit_result *ret_result)
{
	struct live_commit_result result = { 0 };
	zu_cleanup_free struct taken *t = calloc(n + 1, sizeof(*t));
	bool again = false;
	int r;

	if (!t)
		return -ENOMEM;
	do
		r = commit_files(live, inos, n, flags, t, again, &result, &again);
	while (again);
	if (r == 0 && ret_result)
		*ret_result = result;
	return r;
}

int live_flush(struct live *live, const uint64_t *inos, size_t n)
{
	struct live_commit_result result = { 0 };
	zu_cleanup_free struct taken *t = NULL;
	size_t count = 0;
	int r;

	if (!n || atomic_load(&live->count) == 0)
		return 0;
	t = calloc(n, sizeof(*t));
	r = t ? flush_files(live, inos, n, t, &count, &result) : -ENOMEM;
	unlock(t, count);
	for (size_t i = 0; i < count; i++)
		image_put(t[i].image);
	return r;
}

int live_flush_all(struct live *live, bool everything)
{
	size_t most = atomic_load(&live->count), n = 0;
	zu_cleanup_free uint64_t *inos = calloc(most + 1, sizeof(*inos));
	int r = inos ? 0 : -ENOMEM;

	if (r < 0 || most == 0)
		return r;
	pthread_mutex_lock(&live->lock);
	for (unsigned i = 0; i < SHARDS; i++) {
		const struct image *image;

		LIST_FOREACH(image, &live->shards[i].images, link)
			if (n < most && (everything || !image->explicit_policy))
				inos[n++] = image->ino;
	}
	pthread_mutex_unlock(&live->lock);
	for (size_t i = 0; i < n; i++) {
		int e = live_flush(live, &inos[i], 1);

		r = r < 0 ? r : e;
	}
	return r;
}

/* ---- back to the last commit -------------------------------------------------------------- */

static int restore_block(struct image *image, uint64_t offset, uint64_t length,
			 const uint8_t *bytes)
{
	zu_cleanup_free uint8_t *now = NULL;
	int r = 0;

	if (!bytes)
		return image_zero(image, offset, offset + length);
	now = malloc(length);
	if (!now || image_pread(image, now, length, offset) != (ssize_t)length)
		return now ? -EIO : -ENOMEM;
	for (uint64_t at = 0; at < length && r == 0; at += PAGE) {
		uint64_t size = MIN(PAGE, length - at);

		if (memcmp(now + at, bytes + at, size))
			r = image_pwrite(image, bytes + at, size, offset + at);
	}
	return r;
}

/* work held. */
static int restore(struct image *image, struct store_attr *ret_attr)
{
	struct shard *s = shard_of(image->live, image->ino);
	struct live_commit_result ignored = { 0 };
	struct taken t = { .image = image };
	struct store_attr attr;
	int r = store_rollback(image->live->opt.store, image->ino, &attr);

	if (r == 0 && attr.size > image->capacity)
		r = -EFBIG;
	if (r < 0)
		return r;
	/* What was stored so far need not be looked at again. */
	r = collect(&t, 1, &ignored);
	if (r == 0) {
		pthread_rwlock_wrlock(&s->gate);
		atomic_store(&image->size, attr.size);
		image->cut = attr.size;
		pthread_rwlock_unlock(&s->gate);
		r = image_each_block(image, attr.size, false, restore_block);
	}
	if (r == 0)
		r = image_zero(image, attr.size, image->capacity);
	if (r == 0) {
		note(&t);
		memset(image->dirty, 0, (image->capacity / PAGE / 64 + 1) * 8);
		*ret_attr = attr;
	} else {
		image->suspect = true;
	}
	return r;
}

int live_rollback(struct live *live, uint64_t ino, struct store_attr *ret_attr)
{
	struct taken t;
	struct image *image;
	int r;

	if (take(live, &ino, 1, &t, &r) == 0 || drop_ended(live, &t, 1) == 0)
		return store_rollback(live->opt.store, ino, ret_attr);
	image = t.image;
	r = restore(image, ret_attr);
	pthread_mutex_unlock(&image->work);
	image_invalidate(live, ino, true);
	image_put(image);
	return r;
}
