/* SPDX-License-Identifier: MIT */
/*
 * registry.c - the files that this process has live, for zc_msync() and for fork(2).
 *
 * A child of fork has copies of our connections: it closes them at once, so that their end, which tells
 * the daemon that a client is gone, comes with the parent's end and not with the last child's. Another
 * thread may fork at any moment, also in the middle of zc_map(); so what the child has to close is put on record
 * under the lock under which it comes into being, and fork waits for that lock.
 */
#include "zc_i.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static struct zc_file *files;
static unsigned
	forks; /* between us and the first process; changes in a child that has one thread yet */

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
	forks++;
	released = (pthread_cond_t)PTHREAD_COND_INITIALIZER; /* those who wait are not here */
	pthread_mutex_unlock(&lock);
}

int lz_watch_fork(void)
{
	static bool watching;
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!watching)
		r = pthread_atfork(before_fork, in_parent, in_child);
	watching = r == 0;
	pthread_mutex_unlock(&lock);
	return r ? lz_fail(ENOMEM, "no memory to watch fork(2)") : 0;
}

/* The pid tells children that were not made by fork(3). */
bool lz_is_ours(const struct zc_file *f)
{
	return f->pid == getpid() && f->forks == forks;
}

void lz_claim(struct zc_file *f)
{
	f->pid = getpid();
	f->forks = forks;
}

/* ---- files ---------------------------------------------------------------------------------- */

void lz_register(struct zc_file *f)
{
	pthread_mutex_lock(&lock);
	f->next = files;
	files = f;
	pthread_mutex_unlock(&lock);
}

void lz_publish(struct zc_file *f)
{
	pthread_mutex_lock(&lock);
	f->published = true;
	pthread_mutex_unlock(&lock);
}

void lz_unregister(struct zc_file *f)
{
	struct zc_file **at = &files;

	pthread_mutex_lock(&lock);
	f->published = false;
	while (f->users)
		pthread_cond_wait(&released, &lock);
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
		if (!f->published || (uintptr_t)f->map >= end ||
		    start >= (uintptr_t)f->map + f->capacity)
			continue;
		if (n < max) {
			f->users++;
			ret[n] = f;
		}
		n++;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

void lz_release(struct zc_file *const *found, size_t n)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n; i++)
		found[i]->users--;
	pthread_cond_broadcast(&released);
	pthread_mutex_unlock(&lock);
}

/* ---- what fork must not tear ---------------------------------------------------------------- */

int lz_socket(int *ret_fd)
{
	int code;

	pthread_mutex_lock(&lock);
	*ret_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	code = errno;
	pthread_mutex_unlock(&lock);
	return *ret_fd < 0 ? lz_fail(code, "control socket: %s", strerror(code)) : 0;
}

void lz_close_socket(int *fd)
{
	pthread_mutex_lock(&lock);
	zu_close_fd(fd);
	pthread_mutex_unlock(&lock);
}

/* Stores of a child could not be tracked, so it does not get the mapping. */
int lz_mmap(size_t length, int prot, int fd, void **ret)
{
	void *map;
	int code = 0;

	pthread_mutex_lock(&lock);
	map = mmap(NULL, length, prot, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || madvise(map, length, MADV_DONTFORK) < 0)
		code = errno;
	if (code && map != MAP_FAILED)
		munmap(map, length);
	pthread_mutex_unlock(&lock);
	if (code)
		return -code;
	*ret = map;
	return 0;
}
