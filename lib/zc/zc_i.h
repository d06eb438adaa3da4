/* SPDX-License-Identifier: MIT */
/*
 * zc_i.h - what the files of libzc share.
 *
 * Locks, in this order: one file's, then the registry's (registry.c). A file's lock is held for as long as
 * its connection carries a request and its answer; the registry's is never held while anybody is waited
 * for, since fork(2) takes it. Neither is held while memory is stored to.
 */
#ifndef ZC_I_H
#define ZC_I_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "abi/zc_ctl.h"
#include "abi/zc_ioctl.h"
#include "link.h"
#include "util/cleanup.h"
#include "zc/map.h"

struct zc_file {
	pthread_mutex_t lock;
	unsigned flags; /* ZC_* */
	pid_t pid;	/* whose it is ... */
	unsigned
		forks; /* ... and in which copy of it: a pid comes again, and is 1 in many namespaces */
	int fd;	       /* on the mount */
	void *map;     /* NULL: not mapped */
	size_t capacity;

	/* While live: */
	bool live;
	bool tracked, passthrough;
	int link; /* connection; its end tells the daemon that we are gone */
	int uffd; /* stores are tracked until it is closed; -1 */
	uint64_t image, generation;

	/* Of the registry, under its lock: */
	struct zc_file *next;
	bool published; /* all of the above is final */
	unsigned users; /* zc_msync()s under way, for which zc_close() waits */
};

static inline void lz_unlock(pthread_mutex_t **lock)
{
	if (*lock)
		pthread_mutex_unlock(*lock);
}
#define LZ_TEXT_MAX 512 /* of zc_error() */

#define LZ_LOCK(of)                                                    \
	zu_cleanup(lz_unlock) pthread_mutex_t *lz_held_ = &(of)->lock; \
	pthread_mutex_lock(lz_held_)

/* ---- error.c: the text of zc_error(); each gives -code -------------------------------------- */

int lz_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A system call on the file on the mount failed with errno. ENOTCONN, ECONNABORTED: ESTALE. */
int lz_fail_call(const char *what);
/* EPERM in a child of fork. */
int lz_check_process(const struct zc_file *f);
int lz_check_writable(const struct zc_file *f);

/* ---- registry.c: files that are live, or become so; fork(2) ------------------------------------ */

/* Before the first file is opened. */
int lz_watch_fork(void);
bool lz_is_ours(const struct zc_file *f); /* false: a child has its parent's */
void lz_claim(struct zc_file *f);

/* A child of fork closes f->link and f->uffd from here on ... */
void lz_register(struct zc_file *f);
/* ... and lz_find_live() finds it from here on ... */
void lz_publish(struct zc_file *f);
/* ... to here. Waits for those who found it. The descriptors are closed afterwards. */
void lz_unregister(struct zc_file *f);

/* These are not torn by a fork(2) of another thread: what a child must not keep is never there without
 * being on record, nor on record when its number belongs to something else. */
int lz_socket(int *ret_fd);
void lz_close_socket(int *fd);
int lz_mmap(size_t length, int prot, int fd, void **ret);

/* Live files with a page in [address, address + length), at most `max`, to be released; gives how many
 * there are. */
size_t lz_find_live(const void *address, size_t length, struct zc_file **ret, size_t max);
void lz_release(struct zc_file *const *files, size_t n);

/* ---- track.c: let the daemon see our stores --------------------------------------------------- */

/* Register [map, map + length) and give what keeps it so in *ret_uffd, and a descriptor of our page map. */
int lz_track(void *map, size_t length, int *ret_uffd, int *ret_pagemap);

#endif
