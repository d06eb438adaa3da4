/* SPDX-License-Identifier: MIT */
/* live.c - the life of the module, and what it tells. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "live/live_i.h"

int64_t live_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void live_log(struct live *live, int level, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (!live->opt.log)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	live->opt.log(live->opt.arg, level, text);
}

static void destroy(struct live *live)
{
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_rwlock_destroy(&live->shards[i].gate);
	pthread_mutex_destroy(&live->lock);
	pthread_cond_destroy(&live->changed);
	pthread_cond_destroy(&live->wake);
	live_room_free(live->own_room);
	free(live);
}

int live_new(const struct live_options *options, struct live **ret_live)
{
	struct live *live = calloc(1, sizeof(*live));
	pthread_rwlockattr_t gate;
	pthread_condattr_t clock;
	int r;

	if (!live)
		return -ENOMEM;
	live->opt = *options;
	/* Who begins an image must not wait for ever because others keep writing to other files. */
	pthread_rwlockattr_init(&gate);
	pthread_rwlockattr_setkind_np(&gate, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_rwlock_init(&live->shards[i].gate, &gate);
		LIST_INIT(&live->shards[i].images);
	}
	LIST_INIT(&live->ending);
	pthread_rwlockattr_destroy(&gate);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&live->wake, &clock);
	pthread_condattr_destroy(&clock);
	pthread_cond_init(&live->changed, NULL);
	pthread_mutex_init(&live->lock, NULL);
	r = options->room ? 0 : live_room_new(options->limit, &live->own_room);
	if (!options->room)
		live->opt.room = live->own_room;
	live->jobs = r == 0 ? jobs_new() : NULL;
	r = live->jobs ? tend_start(live) : -ENOMEM;
	if (r < 0) {
		jobs_free(live->jobs);
		destroy(live);
		return r;
	}
	*ret_live = live;
	return 0;
}

/* At the end: nobody else is there. */
static void end_image(struct image *image)
{
	struct live_commit_result ignored = { 0 };
	struct live *live = image->live;
	int r;

	pthread_mutex_lock(&live->lock);
	image->refs++;
	pthread_mutex_unlock(&live->lock);
	pthread_mutex_lock(&image->work);
	image_reap(image);
	image->suspect |= image->attached != 0;
	r = image_flush(image, &ignored);
	if (r < 0)
		live_log(live, STORE_LOG_ERROR,
			 "inode %llu: what was stored to it since its last commit is lost: %s",
			 (unsigned long long)image->ino, strerror(-r));
	image_remove(image);
	pthread_mutex_unlock(&image->work);
	image_put(image);
}

void live_free(struct live *live)
{
	if (!live)
		return;
	tend_stop(live);
	jobs_free(live->jobs);
	for (unsigned i = 0; i < SHARDS; i++)
		while (!LIST_EMPTY(&live->shards[i].images))
			end_image(LIST_FIRST(&live->shards[i].images));
	destroy(live);
}

int live_run(struct live *live, enum live_class class, uint64_t key, uid_t uid, live_job_fn *fn,
	     void *arg)
{
	return jobs_run(live->jobs, class, key, uid, fn, arg);
}

/* ---- facts -------------------------------------------------------------------------------- */

static void tell_clients(const struct image *image, struct live_info *info)
{
	const unsigned most = sizeof(info->client) / sizeof(info->client[0]);
	const struct live_client *c;
	unsigned n = 0;

	TAILQ_FOREACH(c, &image->clients, link)
		if (!c->gone && n < most)
			info->client[n++] = (struct live_client_info){
				.pid = c->pid,
				.uid = c->uid,
				.writable = c->writable,
				.tracked = c->tracked,
			};
}

static uint64_t resident(const struct image *image)
{
	struct stat st;

	/* (Its descriptor is another's while it is being filled.) */
	if (image->state == FILLING || fstat(image->fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

static void tell(const struct image *image, struct live_info *info)
{
	static const char *const states[] = { "filling", "live", "retiring", "gone" };

	*info = (struct live_info){
		.ino = image->ino,
		.id = image->id,
		.generation = image->generation,
		.size = atomic_load(&image->size),
		.capacity = image->capacity,
		.state = states[image->state],
		.explicit_policy = image->explicit_policy,
		.dirty_pages = image->dirty_pages,
		.commit_age_ms = image->committed_at < 0 ? -1 : live_now_ms() - image->committed_at,
		.commits = image->commits,
		.compares = image->compares,
		.fill_ms = image->fill_ms,
		.clients = image->attached,
	};
	info->resident = resident(image);
	tell_clients(image, info);
}

void live_list(struct live *live, live_list_fn *fn, void *arg)
{
	struct live_info info;
	bool go_on = true;

	pthread_mutex_lock(&live->lock);
	for (unsigned i = 0; i < SHARDS && go_on; i++) {
		const struct image *image;

		LIST_FOREACH(image, &live->shards[i].images, link) {
			tell(image, &info);
			go_on = fn(arg, &info);
			if (!go_on)
				break;
		}
	}
	pthread_mutex_unlock(&live->lock);
}

void live_get_stats(struct live *live, struct live_stats *ret_stats)
{
	const struct image *image;
	struct live_stats *s = ret_stats;

	pthread_mutex_lock(&live->lock);
	*s = live->stats;
	s->images = atomic_load(&live->count);
	for (unsigned i = 0; i < SHARDS; i++) {
		LIST_FOREACH(image, &live->shards[i].images, link) {
			s->clients += image->attached;
			s->capacity += image->capacity;
			s->resident += resident(image);
		}
	}
	pthread_mutex_unlock(&live->lock);
	live_room_get(live->opt.room, &s->limit, &s->used);
}
