/* SPDX-License-Identifier: MIT */
/*
 * registry.c - the files that this process has mapped, for zc_msync() and for fork(2).
 *
 * A child of fork has copies of our connections: it closes them at once, so that their end, which tells
 * the daemon that a client is gone, comes with the parent's end and not with the last child's.
 */
#include "zc_i.h"

#include <errno.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct zc_file *files;
static bool watching; /* fork */

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	for (struct zc_file *f = files; f; f = f->next) {
		zu_close_fd(&f->link);
		zu_close_fd(&f->uffd);
	}
	files = NULL;
	pthread_mutex_unlock(&lock);
}

int lz_register(struct zc_file *f)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!watching)
		r = pthread_atfork(before_fork, in_parent, in_child);
	if (r == 0) {
		watching = true;
		f->next = files;
		files = f;
	}
	pthread_mutex_unlock(&lock);
	return r ? lz_fail(ENOMEM, "no memory to watch fork(2)") : 0;
}

void lz_unregister(struct zc_file *f)
{
	struct zc_file **at = &files;

	pthread_mutex_lock(&lock);
	while (*at && *at != f)
		at = &(*at)->next;
	if (*at)
		*at = f->next;
	pthread_mutex_unlock(&lock);
}

size_t lz_find_live(const void *address, size_t length, struct zc_file **ret, size_t max)
{
	uintptr_t start = (uintptr_t)address, end = start + length;
	size_t n = 0;

	if (end < start)
		end = UINTPTR_MAX;

	pthread_mutex_lock(&lock);
	for (struct zc_file *f = files; f; f = f->next) {
		uintptr_t map = (uintptr_t)f->map;

		if (!f->live || map >= end || start >= map + f->capacity)
			continue;
		if (n < max)
			ret[n] = f;
		n++;
	}
	pthread_mutex_unlock(&lock);
	return n;
}
