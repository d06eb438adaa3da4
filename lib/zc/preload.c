/* SPDX-License-Identifier: MIT */
/*
 * preload.c - libzc-preload.so: msync(2) of unmodified programs on a mount with -o passthrough.
 *
 *	LD_PRELOAD=libzc-preload.so PROGRAM
 *
 * There the kernel maps a file's memory itself in place of the file. msync(2) then ends at that memory,
 * reports success, and nothing is safe (fsync(2) of the descriptor does reach the daemon). This library
 * notes such mappings as they are made, and after the msync does fsync of the file. Mappings of other
 * files, also those of a default mount, are left alone: there msync does it all.
 *
 * fsync needs a descriptor, but a program may close its own as soon as it has mapped the file, so we
 * keep a copy. It is closed with the last mapping, unless somebody has locked a part of the file:
 * closing any descriptor of a file drops all fcntl(2) locks that the process has on it. Then it
 * stays until a later munmap(2).
 *
 * Threads: `lock` guards the tables; it is not held during fsync, for which a file has users.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/cleanup.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#define USER_MODE_ONLY 1 /* userfaultfd(2), Linux 5.11 */
#define EXPORT __attribute__((visibility("default")))
/* Out of the way of programs that count on low numbers */
enum { LOWEST_FD = 100 };

struct file {
	struct file *next;
	dev_t dev;
	ino_t ino;
	int fd;		/* -1: could not be copied; msync fails */
	unsigned users; /* mappings, and msyncs under way */
};

struct range {
	struct range *next;
	uintptr_t start, end;
	struct file *file;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static struct range *ranges;

static void *(*real_mmap)(void *, size_t, int, int, int, off_t);
static int (*real_munmap)(void *, size_t);
static void *(*real_mremap)(void *, size_t, size_t, int, ...);
static int (*real_msync)(void *, size_t, int);

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void find_real(void)
{
	real_mmap = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap64");
	real_munmap = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
	real_mremap = (void *(*)(void *, size_t, size_t, int, ...))dlsym(RTLD_NEXT, "mremap");
	real_msync = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
	pthread_atfork(before_fork, after_fork, after_fork);
}

static void prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_real);
}

/* ---- the tables; locked --------------------------------------------------------------------- */

/* May our descriptor be closed? Not while anybody holds a lock, which might be this process. */
static bool nobody_locks(int fd)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type == F_UNLCK;
}

static void close_unused(void)
{
	for (struct file **at = &files; *at;) {
		struct file *f = *at;

		if (f->users == 0 && (f->fd < 0 || nobody_locks(f->fd))) {
			*at = f->next;
			if (f->fd >= 0)
				close(f->fd);
			free(f);
		} else {
			at = &f->next;
		}
	}
}

static struct file *find_file(int fd, const struct stat *st)
{
	struct file *f = files;

	while (f && (f->dev != st->st_dev || f->ino != st->st_ino))
		f = f->next;
	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->fd = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
	if (f->fd < 0)
		f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	f->next = files;
	files = f;
	return f;
}

static void no_memory(void)
{
	fputs("libzc-preload: no memory: msync of a mapping will not commit it\n", stderr);
}

static struct range *new_range(uintptr_t start, uintptr_t end, struct file *f)
{
	struct range *r = malloc(sizeof(*r));

	if (!r) {
		no_memory();
		return NULL;
	}
	*r = (struct range){ NULL, start, end, f };
	f->users++;
	return r;
}

static void push(struct range **list, struct range *r)
{
	if (!r)
		return;
	r->next = *list;
	*list = r;
}

/*
 * Take what is noted of [start, end) out of the table; what is left on both sides of it stays. That is done
 * before the kernel unmaps it: afterwards another thread may have, and note, a mapping at the same place.
 */
static struct range *take(uintptr_t start, uintptr_t end)
{
	struct range *taken = NULL, *left = NULL;

	for (struct range **at = &ranges; *at && start < end;) {
		struct range *r = *at;

		if (r->end <= start || r->start >= end) {
			at = &r->next;
			continue;
		}
		if (r->start < start)
			push(&left, new_range(r->start, start, r->file));
		if (r->end > end)
			push(&left, new_range(end, r->end, r->file));
		r->start = r->start < start ? start : r->start;
		r->end = r->end > end ? end : r->end;
		*at = r->next;
		push(&taken, r);
	}
	while (left) {
		struct range *r = left;

		left = r->next;
		push(&ranges, r);
	}
	return taken;
}

static void put_back(struct range *taken)
{
	while (taken) {
		struct range *r = taken;

		taken = r->next;
		push(&ranges, r);
	}
}

static void drop(struct range *taken)
{
	while (taken) {
		struct range *r = taken;

		taken = r->next;
		r->file->users--;
		free(r);
	}
}

/* ---- what is to be noted -------------------------------------------------------------------- */

/*
 * Is it memory that is mapped there, and not the file? /proc/self/maps names the file for both. But
 * only of memory would userfaultfd report missing pages; so ask for it, nobody knows the address yet,
 * and take it back.
 */
static bool is_memory(void *address)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register page = {
		.range = { (uintptr_t)address, (uintptr_t)sysconf(_SC_PAGESIZE) },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	zu_cleanup_close int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);

	/* Not known: an fsync too much harms nobody. */
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0)
		return true;
	return ioctl(uffd, UFFDIO_REGISTER, &page) == 0 || errno != EINVAL;
}

