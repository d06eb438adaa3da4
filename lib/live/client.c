/* SPDX-License-Identifier: MIT */
/*
 * client.c - who has an image mapped. A client is on its image's list from live_attach() until it was
 * reaped (dirty.c), by somebody who holds `work`, after live_detach() said that it is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "live/live_i.h"
#include "util/checked.h"

enum { CLIENTS_MOST = 256, RELEASE_MS = 1000 };

/* live.lock held. */
static int add(struct image *image, struct live_client *c)
{
	if (image->attached >= CLIENTS_MOST)
		return -EBUSY;
	c->image = image;
	TAILQ_INSERT_TAIL(&image->clients, c, link);
	image->attached++;
	image->live->stats.attaches++;
	return 0;
}

/* A file that was closed this moment is released a little later: wait for that. */
static int wait_for_writers(struct live *live, const struct live_attach *a, const char **ret_why)
{
	static const struct timespec step = { .tv_nsec = 5000000 };
	int64_t until = live_now_ms() + RELEASE_MS;

	while (live->opt.cached_writers &&
	       live->opt.cached_writers(live->opt.arg, a->ino, a->own_cached)) {
		if (live_now_ms() >= until) {
			*ret_why = "the file is open for writing through the kernel's cache; close "
				   "it there, or open it with O_DIRECT";
			return -EBUSY;
		}
		nanosleep(&step, NULL);
	}
	return 0;
}

/* What nobody else does, to an image that is begun. */
static int prepare(struct image *image, const struct live_attach *a, const char **ret_why)
{
	struct live *live = image->live;
	int r = wait_for_writers(live, a, ret_why);

	if (r == 0 && live->opt.deliver)
		r = live->opt.deliver(live->opt.arg, a->ino);
	if (r < 0)
		return r;
	image_set_state(image, FILLING); /* no longer delivering: now nothing changes the store */
	r = image_fill(image);
	/* Reads were answered by the store meanwhile. */
	atomic_store(&image->read_cached, true);
	return r;
}

static int begin(struct live *live, const struct live_attach *a, struct live_client *c,
		 const char **ret_why)
{
	struct image *image;
	int r = image_begin(live, a, &image, ret_why);

	if (r < 0)
		return r;
	r = prepare(image, a, ret_why);
	if (r < 0) {
		image_remove(image);
	} else {
		pthread_mutex_lock(&live->lock);
		r = add(image, c);
		image->flush_at = live_now_ms() + live->opt.commit_seconds * 1000ll;
		pthread_mutex_unlock(&live->lock);
		image_set_state(image, LIVE);
	}
	image_put(image);
	return r;
}

/* To one that is there; -EEXIST: there is none. Waits while it is neither. */
static int join(struct live *live, const struct live_attach *a, struct live_client *c)
{
	struct image *image;
	int r = -EEXIST;

	pthread_mutex_lock(&live->lock);
	while ((image = image_find(live, a->ino)) && image->state != LIVE &&
	       !(image->state == SEALED && image->retire_error))
		pthread_cond_wait(&live->changed, &live->lock);
	if (image)
		r = image->state == LIVE ? add(image, c) : image->retire_error;
	pthread_mutex_unlock(&live->lock);
	return r;
}

static void fill_status(const struct live_client *c, struct live_status *ret)
{
	const struct image *image = c->image;

	*ret = (struct live_status){
		.id = image->id,
		.generation = image->generation,
		.size = atomic_load(&image->size),
		.capacity = image->capacity,
		.writable = c->writable,
	};
}

int live_attach(struct live *live, const struct live_attach *a, struct live_client **ret_client,
		struct live_status *ret_status, int *ret_fd, const char **ret_why)
{
	struct live_client *c = calloc(1, sizeof(*c));
	const char *why = NULL;
	int r, fd;

	if (!c)
		return -ENOMEM;
	*c = (struct live_client){
		.pid = a->pid, .uid = a->uid, .writable = a->writable, .pagemap = -1
	};
	do {
		r = join(live, a, c);
		if (r == -EEXIST)
			r = begin(live, a, c, &why);
		/* EAGAIN: it grew while it began. */
	} while (r == -EEXIST || r == -EAGAIN);
	if (r < 0) {
		free(c);
		if (ret_why)
			*ret_why = why;
		return r;
	}
	/* (While the client is on the list the image stays.) */
	fd = image_open(c->image, c->writable);
	if (fd < 0) {
		c->settled = true; /* it could store nothing */
		live_detach(c);
		return fd;
	}
	fill_status(c, ret_status);
	*ret_fd = fd;
	*ret_client = c;
	return 0;
}

void live_client_status(struct live_client *c, struct live_status *ret_status)
{
	fill_status(c, ret_status);
}

uint64_t live_client_ino(const struct live_client *c)
{
	return c->image->ino;
}

static void set_tracked(struct live_client *c, bool tracked)
{
	struct live *live = c->image->live;

	pthread_mutex_lock(&live->lock);
	c->told = true;
	c->tracked = tracked;
	pthread_mutex_unlock(&live->lock);
}

static int track(struct live_client *c, uint64_t address, uint64_t length, int pagemap)
{
	uint64_t end;

	if (!c->writable)
		return -EACCES;
	if (c->told)
		return -EALREADY;
	if (length == 0) {
		set_tracked(c, false);
		return 0;
	}
	if (address % PAGE || length % PAGE || length > c->image->capacity ||
	    !zu_range_end(address, length, INT64_MAX, &end))
		return -EINVAL;
	c->address = address;
	c->length = length;
	c->pagemap = pagemap;
	/* Also arms what the client did not. */
	if (pagemap < 0 || client_scan(c, length) < 0) {
		c->pagemap = -1;
		set_tracked(c, false);
		return 0;
	}
	set_tracked(c, true);
	return 1;
}

int live_track(struct live_client *c, uint64_t address, uint64_t length, int pagemap)
{
	int r;

	pthread_mutex_lock(&c->image->work);
	r = track(c, address, length, pagemap);
	pthread_mutex_unlock(&c->image->work);
	if (r != 1 && pagemap >= 0)
		close(pagemap);
	return r;
}

int live_client_settle(struct live_client *c)
{
	struct image *image = c->image;
	int r = 0;

	pthread_mutex_lock(&image->work);
	if (c->tracked && !c->settled)
		r = client_scan(c, atomic_load(&image->size));
	pthread_mutex_lock(&image->live->lock);
	if (r == 0 && c->tracked)
		c->settled = true;
	pthread_mutex_unlock(&image->live->lock);
	pthread_mutex_unlock(&image->work);
	return r;
}

void live_detach(struct live_client *c)
{
	struct image *image = c->image;
	struct live *live = image->live;

	pthread_mutex_lock(&live->lock);
	c->gone = true;
	image->attached--;
	image->tend_now = true;
	tend_kick(live);
	pthread_mutex_unlock(&live->lock);
}
