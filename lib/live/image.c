/* SPDX-License-Identifier: MIT */
/*
 * image.c - an image begins, is filled, and ends.
 *
 * Everybody whose descriptor is not the daemon's own has one that was opened anew: with a description
 * of its own, so that nobody's O_APPEND or position matters to anybody else. The inode belongs to a
 * user that nobody is, and to its owner alone, so that what was opened for reading stays so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "live/live_i.h"
#include "util/checked.h"
#include "util/cleanup.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

enum { ENDS_MS = 2500 };

static uint64_t words(uint64_t capacity)
{
	return (capacity / PAGE + 63) / 64 + 1;
}

static void image_free(struct image *image)
{
	if (!image)
		return;
	if (image->map)
		munmap(image->map, image->capacity);
	if (image->fd >= 0)
		close(image->fd);
	free(image->dirty);
	free((void *)image->wrote);
	free((void *)image->spare);
	pthread_mutex_destroy(&image->work);
	free(image);
}

static struct image *image_new(struct live *live, const struct live_attach *a, uint64_t capacity)
{
	struct image *image = calloc(1, sizeof(*image));
	uint64_t random = 0;

	if (!image)
		return NULL;
	image->live = live;
	image->ino = a->ino;
	image->uid = a->uid;
	image->fd = -1;
	image->refs = 2; /* the table's, the caller's */
	image->state = FILLING;
	image->delivering = true;
	image->committed_at = -1;
	TAILQ_INIT(&image->clients);
	pthread_mutex_init(&image->work, NULL);
	(void)!getrandom(&random, sizeof(random), 0);
	image->generation = random | 1;
	image->capacity = capacity;
	image->dirty = calloc(words(capacity), 8);
	image->wrote = calloc(words(capacity), 8);
	image->spare = calloc(words(capacity), 8);
	if (image->dirty && image->wrote && image->spare)
		return image;
	image_free(image);
	return NULL;
}

/* What the image of a file of `size` takes. */
static int choose_capacity(uint64_t size, uint64_t wanted, uint64_t *ret_capacity)
{
	uint64_t capacity;

	if (!zu_mul_u64(size, 2, &capacity))
		return -EFBIG;
	if (capacity < LEAST_CAPACITY)
		capacity = LEAST_CAPACITY;
	if (capacity < wanted)
		capacity = wanted;
	if (!zu_round_up_u64(capacity, PAGE, &capacity) || capacity > (uint64_t)INT64_MAX - PAGE)
		return -EFBIG;
	*ret_capacity = capacity;
	return 0;
}

/* Is there an image that nobody uses any more? */
static bool any_ends(struct live *live)
{
	const struct image *image;
	bool any = false;

	pthread_mutex_lock(&live->lock);
	for (unsigned i = 0; i < SHARDS && !any; i++)
		LIST_FOREACH(image, &live->shards[i].images, link)
			any = any || (!image->attached && image->state != FILLING);
	pthread_mutex_unlock(&live->lock);
	return any;
}

/* What somebody has just left is free a little later, at the second try perhaps: wait for that. */
static int take_room(struct live *live, uid_t uid, uint64_t capacity)
{
	static const struct timespec step = { .tv_nsec = 5000000 };
	int64_t until = live_now_ms() + ENDS_MS;
	int r;

	while ((r = live_room_take(live->opt.room, uid, capacity)) < 0 && any_ends(live) &&
	       live_now_ms() < until)
		nanosleep(&step, NULL);
	return r;
}

static int reserve(struct live *live, const struct live_attach *a, uint64_t capacity,
		   const char **ret_why)
{
	int r = take_room(live, a->uid, capacity);

	if (r == -ENOSPC)
		*ret_why = "live files have no more room: close some, or mount with a larger "
			   "live_limit";
	else if (r == -EDQUOT)
		*ret_why = "this user's live files have no more room, half of live_limit: close "
			   "some, or mount with a larger live_limit";
	if (r == -ENOSPC || r == -EDQUOT) {
		pthread_mutex_lock(&live->lock);
		live->stats.refused++;
		pthread_mutex_unlock(&live->lock);
		r = -ENOSPC;
	}
	return r;
}

static void unreserve(const struct image *image)
{
	live_room_change(image->live->opt.room, image->uid, image->capacity, 0);
}

int image_begin(struct live *live, const struct live_attach *a, struct image **ret_image,
		const char **ret_why)
{
	const uint64_t ino = a->ino;
	struct shard *s = shard_of(live, ino);
	struct image *image = NULL;
	struct store_attr attr;
	uint64_t capacity = 0;
	int r = store_getattr(live->opt.store, ino, &attr);

	if (r == 0 && !S_ISREG(attr.mode)) {
		*ret_why = "it is not a regular file";
		r = -EINVAL;
	}
	if (r == 0)
		r = choose_capacity(attr.size, a->wanted, &capacity);
	if (r == 0)
		r = reserve(live, a, capacity, ret_why);
	if (r < 0)
		return r;
	image = image_new(live, a, capacity);
	if (!image || store_ref(live->opt.store, ino, &attr) < 0) {
		r = image ? -ESTALE : -ENOMEM;
		image_free(image);
		live_room_change(live->opt.room, a->uid, capacity, 0);
		return r;
	}
	/* The gate: whoever changes the file past this module has ended, and begins no more. */
	pthread_rwlock_wrlock(&s->gate);
	pthread_mutex_lock(&live->lock);
	if (image_find(live, ino))
		r = -EEXIST;
	if (r == 0) {
		image->id = ++live->next_id;
		LIST_INSERT_HEAD(&s->images, image, link);
		atomic_fetch_add(&live->count, 1);
		live->stats.images++;
	}
	pthread_mutex_unlock(&live->lock);
	pthread_rwlock_unlock(&s->gate);
	if (r < 0) {
		store_forget(live->opt.store, ino, 1);
		unreserve(image);
		image_free(image);
		return r;
	}
	*ret_image = image;
	return 0;
}

