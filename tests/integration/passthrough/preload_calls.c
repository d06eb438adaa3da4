/* SPDX-License-Identifier: MIT */
/*
 * preload_calls DIR - mappings of live files come and go in ways that libzc-preload.so must keep track of; then
 * a byte is stored and committed by msync(2). Each case has a file of its own, for a commit takes all of one.
 *
 * It is linked with libzc-preload.so, and behind it with this file as a library: its munmap(2), which the
 * first one calls, waits between unmapping and returning.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

#ifdef PRELOAD_SLOW

sem_t slow_unmapped, slow_go_on;
_Thread_local int slow_thread;

int munmap(void *address, size_t length)
{
	int r = (int)syscall(SYS_munmap, address, length);

	if (slow_thread) {
		sem_post(&slow_unmapped);
		sem_wait(&slow_go_on);
	}
	return r;
}

#else

extern sem_t slow_unmapped, slow_go_on;
extern _Thread_local int slow_thread;

static int fd;

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static char *map_at(void *address, int page, int pages)
{
	char *map = mmap(address, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)page * PAGE);

	must(map != MAP_FAILED, "mmap");
	return map;
}

/* A new file with 16 pages */
static void begin(const char *name)
{
	close(fd);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && ftruncate(fd, 16 * PAGE) == 0 && fsync(fd) == 0, name);
}

static void store(char *at)
{
	*at = 'x';
	must(msync(at, PAGE, MS_SYNC) == 0, "msync");
}

static void *unmap_slowly(void *map)
{
	slow_thread = 1;
	must(munmap(map, PAGE) == 0, "munmap");
	return NULL;
}

/* One thread unmaps; before its munmap() returns another one maps at the same place. */
static void reused_address(void)
{
	/* Sanitizers map pages for themselves, and the kernel gives them the highest gap: here are
	 * some above ours. */
	char *gaps = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *first = gaps + PAGE, *second;
	pthread_t thread;

	begin("reused");
	must(mmap(first, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == first,
	     "mmap");
	for (int i = 3; i < 64; i += 2)
		munmap(gaps + i * PAGE, PAGE);
	must(sem_init(&slow_unmapped, 0, 0) == 0 && sem_init(&slow_go_on, 0, 0) == 0, "sem_init");
	must(pthread_create(&thread, NULL, unmap_slowly, first) == 0, "pthread_create");
	sem_wait(&slow_unmapped);
	second = map_at(first, 0, 1);
	must(second == first, "the same place");
	sem_post(&slow_go_on);
	pthread_join(thread, NULL);
	store(second);
}

static void unmapped_in_the_middle(const char *name, int page)
{
	char *map;

	begin(name);
	map = map_at(NULL, 0, 3);
	must(munmap(map + PAGE, PAGE) == 0, "munmap");
	store(map + page * PAGE);
}

static void not_unmapped(void)
{
	char *map;

	begin("failed");
	map = map_at(NULL, 0, 1);
	must(munmap(map + 1, PAGE) < 0 && errno == EINVAL, "EINVAL");
	must(munmap(map, 0) < 0 && errno == EINVAL, "EINVAL");
	must(mremap(map, PAGE, 0, 0) == MAP_FAILED, "mremap");
	store(map);
}

static void moved(void)
{
	char *map, *there = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin("moved");
	map = map_at(NULL, 0, 1);
	must(mremap(map, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there, "mremap");
	store(there);
}

/* ENOMEM, but what is mapped of the range is committed. */
static void range_with_a_hole(void)
{
	char *map;

	begin("hole");
	map = map_at(NULL, 0, 3);
	must(munmap(map + PAGE, PAGE) == 0, "munmap");
	*map = 'x';
	must(msync(map, 3 * (size_t)PAGE, MS_SYNC) < 0 && errno == ENOMEM, "ENOMEM");
}

int main(int argc, char **argv)
{
	must(argc == 2 && chdir(argv[1]) == 0, "usage: preload_calls DIR");
	fd = -1;
	reused_address();
	unmapped_in_the_middle("before", 0);
	unmapped_in_the_middle("behind", 2);
	not_unmapped();
	moved();
	range_with_a_hole();
	return 0;
}

#endif
