/* SPDX-License-Identifier: MIT */
/*
 * live_i.h - inside lib/live.
 *
 * Locks, in this order:
 *  image.work	held by who looks for dirty pages, copies, restores, retires: long. Several: by inode.
 *  shard.gate	a change of a file's bytes or size by a request holds it for reading, a change of an
 *		image's state for writing: short, but for the time of one write to the store.
 *  live.lock	the lists, references, accounts: a few instructions.
 * An image is found under the gate of its shard or under `lock`; it goes in and out of the table with
 * both held, so who has the gate needs no reference. No lock is held while `deliver` runs, for the
 * kernel may wait for an answer to a request that waits for the lock.
 *
 * States: FILLING (`delivering` at first: what the kernel has goes to the store) -> LIVE -> SEALED (no
 * writable mapping is left, its last difference goes to the store; reads only) -> gone.
 */
#ifndef LIVE_LIVE_I_H
#define LIVE_LIVE_I_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <unistd.h>

#include "live/live.h"

enum { PAGE = 4096, SHARDS = 64, BLOCK = 1 << 20 };
#define LEAST_CAPACITY (16ull << 20)

enum image_state { FILLING, LIVE, SEALED, GONE };

struct live_client {
	TAILQ_ENTRY(live_client) link; /* live.lock */
	struct image *image;
	pid_t pid;
	uid_t uid;
	bool writable;
	bool gone; /* live.lock */
	/* image.work, and live.lock to change them: */
	bool told;    /* TRACK came */
	bool tracked; /* its stores are found by looking at its page table */
	bool settled; /* and were, for the last time */
	uint64_t address, length;
	int pagemap;
};

struct image {
	LIST_ENTRY(image) link;	  /* the table */
	LIST_ENTRY(image) ending; /* live.lock: it is gone, the kernel's pages are not yet */
	struct live *live;
	uint64_t ino, id, generation;
	enum image_state state; /* gate and live.lock to change it */
	bool delivering;	/* the same */
	uint64_t capacity;
	uid_t uid; /* whose share of the room has it */
	int fd;
	uint8_t *map;		  /* for writing; keeps others from sealing. gate to change it */
	_Atomic uint64_t size;	  /* gate for reading: grow it; for writing: any */
	uint64_t cut;		  /* gate: the least size since the store was told */
	_Atomic uint64_t *wrote;  /* gate: pages changed by requests */
	_Atomic bool read_cached; /* the kernel may have pages of it */
	_Atomic uint64_t blocks;  /* that it took at the last look; 0: it gave some back since */
	/* live.lock: */
	TAILQ_HEAD(, live_client) clients;
	unsigned attached; /* clients not gone */
	unsigned refs;
	bool tending;
	bool tend_now;	  /* somebody left */
	int64_t retry_at; /* ms: retirement failed */
	int64_t flush_at;
	int retire_error;
	/* image.work: */
	pthread_mutex_t work;
	uint64_t *dirty; /* pages that the store does not have yet */
	_Atomic uint64_t *spare;
	bool suspect;		     /* somebody who was not watched may have stored: compare */
	_Atomic unsigned taken_back; /* so often the store went back to the last commit */
	bool foreign;
	/* Figures, live.lock. */
	uint64_t dirty_pages, commits, compares, fill_ms;
	int64_t committed_at;
	bool explicit_policy;
};

LIST_HEAD(image_list, image);

struct shard {
	pthread_rwlock_t gate;
	struct image_list images;
};

struct jobs;

struct live {
	struct live_options opt;
	struct jobs *jobs;
	struct shard shards[SHARDS];
	_Atomic unsigned count;	  /* of images, */
	_Atomic unsigned ends;	  /* and of those in: */
	struct image_list ending; /* lock */
	_Atomic bool any_ended;	  /* an image, ever */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a state, a reference */
	struct live_room *own_room;
	uint64_t next_id;
	struct live_stats stats;
	/* tend.c */
	pthread_t thread;
	pthread_cond_t wake;
	bool stopping, kicked, running;
};