static void note(void *address, size_t length, int flags, int fd)
{
	uintptr_t start = (uintptr_t)address, page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t end = (start + length + page - 1) & ~(page - 1);
	struct statfs fs;
	struct stat st;
	struct file *f;
	bool ours;

	ours = (flags & MAP_TYPE) != MAP_PRIVATE && !(flags & MAP_ANONYMOUS) &&
	       fstatfs(fd, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC && fstat(fd, &st) == 0 &&
	       is_memory(address);
	if (!ours && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		return;
	pthread_mutex_lock(&lock);
	drop(take(start, end));
	f = ours ? find_file(fd, &st) : NULL;
	if (f)
		push(&ranges, new_range(start, end, f));
	else if (ours)
		no_memory();
	close_unused();
	pthread_mutex_unlock(&lock);
}

/* ---- the calls ------------------------------------------------------------------------------ */

EXPORT void *mmap64(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *map;
	int saved;

	prepare();
	map = real_mmap(address, length, prot, flags, fd, offset);
	if (map == MAP_FAILED)
		return map;
	saved = errno;
	note(map, length, flags, fd);
	errno = saved;
	return map;
}

#undef mmap
/* The same where off_t has 64 bits, and this file is compiled so that it has. */
EXPORT void *zc_preload_mmap(void *address, size_t length, int prot, int flags, int fd,
			     off_t offset) __asm__("mmap");
void *zc_preload_mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	return mmap64(address, length, prot, flags, fd, offset);
}

static uintptr_t end_of(uintptr_t start, size_t length)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return (start + length + page - 1) & ~(page - 1);
}

static struct range *take_locked(uintptr_t start, uintptr_t end)
{
	struct range *taken;

	pthread_mutex_lock(&lock);
	taken = take(start, end);
	pthread_mutex_unlock(&lock);
	return taken;
}

EXPORT int munmap(void *address, size_t length)
{
	uintptr_t start = (uintptr_t)address;
	struct range *taken;
	int r, saved;

	prepare();
	taken = take_locked(start, end_of(start, length));
	r = real_munmap(address, length);
	saved = errno;
	pthread_mutex_lock(&lock);
	if (r < 0)
		put_back(taken);
	else
		drop(taken);
	close_unused();
	pthread_mutex_unlock(&lock);
	errno = saved;
	return r;
}

/* The file that is mapped at `address`, with one user more */
static struct file *file_at(uintptr_t address)
{
	struct file *f = NULL;

	pthread_mutex_lock(&lock);
	for (struct range *r = ranges; r && !f; r = r->next)
		if (r->start <= address && address < r->end)
			f = r->file;
	if (f)
		f->users++;
	pthread_mutex_unlock(&lock);
	return f;
}

EXPORT void *mremap(void *old, size_t old_length, size_t length, int flags, ...)
{
	uintptr_t start = (uintptr_t)old;
	void *wanted = NULL, *map;
	struct range *taken = NULL;
	struct file *f;
	va_list args;
	int saved;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		wanted = va_arg(args, void *);
		va_end(args);
	}
	prepare();
	f = file_at(start);
#ifdef MREMAP_DONTUNMAP
	if (!(flags & MREMAP_DONTUNMAP))
#endif
		taken = take_locked(start, end_of(start, old_length));
	map = real_mremap(old, old_length, length, flags, wanted);
	saved = errno;
	pthread_mutex_lock(&lock);
	if (map == MAP_FAILED) {
		put_back(taken);
	} else {
		drop(taken);
		start = (uintptr_t)map;
		drop(take(start, end_of(start, length)));
		if (f)
			push(&ranges, new_range(start, end_of(start, length), f));
	}
	if (f)
		f->users--;
	close_unused();
	pthread_mutex_unlock(&lock);
	errno = saved;
	return map;
}

/* A file with a mapping in [start, end) that has not been seen yet (`done`), with one user more */
static struct file *next_file(uintptr_t start, uintptr_t end, struct file *const *done, size_t n)
{
	for (struct range *r = ranges; r; r = r->next) {
		bool seen = r->end <= start || r->start >= end;

		for (size_t i = 0; i < n && !seen; i++)
			seen = done[i] == r->file;
		if (!seen) {
			r->file->users++;
			return r->file;
		}
	}
	return NULL;
}

EXPORT int msync(void *address, size_t length, int flags)
{
	enum { MANY = 64 };
	uintptr_t start = (uintptr_t)address;
	struct file *found[MANY];
	size_t n = 0;
	int failed = 0, r, saved;

	prepare();
	r = real_msync(address, length, flags);
	saved = errno;
	/* ENOMEM: what is mapped of the range has been taken care of, and is here, too. */
	if ((r < 0 && saved != ENOMEM) || !(flags & MS_SYNC) || length == 0)
		return r;
	pthread_mutex_lock(&lock);
	while (n < MANY && (found[n] = next_file(start, start + length, found, n)))
		n++;
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < n; i++)
		if (found[i]->fd < 0 || fsync(found[i]->fd) < 0)
			failed = found[i]->fd >= 0 && errno == ENOSPC ? ENOSPC : EIO;
	if (n == MANY)
		failed = EIO; /* there may be more */
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n; i++)
		found[i]->users--;
	close_unused();
	pthread_mutex_unlock(&lock);
	errno = failed ? failed : saved;
	return failed ? -1 : r;
}
