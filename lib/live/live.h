/* SPDX-License-Identifier: MIT */
/*
 * live.h - live files: images of files in memory, shared with clients, and their commits. Knows the
 * store, but neither FUSE nor the control socket. The only header of lib/live for others.
 *
 * A file is live while it has an image: a memfd with the file's current bytes. Its size, and what of
 * it the store does not have yet, is kept here; the store has the rest, and all of it again once the
 * image is retired. Results are 0 or a negative errno; outputs (`ret_`) are untouched on failure. Any
 * thread may call. Calls marked [slow] may wait for disks, other calls and the kernel: not for
 * threads that others wait for (workers, the socket's). Since version 0.1.
 *
 * The memfd is sparse, `capacity` bytes long, and sealed against shrinking and growing.
 */
#ifndef LIVE_LIVE_H
#define LIVE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "store/store.h"

struct live;
struct live_client;
struct live_room;

/* ---- room -------------------------------------------------------------------------------- */

/* The memory that images may take: of all together `limit` bytes, of one user at most half of it
 * (unless it is root or the daemon's own). Also for images that others keep. */
int live_room_new(uint64_t limit, struct live_room **ret_room);
/* Accepts NULL. */
void live_room_free(struct live_room *room);
/* ENOSPC: there is not so much; EDQUOT: it is above the user's share; ENOMEM */
int live_room_take(struct live_room *room, uid_t uid, uint64_t bytes);
/* What was taken, or changed to, as `from` is `to` now; 0: given back. Never refused. */
void live_room_change(struct live_room *room, uid_t uid, uint64_t from, uint64_t to);
void live_room_get(struct live_room *room, uint64_t *ret_limit, uint64_t *ret_used);

/* ---- life -------------------------------------------------------------------------------- */

struct live_options {
	struct store *store;
	struct live_room *room; /* of the sum of capacities; NULL: one of its own, of `limit` */
	uint64_t limit;
	unsigned commit_seconds; /* images of policy auto go to the store so often; 0: never */
	uid_t owner;		 /* of the memfds; (uid_t)-1: leave it */
	store_log_fn *log;	 /* may be NULL */
	void *arg;		 /* of the hooks below */
	/* [slow], may be NULL. Have the kernel write what it has of the file, and forget it. Called
	 * before an image is filled, and after bytes changed that the kernel may have cached. */
	int (*deliver)(void *arg, uint64_t ino);
	/* May be NULL, all of them. What somebody else keeps of files that have no image of this
	 * module's goes to the store in the hold of the same commit. `others_begin`, before the hold,
	 * takes the locks that its owner takes before holds of his own (`inos` ascend, some twice);
	 * `others_store`, in it, brings the store up to date; `others_end`, after it, undoes what
	 * failed, and lets go. `others_taken_back` gives another number when some of them went back to
	 * the last commit meanwhile. */
	int (*others_begin)(void *arg, const uint64_t *inos, size_t n, void **ret_others);
	int (*others_store)(void *others);
	void (*others_end)(void *others);
	unsigned (*others_taken_back)(void *arg, const uint64_t *inos, size_t n);
	/* May be NULL. Does somebody but the ticket's handle have the file open for writing through
	 * the kernel's cache? `own`: the ticket's handle is such a one. */
	bool (*cached_writers)(void *arg, uint64_t ino, bool own);
};

int live_new(const struct live_options *options, struct live **ret_live);
/* [slow] Put all images into the store, end the threads. No client, and no call on a file, is left.
 * Accepts NULL. The store is not committed. */
void live_free(struct live *live);

/* ---- jobs -------------------------------------------------------------------------------- */

/* Run `fn` in a thread of the pool, where it may be slow. At most a few at once run for one `key`
 * (inode) and class, or for one user (other than root and the daemon's own); those of the kernel's requests never wait for a thread that clients keep busy.
 * ENOMEM: it will not run. */
enum live_class { LIVE_OF_CLIENT, LIVE_OF_KERNEL };
typedef void live_job_fn(void *arg);
int live_run(struct live *live, enum live_class class, uint64_t key, uid_t uid, live_job_fn *fn,
	     void *arg);

/* ---- clients ----------------------------------------------------------------------------- */

struct live_attach {
	uint64_t ino;
	uint64_t wanted; /* capacity, 0: the default */
	bool writable;	 /* give a descriptor that can write */
	bool own_cached; /* the ticket's handle can write through the kernel's cache */
	pid_t pid;
	uid_t uid;
};
struct live_status {
	uint64_t id, generation, size, capacity;
	bool writable;
};
/* [slow] Add a client, making the image if there is none. `ret_fd` is the client's descriptor, the
 * caller's to close. EBUSY, ENOSPC (limit), EFBIG, EINVAL (not a regular file), ESTALE; `ret_why`
 * (may be NULL) gets a line that needs no freeing, or NULL. */
int live_attach(struct live *live, const struct live_attach *a, struct live_client **ret_client,
		struct live_status *ret_status, int *ret_fd, const char **ret_why);