int64_t live_now_ms(void);
void live_log(struct live *live, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static inline struct shard *shard_of(struct live *live, uint64_t ino)
{
	return &live->shards[ino % SHARDS];
}

/* Root, and the daemon's own user */
static inline bool live_is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* Gate or live.lock held. */
struct image *image_find(struct live *live, uint64_t ino);
/* A reference to a live image; NULL: there is none, or it is not LIVE (with `any`: not GONE). */
struct image *image_get(struct live *live, uint64_t ino, bool any);
void image_put(struct image *image);
/* [slow] Wait while it is being filled or retired; false: it has no image. `ret_error`: why it cannot be
 * retired. */
bool image_settled(struct live *live, uint64_t ino, int *ret_error);
/* Change state under all that guards it. */
void image_set_state(struct image *image, enum image_state state);

/* ---- image.c ------------------------------------------------------------------------------ */

/* A new image of the file, FILLING, with one reference, in the table. EEXIST: there is one. */
int image_begin(struct live *live, const struct live_attach *a, struct image **ret_image,
		const char **ret_why);
/* Make the memfd and fill it. */
int image_fill(struct image *image);
/* Out of the table; waiters begin again. The second with gate and live.lock held, and then the caller
 * gives the reference to the inode back. */
void image_remove(struct image *image);
void image_remove_locked(struct image *image);
/* live.lock held: the image goes, and the kernel may have pages of before; until image_end_over() the
 * file counts as live, so that nobody writes such pages back. */
void image_end_begin(struct image *image);
void image_end_over(struct image *image);
/* A descriptor of its own for a client. */
int image_open(const struct image *image, bool writable);

/* ---- bytes.c ------------------------------------------------------------------------------ */

ssize_t image_pread(const struct image *image, void *buf, size_t length, uint64_t offset);
int image_pwrite(const struct image *image, const void *buf, size_t length, uint64_t offset);
/* Zeros; pages that have none yet are left alone. */
int image_zero(struct image *image, uint64_t offset, uint64_t end);
/* [*from, *end) is the next piece from `*from` on, below `limit`, with memory behind it; false:
 * none. */
bool image_data(const struct image *image, uint64_t *from, uint64_t limit, uint64_t *ret_end);

/* What the store has, block by block: `bytes` NULL: zeros. A result below 0 ends it. */
typedef int block_fn(struct image *image, uint64_t offset, uint64_t length, const uint8_t *bytes);
int image_each_block(struct image *image, uint64_t size, bool fresh, block_fn *fn);

/* ---- dirty.c ------------------------------------------------------------------------------ */

void bitmap_set(uint64_t *bits, uint64_t first, uint64_t end);
/* The next run of set bits from `*from` on, below `limit`. */
bool bitmap_run(const uint64_t *bits, uint64_t *from, uint64_t limit, uint64_t *ret_end);
/* Look through the client's page table, marking what it stored to below `size`; below 0: it can't be
 * watched. */
int client_scan(struct live_client *client, uint64_t size);
/* work held. All that was changed before, into image->dirty; the size and the least one since, for
 * the store. */
struct snapshot {
	uint64_t size, cut, compared;
};
int image_collect(struct image *image, struct snapshot *ret);
/* work held. Let go of the clients that are gone. */
void image_reap(struct image *image);

/* ---- put.c -------------------------------------------------------------------------------- */

/* An image on its way into the store; its work held. */
struct taken {
	struct image *image;
	struct snapshot snap;
	uint64_t pages; /* that go into the store */
	bool many;	/* they are written ahead */
	unsigned taken_back;
	/* What has no memory behind it, [from, end), and the last page with zeros behind the end. */
	struct hole {
		uint64_t from, end;
	} * holes;
	size_t nholes, room;
	uint8_t *tail;
};
void put_count(struct taken *t);
/* Before the hold: write what it has ahead, if that is much. */
int put_ahead(struct taken *t, struct store_ahead *ahead);
/* In the hold: the file in the store becomes what the image was. */
int put_place(struct taken *t, struct store_ahead *ahead);
void put_end(struct taken *t);

/* ---- commit.c ----------------------------------------------------------------------------- */

/* work held: bring the store up to date. */
int image_flush(struct image *image, struct live_commit_result *result);
/* No lock held: the kernel's pages of the file may be old. */
void image_invalidate(struct live *live, uint64_t ino, bool cached);

/* ---- tend.c ------------------------------------------------------------------------------- */

int tend_start(struct live *live);
void tend_stop(struct live *live);
void tend_kick(struct live *live); /* live.lock held */

/* ---- jobs.c ------------------------------------------------------------------------------- */

struct jobs *jobs_new(void);
int jobs_run(struct jobs *jobs, enum live_class class, uint64_t key, uid_t uid, live_job_fn *fn,
	     void *arg);
void jobs_free(struct jobs *jobs); /* waits until all have run */

#endif
