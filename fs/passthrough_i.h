/* SPDX-License-Identifier: MIT */
/* passthrough_i.h - between passthrough.c, passthrough_image.c and passthrough_jobs.c. */
#ifndef FS_PASSTHROUGH_I_H
#define FS_PASSTHROUGH_I_H

#include <pthread.h>
#include <sys/queue.h>

#include "passthrough.h"

/* ---- passthrough_image.c: the memfd of one file ------------------------------------------ */

struct pt_memory {
	int fd;			      /* -1: none */
	pthread_mutex_t io;	      /* one at a time: fill, store, reset, a new size */
	_Atomic uint64_t dirty_pages; /* of the last pt_memory_store() */
	_Atomic bool times_set;	      /* by a program, since then */
	_Atomic bool half;	      /* the store may have half of a commit that failed */
};

/* An empty memfd. */
int pt_memory_make(struct pt_memory *m);
void pt_memory_drop(struct pt_memory *m);
/* Bytes and size of the store. Clears the time stamp. */
int pt_memory_fill(struct pt_memory *m, uint64_t ino);
/* What differs goes to the store, atomically. `held`: the caller has the store held. */
int pt_memory_store(struct pt_memory *m, uint64_t ino, bool held);
/* Put size and times in. */
void pt_memory_attr(const struct pt_memory *m, struct store_attr *attr);
/* A program has set its times: they are the store's from now on, until it is written to. */
void pt_memory_set_times(struct pt_memory *m);
/* The bytes and the size of the store again, in place. */
int pt_memory_reset(struct pt_memory *m, uint64_t ino);
int pt_memory_fallocate(struct pt_memory *m, int mode, uint64_t offset, uint64_t length);
/* Does nobody else have it open or mapped? */
bool pt_memory_alone(const struct pt_memory *m);

extern _Atomic uint64_t pt_compared_bytes, pt_stored_bytes;

/* ---- passthrough_jobs.c: threads for what takes long --------------------------------------- */

typedef void pt_job_fn(uint64_t ino, void *arg);
/* Run `fn` soon. -ENOMEM */
int pt_job(pt_job_fn *fn, uint64_t ino, void *arg);
/* `tick` is called every second. */
int pt_jobs_start(void (*tick)(void));
void pt_jobs_stop(void); /* after the last of them */

#endif