/* [slow] The client has mapped [address, address + length); `pagemap` (taken over) is its
 * /proc/self/pagemap. 1: tracked, 0: will be compared. EALREADY EACCES EINVAL */
int live_track(struct live_client *client, uint64_t address, uint64_t length, int pagemap);
void live_client_status(struct live_client *client, struct live_status *ret_status);
uint64_t live_client_ino(const struct live_client *client);
/* [slow] Look at its mapping a last time, so that no comparison is needed after live_detach(). */
int live_client_settle(struct live_client *client);
/* The client is gone. Does not wait. */
void live_detach(struct live_client *client);

/* ---- commits ----------------------------------------------------------------------------- */

struct live_commit_result {
	uint64_t written, compared; /* pages */
};
/* [slow] Put what the store does not have yet of these files' images (files without one: nothing)
 * into the store, in one step as far as commits can tell, and commit them with all files of `inos`.
 * `flags` as for store_commit(). ENOSPC EDQUOT: nothing was committed. */
int live_commit(struct live *live, const uint64_t *inos, size_t n, unsigned flags,
		struct live_commit_result *ret_result);
/* [slow] The same without the commit: afterwards the store has all of it, as if written. */
int live_flush(struct live *live, const uint64_t *inos, size_t n);
/* [slow] All images of policy auto (`everything`: of all). */
int live_flush_all(struct live *live, bool everything);
/* [slow] The file goes back to its last commit, live or not; `ret_attr` is as of that commit. */
int live_rollback(struct live *live, uint64_t ino, struct store_attr *ret_attr);

/* ---- the file itself --------------------------------------------------------------------- */

/* Has the file an image, or has the kernel pages from before one that has ended? Cheap, and only true
 * for the moment. */
bool live_is(struct live *live, uint64_t ino);
/* Is any file live? Cheaper. */
bool live_any(struct live *live);
/* The size of a live file is the image's: put it in. Cheap. `attr` was read from the store before; a file
 * that was live then may have gone there since, so it may be read again. */
void live_fix_attr(struct live *live, struct store_attr *attr);
/* The same inside store_readdir(): the store has not changed since. */
void live_fix_entry(struct live *live, struct store_attr *attr);

/*
 * A change of a file's data that goes past this module to the store is made between these two; no
 * image is filled or dropped meanwhile. live_enter() gives true if the file has no image, or one that
 * still waits for the kernel's pages: go on with the store, then live_leave(). False: it is live,
 * nothing to leave; use the calls below, and begin again if they say -ENOENT.
 */
bool live_enter(struct live *live, uint64_t ino);
void live_leave(struct live *live, uint64_t ino);

/* Bytes read, 0 at the end. -ENOENT: not live, ask the store. Does not wait for long. `cached`: the
 * kernel will keep them. */
ssize_t live_read(struct live *live, uint64_t ino, void *buf, size_t length, uint64_t offset,
		  bool cached);
/* All bytes written, or an error. -ENOENT: not live (any more). -EAGAIN: it is being filled or
 * retired, call again with LIVE_WAIT [slow]. EFBIG: beyond the capacity. EBUSY: a write-back of the
 * kernel's cache (LIVE_CACHED), which would overwrite what clients stored. */
#define LIVE_WAIT 1u
#define LIVE_CACHED 2u
ssize_t live_write(struct live *live, uint64_t ino, const void *buf, size_t length, uint64_t offset,
		   unsigned flags);
/* [slow], all of them; -ENOENT: not live. As ftruncate, fallocate. EFBIG: beyond the capacity. */
int live_truncate(struct live *live, uint64_t ino, uint64_t size);
int live_fallocate(struct live *live, uint64_t ino, int mode, uint64_t offset, uint64_t length);
/* SEEK_DATA, SEEK_HOLE. ENXIO */
int live_seek(struct live *live, uint64_t ino, uint64_t offset, int whence, uint64_t *ret_offset);

/* ---- facts ------------------------------------------------------------------------------- */

struct live_client_info {
	pid_t pid;
	uid_t uid;
	bool writable, tracked;
};
struct live_info {
	uint64_t ino, id, generation, size, capacity, resident;
	const char *state; /* "filling", "live", "retiring" */
	bool explicit_policy;
	uint64_t dirty_pages;  /* at the last commit */
	int64_t commit_age_ms; /* -1: none yet */
	uint64_t commits, compares, fill_ms;
	unsigned clients;
	struct live_client_info client[64]; /* the first of them */
};
/* For each image, until `fn` gives false. `fn` runs under a lock: no call of this header. */
typedef bool live_list_fn(void *arg, const struct live_info *info);
void live_list(struct live *live, live_list_fn *fn, void *arg);

struct live_stats {
	uint64_t limit, used; /* bytes of the room, also those of others */
	uint64_t images, clients, capacity, resident;
	uint64_t attaches, commits, compares, written_pages, compared_pages, foreign_seals;
	uint64_t refused; /* attaches, for want of room */
};
void live_get_stats(struct live *live, struct live_stats *ret_stats);

#endif
