/* SPDX-License-Identifier: MIT */
/*
 * passthrough.h - files whose bytes are a memfd that the kernel reads, writes and maps without the
 * daemon (-o passthrough). passthrough.c says how an inode gets such an image and loses it again.
 *
 * All calls are made from any thread and, unless mounted with -o passthrough, do nothing at the price
 * of one load. None may be made with a lock of the daemon held.
 */
#ifndef FS_PASSTHROUGH_H
#define FS_PASSTHROUGH_H

#include "fs.h"

/* ---- opens: the mode of an inode --------------------------------------------------------- */

/* Parked by passthrough_open(), then answered by `done`, from another thread. */
struct passthrough_opening {
	struct passthrough_opening *next; /* internal */
	uint64_t ino;
	uint32_t flags; /* of open(2) */
	uint32_t uid;
	/* Answers with `open_flags` and `backing`, or with `result` < 0, and frees `o`. */
	void (*done)(struct passthrough_opening *o, int result, uint32_t open_flags,
		     int32_t backing);
};

/*
 * Count a handle on an inode and choose how it is opened: 0 with *ret_flags (FOPEN_*, 0: through the
 * page cache as it is without passthrough) and *ret_backing; 1: parked, `o` is taken; or an error.
 * Each success is given back with passthrough_release().
 */
int passthrough_open(struct passthrough_opening *o, uint32_t *ret_flags, int32_t *ret_backing);
void passthrough_release(uint64_t ino, bool writable);

/* ---- the image in place of the store ----------------------------------------------------- */

/* Has the inode (0: any) an image now? */
bool passthrough_has(uint64_t ino);
/* Put size, blocks and times of the image in; false: it has none. Then `attr` is read from the store
 * again, if the file may have gone there since it was read. */
bool passthrough_attr(struct store_attr *attr);
/* The same inside store_readdir(): the store has not changed since. */
bool passthrough_entry(struct store_attr *attr);
/* How long the kernel may believe the attributes of an inode. */
uint64_t passthrough_timeout(const struct store_attr *attr);
/* These give -ENOENT if the inode has no image: then the store is asked. */
int passthrough_truncate(uint64_t ino, uint64_t size);
int passthrough_fallocate(uint64_t ino, int mode, uint64_t offset, uint64_t length);
int passthrough_seek(uint64_t ino, uint64_t offset, int whence, uint64_t *ret_offset);
/* Of handles for O_SYNC, which the kernel does not pass through. Bytes. */
ssize_t passthrough_read(uint64_t ino, void *buf, size_t size, uint64_t offset);
/* The kernel read into its page cache, for a splice from a handle with O_SYNC or O_DSYNC, where nobody's writes
 * would reach: it is to forget that soon. */
void passthrough_cached(uint64_t ino);
ssize_t passthrough_write(uint64_t ino, const void *buf, size_t size, uint64_t offset);
/* The store's size was changed by a SETATTR; perhaps the inode has got an image meanwhile. */
int passthrough_resized(uint64_t ino, uint64_t size);
/* A SETATTR sets the times in the store: around that. */
struct pt_inode;
struct pt_inode *passthrough_times_begin(uint64_t ino);
void passthrough_times_end(struct pt_inode *inode, bool done); /* NULL is allowed */

/* ---- commits and rollback ---------------------------------------------------------------- */

/* Write what differs from the store's bytes there; 0 also without an image. It waits for the disk. */
int passthrough_store(uint64_t ino);
/* The same between store_hold_begin() and store_hold_end() of the caller, for those of several files
 * that have an image (`inos` ascend, some twice). _begin(), before the hold, waits for stores of these
 * files that go on and keeps others out, since a store that is not held waits for holds to end; it
 * gives NULL if none has an image. _end(), after the hold, takes what failed back. */
struct passthrough_hold;
int passthrough_hold_begin(const uint64_t *inos, size_t n, struct passthrough_hold **ret_hold);
int passthrough_hold_store(struct passthrough_hold *hold);
void passthrough_hold_end(struct passthrough_hold *hold);
/* How often a file went back to its last commit because a store failed: if the number has changed
 * since a store, a commit may have come too late for it. (Files may share a number.) */
unsigned passthrough_taken_back(uint64_t ino);
int passthrough_store_all(bool also_explicit);
/* The image gets the store's bytes and size back. */
int passthrough_reset(uint64_t ino);
/* store_commit_start() of one inode (0: STORE_COMMIT_ALL) after passthrough_store(); on failure
 * nothing happens. */
int passthrough_commit_start(uint64_t ino, store_commit_fn *done, void *arg);

/* ---- clients that map the image by the control socket ------------------------------------ */

/* A descriptor of the image's memfd; -ENOENT: the inode has none. */
int passthrough_attach(uint64_t ino, bool writable, int *ret_fd, uint64_t *ret_size);
void passthrough_detach(uint64_t ino);

struct passthrough_facts {
	uint64_t ino, size, resident, dirty_pages;
	unsigned opens, writers, attached;
	int64_t committed_ms; /* fs_now_ms() of the last commit, 0: none */
};
typedef void passthrough_fn(void *arg, const struct passthrough_facts *facts);
void passthrough_each(passthrough_fn *fn, void *arg); /* `fn` may not call back */

struct passthrough_totals {
	uint64_t images, bytes, resident, opens;
	uint64_t compared_bytes, stored_bytes; /* by commits */
	uint64_t refused;   /* opens through the page cache for want of room or descriptors */
	uint64_t lingering; /* images without a handle that somebody still has mapped */
};
void passthrough_get_totals(struct passthrough_totals *ret_totals);

/* Once INIT was answered: can it be done here? */
int passthrough_probe(struct zu_err *err);
int passthrough_start(void);
/* Its threads use lib/live's images, and the other way round: first these, then those, then the rest. */
void passthrough_stop_jobs(void);
/* Everything goes to the store. */
void passthrough_stop(void);

#endif