/* ---- filling ------------------------------------------------------------------------------ */

static int fill_block(struct image *image, uint64_t offset, uint64_t length, const uint8_t *bytes)
{
	return bytes ? image_pwrite(image, bytes, length, offset) : 0;
}

static int make_memfd(struct image *image)
{
	char name[40];
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	zu_cleanup_close int fd = -1;

	snprintf(name, sizeof(name), "zcfs-%llu", (unsigned long long)image->ino);
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	if (fd < 0 || ftruncate(fd, (off_t)image->capacity) < 0 || fchmod(fd, 0600) < 0)
		return -errno;
	image->fd = TAKE_FD(fd);
	return 0;
}

/* Commits write from the mapping: a fault for each page of the first of them would take longer than the
 * writing. (Where there is no memory it stays a hole.) A kernel before 5.14 cannot; then it is so. */
static void populate(const struct image *image)
{
	uint64_t from = 0, end;

	for (; image_data(image, &from, image->capacity, &end); from = end)
		madvise(image->map + from, end - from, MADV_POPULATE_READ);
}

/* What must be so before anybody else has a descriptor. */
static int lock_down(struct image *image)
{
	struct live *live = image->live;

	/* (In a user namespace there may be no such user: then only other users are kept out.) */
	if (live->opt.owner != (uid_t)-1 && fchown(image->fd, live->opt.owner, (gid_t)-1) < 0)
		live_log(live, STORE_LOG_INFO, "an image cannot be given to user %u: %s",
			 (unsigned)live->opt.owner, strerror(errno));
	image->map = mmap(NULL, image->capacity, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	if (image->map == MAP_FAILED) {
		image->map = NULL;
		return -errno;
	}
	madvise(image->map, image->capacity, MADV_DONTDUMP);
	populate(image);
	if (fcntl(image->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	return 0;
}

int image_fill(struct image *image)
{
	struct live *live = image->live;
	int64_t begin = live_now_ms();
	struct store_attr attr;
	struct stat st;
	int r = store_getattr(live->opt.store, image->ino, &attr);

	if (r == 0 && attr.size > image->capacity) /* it grew when the kernel's pages came */
		r = -EAGAIN;
	if (r == 0)
		r = make_memfd(image);
	if (r == 0)
		r = image_each_block(image, attr.size, true, fill_block);
	if (r == 0)
		r = lock_down(image);
	if (r < 0)
		return r;
	atomic_store(&image->size, attr.size);
	image->cut = attr.size;
	atomic_store(&image->blocks, fstat(image->fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks);
	pthread_mutex_lock(&live->lock);
	image->explicit_policy = attr.flags & STORE_INODE_EXPLICIT;
	image->fill_ms = (uint64_t)(live_now_ms() - begin);
	pthread_mutex_unlock(&live->lock);
	return 0;
}

int image_open(const struct image *image, bool writable)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", image->fd);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- the table ---------------------------------------------------------------------------- */

struct image *image_find(struct live *live, uint64_t ino)
{
	struct image *image;

	LIST_FOREACH(image, &shard_of(live, ino)->images, link)
		if (image->ino == ino)
			break;
	return image;
}

struct image *image_get(struct live *live, uint64_t ino, bool any)
{
	struct image *image = NULL;

	if (atomic_load(&live->count) == 0)
		return NULL;
	pthread_mutex_lock(&live->lock);
	image = image_find(live, ino);
	if (image && (any || image->state == LIVE))
		image->refs++;
	else
		image = NULL;
	pthread_mutex_unlock(&live->lock);
	return image;
}

void image_put(struct image *image)
{
	struct live *live = image->live;
	bool last;

	pthread_mutex_lock(&live->lock);
	last = --image->refs == 0;
	pthread_mutex_unlock(&live->lock);
	if (last)
		image_free(image);
}

void image_set_state(struct image *image, enum image_state state)
{
	struct shard *s = shard_of(image->live, image->ino);

	pthread_rwlock_wrlock(&s->gate);
	pthread_mutex_lock(&image->live->lock);
	image->state = state;
	image->delivering = false;
	pthread_cond_broadcast(&image->live->changed);
	pthread_mutex_unlock(&image->live->lock);
	pthread_rwlock_unlock(&s->gate);
}

/* The caller has a reference of its own beside the table's. */
void image_remove_locked(struct image *image)
{
	struct live *live = image->live;

	image->state = GONE;
	atomic_store(&live->any_ended, true);
	LIST_REMOVE(image, link);
	unreserve(image);
	atomic_fetch_sub(&live->count, 1);
	image->refs--;
	pthread_cond_broadcast(&live->changed);
}

void image_end_begin(struct image *image)
{
	LIST_INSERT_HEAD(&image->live->ending, image, ending);
	atomic_fetch_add(&image->live->ends, 1);
}

void image_end_over(struct image *image)
{
	struct live *live = image->live;

	pthread_mutex_lock(&live->lock);
	LIST_REMOVE(image, ending);
	atomic_fetch_sub(&live->ends, 1);
	pthread_mutex_unlock(&live->lock);
}

void image_remove(struct image *image)
{
	struct live *live = image->live;
	struct shard *s = shard_of(live, image->ino);

	pthread_rwlock_wrlock(&s->gate);
	pthread_mutex_lock(&live->lock);
	image_remove_locked(image);
	pthread_mutex_unlock(&live->lock);
	pthread_rwlock_unlock(&s->gate);
	store_forget(live->opt.store, image->ino, 1);
}
