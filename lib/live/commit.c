/* SPDX-License-Identifier: MIT */
/*
 * commit.c - the store gets what it does not have of images: between store_hold_begin() and _end(),
 * so that a commit takes all of it or nothing. What was found is kept until the store has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "live/live_i.h"
#include "util/cleanup.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct taken {
	struct image *image;
	struct snapshot snap;
	uint64_t pages; /* put into the store */
};

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

/* ---- one image ---------------------------------------------------------------------------- */

static int put_bytes(struct image *image, uint64_t from, uint64_t end, uint8_t *buf)
{
	while (from < end) {
		uint64_t n = MIN(end - from, BLOCK);
		struct store_source source = { .buf = buf, .pipe_fd = -1 };
		ssize_t r = image_pread(image, buf, n, from);

		if (r == (ssize_t)n)
			r = store_write(image->live->opt.store, image->ino, from, n, &source, 0);
		else if (r >= 0)
			r = -EIO;
		if (r < 0)
			return (int)r;
		from += n;
	}
	return 0;
}

/* Dirty pages without memory are zeros: nothing to write, but what the store may have there goes. */
static int put_hole(struct image *image, uint64_t from, uint64_t end)
{
	struct store *store = image->live->opt.store;
	uint64_t at;
	int r = store_seek(store, image->ino, from, SEEK_DATA, &at);

	if (r == -ENXIO || (r == 0 && at >= end))
		return 0;
	return store_fallocate(store, image->ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
			       end - from);
}

static int put_run(struct image *image, uint64_t from, uint64_t end, uint8_t *buf)
{
	uint64_t at = from, stop;
	int r = 0;

	if (end - from <= 16 * PAGE)
		return put_bytes(image, from, end, buf);
	for (; r == 0 && from < end; from = stop) {
		at = from;
		if (!image_data(image, &at, end, &stop))
			at = stop = end;
		if (at > from)
			r = put_hole(image, from, at);
		if (r == 0 && at < stop)
			r = put_bytes(image, at, stop, buf);
	}
	return r;
}

static int set_size(struct image *image, uint64_t size)
{
	struct store_attr attr = { .size = size };

	return store_setattr(image->live->opt.store, image->ino, STORE_SET_SIZE, &attr, &attr);
}

/* In the hold. */
static int put(struct taken *t, uint8_t *buf)
{
	struct image *image = t->image;
	uint64_t limit = (t->snap.size + PAGE - 1) / PAGE, from = 0, end;
	struct store_attr attr;
	int r = store_getattr(image->live->opt.store, image->ino, &attr);

	t->pages = 0;
	if (r == 0 && t->snap.cut < attr.size) {
		r = set_size(image, t->snap.cut);
		attr.size = t->snap.cut;
	}
	for (; r == 0 && bitmap_run(image->dirty, &from, limit, &end); from = end) {
		r = put_run(image, from * PAGE, MIN(end * PAGE, t->snap.size), buf);
		t->pages += end - from;
	}
	/* The last run may have made it as long already. */
	if (r == 0 && t->snap.size != attr.size)
		r = set_size(image, t->snap.size);
	return r;
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

/* Are there pages for all of it? (A guess: some may be rewritten in place.) */
static bool has_room(const struct taken *t, size_t n)
{
	struct store_space space;
	uint64_t need = 64;

	for (size_t i = 0; i < n; i++) {
		uint64_t limit = (t[i].snap.size + PAGE - 1) / PAGE, from = 0, end;

		for (; bitmap_run(t[i].image->dirty, &from, limit, &end); from = end)
			need += end - from;
	}
	store_get_space(t[0].image->live->opt.store, &space);
	return need <= space.avail_pages;
}

static int put_all(struct batch *b)
{
	zu_cleanup_free uint8_t *buf = aligned_alloc(PAGE, BLOCK);
	const struct live_options *opt = &b->live->opt;
	int r = buf ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	store_hold_begin(opt->store);
	for (size_t i = 0; i < b->n && r == 0; i++)
		r = put(&b->t[i], buf);
	for (size_t i = 0; i < b->ninos && opt->store_held && r == 0; i++)
		r = opt->store_held(opt->arg, b->inos[i]);
	store_hold_end(opt->store);
	return r;
}

/* Half of it may be in the store: back to its last commit. What else it had is found by a
 * comparison. */
static void take_back(struct taken *t, size_t n)
{
	struct store_attr attr;

	for (size_t i = 0; i < n; i++) {
		struct image *image = t[i].image;

		image->suspect = true;
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
	int r = collect(t, n, result);

	if (r < 0)
		return r;
	if (n && !has_room(t, n))
		store_commit(b->live->opt.store, NULL, 0, 0); /* gives replaced pages back */
	r = put_all(b);
	if (r < 0) {
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
	struct batch b = { .live = image->live, .t = &t, .n = 1, .inos = &image->ino, .ninos = 1 };

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

static int flush_files(struct live *live, const uint64_t *inos, size_t n, struct taken *t,
		       size_t *ret_count, struct live_commit_result *result)
{
	zu_cleanup_free uint64_t *sorted = calloc(n, sizeof(*sorted));
	struct batch b = { .live = live, .t = t, .inos = inos, .ninos = n };
	size_t count;
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, inos, n * sizeof(*sorted));
	count = take(live, sorted, n, t, &r);
	count = drop_ended(live, t, count);
	b.n = count;
	if (r == 0 && (count || live->opt.store_held))
		r = flush(&b, result);
	for (size_t i = 0; i < count; i++)
		pthread_mutex_unlock(&t[i].image->work);
	*ret_count = count;
	return r;
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

int live_commit(struct live *live, const uint64_t *inos, size_t n, unsigned flags,
		struct live_commit_result *ret_result)
{
	struct live_commit_result result = { 0 };
	zu_cleanup_free struct taken *t = calloc(n + 1, sizeof(*t));
	size_t count = 0;
	int r = t ? 0 : -ENOMEM;

	if (r == 0 && n && (live->opt.store_held || atomic_load(&live->count)))
		r = flush_files(live, inos, n, t, &count, &result);
	if (r == 0)
		r = store_commit(live->opt.store, inos, n, flags);
	if (r == 0)
		committed(live, t, count);
	for (size_t i = 0; i < count; i++) {
		struct image *image = t[i].image;

		if (r == 0)
			image_invalidate(live, image->ino,
					 atomic_exchange(&image->read_cached, false));
		image_put(image);
	}
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
