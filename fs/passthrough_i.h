/* SPDX-License-Identifier: MIT */
/*
 * passthrough_i.h - between the passthrough*.c.
 *
 * `pt.lock` guards the table and what is in it, the memory of an image excepted, which may be used by
 * who is counted in `users`. It is held across system calls that do not wait, and no call of the store.
 */
#ifndef FS_PASSTHROUGH_I_H
#define FS_PASSTHROUGH_I_H

#include <pthread.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "fs.h"
#include "passthrough.h"

/* ---- passthrough_image.c: the memfd of one file ------------------------------------------ */

struct pt_memory {
	int fd;			      /* -1: none */
	pthread_mutex_t io;	      /* one at a time: fill, store, reset, a new size */
	_Atomic uint64_t dirty_pages; /* of the last pt_memory_store() */
	pthread_mutex_t times;	      /* moments only; what follows */
	struct timespec stored;	      /* the mtime that the store was given last, */
	bool is_stored;		      /* unless a program has set another since */
	int64_t mtime_ns;	      /* of the last write, while that goes to the store; else 0 */
	bool times_set;		      /* by a program, since then */
	unsigned setting, set_count;  /* calls that set them: now, so far */
	_Atomic bool half;	      /* the store may have half of a commit that failed */
};

/* An empty memfd. */
int pt_memory_make(struct pt_memory *m);
void pt_memory_drop(struct pt_memory *m);
/* Bytes and size of the store. Clears the time stamp. */
int pt_memory_fill(struct pt_memory *m, uint64_t ino);
/* Put size and times in. */
void pt_memory_attr(struct pt_memory *m, struct store_attr *attr);
/* A program has set its times: they are the store's from now on, until it is written to. */
/* A program sets the times in the store: around that. What goes to the store meanwhile leaves them alone. */
void pt_memory_times_begin(struct pt_memory *m);
void pt_memory_times_end(struct pt_memory *m, bool done);
/* The bytes and the size of the store again, in place. */
int pt_memory_reset(struct pt_memory *m, uint64_t ino);
int pt_memory_fallocate(struct pt_memory *m, int mode, uint64_t offset, uint64_t length);
/* Does nobody else have it open or mapped? */
bool pt_memory_alone(const struct pt_memory *m);

/* Its mtime: 0 says that nobody wrote to it since. */
void pt_clear_time(const struct pt_memory *m);
bool pt_written(const struct stat *st);
/* The later of both: a name or a mode may have changed since the last write. */
void pt_later(struct timespec *time, const struct timespec *other);

/* ---- passthrough_diff.c: where an image differs ------------------------------------------- */

enum { PT_CHUNK = 1 << 20 };

struct pt_run {
	uint64_t page, count;
};

struct pt_diff {
	struct pt_memory *m;
	uint64_t ino;
	bool times_set;
	uint64_t size; /* of the image */
	struct pt_run *runs;
	size_t n, room;
	uint64_t pages;
	char *buf, *other; /* of a chunk */
};

extern _Atomic uint64_t pt_compared_bytes;
/* Sets `size`, `runs` (to be freed) and `pages`, of `m`, `ino` and the buffers. */
int pt_find_diff(struct pt_diff *d);
bool pt_all_zero(const char *p, size_t n);

/* ---- passthrough_store.c ------------------------------------------------------------------ */

extern _Atomic uint64_t pt_stored_bytes;
/* What differs goes to the store, atomically. */
int pt_memory_store(struct pt_memory *m, uint64_t ino);

/* ---- passthrough_table.c: the inodes ------------------------------------------------------ */

enum pt_state { PT_NEW, PT_PAGED, PT_FILLING, PT_READY };

struct pt_inode {
	LIST_ENTRY(pt_inode) link;
	uint64_t ino, epoch;
	enum pt_state state;
	unsigned opens, writers, attached, users;
	int32_t backing;      /* 0: none */
	_Atomic bool written; /* somebody could write since it was filled; set with the lock */
	bool again;	      /* PT_FILLING: the store has another size meanwhile */
	bool lingers;	      /* could not be retired */
	bool retiring;	      /* is, or will be soon */
	uint64_t counted;     /* of the room of live files, */
	uint32_t uid;	      /* for him who opened it first */
	int64_t committed_ms;
	struct passthrough_opening *waiting;
	struct pt_commit *commits;
	struct pt_memory memory;
};

enum { PT_BUCKETS = 1024 };

extern struct pt_all {
	pthread_mutex_t lock;
	LIST_HEAD(pt_bucket, pt_inode) table[PT_BUCKETS];
	_Atomic unsigned images;
	_Atomic bool any_ended; /* an image, ever */
	unsigned images_max;
	uint64_t bytes; /* of all images, by their size when filled or at the last tick */
	struct passthrough_totals totals;
} pt;

/* Lock held. */
void pt_count(struct pt_inode *i, uint64_t size);
struct pt_inode *pt_find(uint64_t ino);
struct pt_inode *pt_find_or_add(uint64_t ino);
void pt_remove(struct pt_inode *i);
bool pt_idle(const struct pt_inode *i);
void pt_retire_soon(struct pt_inode *i);

/* The inode, if it has an image, counted in `users` until pt_unuse(). */
struct pt_inode *pt_use(uint64_t ino);
void pt_unuse(struct pt_inode *i);

/* ---- passthrough.c ------------------------------------------------------------------------ */

/* A number of the kernel for a file. */
int pt_backing_open(int fd);
/* A job: the end of an idle image, if it is time. */
void pt_retire(uint64_t ino, void *arg);
/* Of an inode that is removed from the table. */
void pt_drop(struct pt_inode *i);

/* ---- passthrough_jobs.c: threads for what takes long --------------------------------------- */

typedef void pt_job_fn(uint64_t ino, void *arg);
/* Run `fn` soon. -ENOMEM */
int pt_job(pt_job_fn *fn, uint64_t ino, void *arg);
/* `tick` is called every second. */
int pt_jobs_start(void (*tick)(void));
void pt_jobs_stop(void); /* after the last of them */

#endif
