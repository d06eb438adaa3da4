/* SPDX-License-Identifier: MIT */
/*
 * room.c - the memory that images may take, of all kinds together and of each user.
 *
 * One lock, a leaf: any other may be held. A user who has nothing has no share.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "live/live_i.h"

struct share {
	LIST_ENTRY(share) link;
	uid_t uid;
	uint64_t used;
};

struct live_room {
	pthread_mutex_t lock;
	uint64_t limit, used;
	LIST_HEAD(, share) shares;
};

int live_room_new(uint64_t limit, struct live_room **ret_room)
{
	struct live_room *room = calloc(1, sizeof(*room));

	if (!room)
		return -ENOMEM;
	pthread_mutex_init(&room->lock, NULL);
	room->limit = limit;
	LIST_INIT(&room->shares);
	*ret_room = room;
	return 0;
}

void live_room_free(struct live_room *room)
{
	struct share *share;

	if (!room)
		return;
	while ((share = LIST_FIRST(&room->shares)) != NULL) {
		LIST_REMOVE(share, link);
		free(share);
	}
	pthread_mutex_destroy(&room->lock);
	free(room);
}

/* ---- shares; lock held -------------------------------------------------------------------- */

static struct share *find(struct live_room *room, uid_t uid)
{
	struct share *share;

	LIST_FOREACH(share, &room->shares, link)
		if (share->uid == uid)
			break;
	return share;
}

static struct share *find_or_add(struct live_room *room, uid_t uid)
{
	struct share *share = find(room, uid);

	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->uid = uid;
	LIST_INSERT_HEAD(&room->shares, share, link);
	return share;
}

static void drop_empty(struct share *share)
{
	if (!share || share->used)
		return;
	LIST_REMOVE(share, link);
	free(share);
}

/* (Files that grow may have taken more than there is.) */
static bool fits(uint64_t used, uint64_t bytes, uint64_t limit)
{
	return bytes <= limit && used <= limit - bytes;
}

/* ---- the account -------------------------------------------------------------------------- */

int live_room_take(struct live_room *room, uid_t uid, uint64_t bytes)
{
	bool trusted = live_is_trusted(uid);
	struct share *share;
	int r = 0;

	pthread_mutex_lock(&room->lock);
	share = find_or_add(room, uid);
	if (!share)
		r = -ENOMEM;
	else if (!fits(room->used, bytes, room->limit))
		r = -ENOSPC;
	else if (!trusted && !fits(share->used, bytes, room->limit / 2))
		r = -EDQUOT;
	if (r == 0) {
		share->used += bytes;
		room->used += bytes;
	}
	drop_empty(share);
	pthread_mutex_unlock(&room->lock);
	return r;
}

void live_room_change(struct live_room *room, uid_t uid, uint64_t from, uint64_t to)
{
	struct share *share;

	if (from == to)
		return;
	pthread_mutex_lock(&room->lock);
	/* (Without memory for a share nobody's is charged, and nobody's is given back later.) */
	share = find_or_add(room, uid);
	if (share) {
		share->used = share->used + to > from ? share->used + to - from : 0;
		drop_empty(share);
	}
	room->used += to - from;
	pthread_mutex_unlock(&room->lock);
}

void live_room_get(struct live_room *room, uint64_t *ret_limit, uint64_t *ret_used)
{
	pthread_mutex_lock(&room->lock);
	*ret_limit = room->limit;
	*ret_used = room->used;
	pthread_mutex_unlock(&room->lock);
}
