/* SPDX-License-Identifier: MIT */
/*
 * live_ops - the measurements of live.py. Each prints numbers, a line for each round; what is compared
 * takes turns within a round, so that what slows the machine down slows all of it.
 *
 *   live_ops memory LIVE TMPFS MIB ROUNDS   MB/s, of CPU time, of a live mapping, a
 *                                           memfd and tmpfs: stores and loads
 *   live_ops files PASSED TMPFS MIB ROUNDS  MB/s, of CPU time, of each kind of access
 *                                           (see kinds), of both files
 *   live_ops live FILE MIB ROUNDS PAGES...  microseconds of zc_commit of so many scattered pages
 *   live_ops sync FILE MIB ROUNDS PAGES...  the same by mmap and fsync of the file
 *   live_ops msync FILE MIB ROUNDS PAGES... the same by mmap and msync
 *   live_ops pwrite FILE MIB ROUNDS PAGES.. the same by pwrite and fsync
 *   live_ops make FILE MIB                  a file of random bytes, durable
 *   live_ops golive FILE                    seconds of zc_open and zc_map
 *   live_ops read FILE                      seconds of reading all of it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "zc/map.h"

enum { PAGE = 4096, MIB = 1 << 20, SMALL_CALLS = 20000 };

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void zc_must(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, zc_error());
	exit(1);
}

static double read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* Of this thread alone, the time in the kernel included: nothing here waits, so other programs of a busy
 * machine are left out. */
static double busy(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	must(fd >= 0, path);
	return fd;
}

static char *map_file(int fd, size_t size)
{
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(map != MAP_FAILED, "mmap");
	return map;
}

/* ---- bandwidth of memory ------------------------------------------------------------------ */

static double store_all(char *map, size_t size)
{
	volatile uint64_t *word = (volatile uint64_t *)map;
	double start = busy();

	for (size_t i = 0; i < size / 8; i += 4) {
		word[i] = i;
		word[i + 1] = i;
		word[i + 2] = i;
		word[i + 3] = i;
	}
	return (double)size / 1e6 / (busy() - start);
}

static double load_all(char *map, size_t size)
{
	const volatile uint64_t *word = (const volatile uint64_t *)map;
	double start = busy();

	for (size_t i = 0; i < size / 8; i += 4) {
		(void)word[i];
		(void)word[i + 1];
		(void)word[i + 2];
		(void)word[i + 3];
	}
	return (double)size / 1e6 / (busy() - start);
}

/* Allocate page after page in turn: which memory of the machine a file has got (that of a virtual
 * machine differs by more than what is compared here) is then the same for all. */
static void touch(char *const *maps, int n, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		for (int k = 0; k < n; k++)
			memset(maps[k] + at, 1, PAGE);
}

/* A commit takes the write protection again; this is between commits, so it is not measured. */
static int memory(const char *live, const char *tmpfs, size_t size, int rounds)
{
	char *maps[3];
	zc_file *file;
	void *map;
	int fd;

	zc_must(zc_create(live, ZC_RDWR, 0600, size, &file), "zc_create");
	zc_must(zc_map(file, 0, &map), "zc_map");
	maps[0] = map;
	fd = memfd_create("bare", MFD_CLOEXEC);
	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	maps[1] = map_file(fd, size);
	fd = open_file(tmpfs, O_RDWR | O_CREAT);
	must(ftruncate(fd, (off_t)size) == 0, tmpfs);
	maps[2] = map_file(fd, size);
	touch(maps, 3, size);
	for (int round = 0; round < rounds; round++) {
		double store[3], load[3];

		for (int k = 0; k < 3; k++) {
			int which = (k + round) % 3;

			store[which] = store_all(maps[which], size);
			load[which] = load_all(maps[which], size);
		}
		for (int k = 0; k < 3; k++)
			printf("%.6g %.6g ", store[k], load[k]);
		putchar('\n');
	}
	zc_close(file);
	return 0;
}

/* ---- a file that is passed through -------------------------------------------------------- */

struct file {
	int fd, null;
	size_t size;
	char *map, *buf;
};

static double rate(const struct file *f, double start)
{
	return (double)f->size / 1e6 / (busy() - start);
}

static double read_large(struct file *f)
{
	double start = busy();

	for (size_t at = 0; at < f->size; at += MIB)
		must(pread(f->fd, f->buf, MIB, (off_t)at) == MIB, "pread");
	return rate(f, start);
}

static double write_large(struct file *f)
{
	double start = busy();

	for (size_t at = 0; at < f->size; at += MIB)
		must(pwrite(f->fd, f->buf, MIB, (off_t)at) == MIB, "pwrite");
	return rate(f, start);
}

static double read_small(struct file *f)
{
	double start = busy();

	for (int i = 0; i < SMALL_CALLS; i++)
		must(pread(f->fd, f->buf, PAGE, (off_t)(next_random() % (f->size / PAGE) * PAGE)) ==
			     PAGE,
		     "pread");
	return SMALL_CALLS * (double)PAGE / 1e6 / (busy() - start);
}

static double write_small(struct file *f)
{
	double start = busy();

	for (int i = 0; i < SMALL_CALLS; i++)
		must(pwrite(f->fd, f->buf, PAGE,
			    (off_t)(next_random() % (f->size / PAGE) * PAGE)) == PAGE,
		     "pwrite");
	return SMALL_CALLS * (double)PAGE / 1e6 / (busy() - start);
}

/* To a copy in memory, where the bytes are needed. */
static double send_file(struct file *f)
{
	double start = busy();
	off_t at = 0;

	must(lseek(f->null, 0, SEEK_SET) == 0, "lseek");
	while ((size_t)at < f->size)
		must(sendfile(f->null, f->fd, &at, MIB) > 0, "sendfile");
	return rate(f, start);
}

static double map_store(struct file *f)
{
	return store_all(f->map, f->size);
}

static double map_load(struct file *f)
{
	return load_all(f->map, f->size);
}

/* Mapped anew, so with a fault for each page (or for what the kernel maps around it). */
static double map_fault(struct file *f)
{
	double start = busy();
	char *map = map_file(f->fd, f->size);

	for (size_t at = 0; at < f->size; at += PAGE)
		(void)*(volatile char *)(map + at);
	munmap(map, f->size);
	return rate(f, start);
}

static double (*const kinds[])(struct file *) = { read_large, write_large, read_small, write_small,
						  send_file,  map_store,   map_load,   map_fault };
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int files(const char *passed, const char *tmpfs, size_t size, int rounds)
{
	const char *paths[2] = { passed, tmpfs };
	struct file f[2];
	int copy = memfd_create("copy", MFD_CLOEXEC);

	must(copy >= 0 && ftruncate(copy, (off_t)size) == 0, "memfd");
	for (int k = 0; k < 2; k++) {
		f[k] = (struct file){ .size = size, .null = copy, .buf = malloc(MIB) };
		must(f[k].buf != NULL, "malloc");
		memset(f[k].buf, 'b', MIB);
		f[k].fd = open_file(paths[k], O_RDWR | O_CREAT);
		must(ftruncate(f[k].fd, (off_t)size) == 0, "ftruncate");
		f[k].map = map_file(f[k].fd, size);
	}
	touch((char *[]){ f[0].map, f[1].map }, 2, size);
	send_file(&f[0]);
	for (int round = 0; round < rounds; round++) {
		for (int kind = 0; kind < KINDS; kind++) {
			double found[2];

			for (int k = 0; k < 2; k++) {
				int which = (k + round) % 2;

				found[which] = kinds[kind](&f[which]);
			}
			printf("%.6g %.6g ", found[0], found[1]);
		}
		putchar('\n');
	}
	return 0;
}

/* ---- commits ------------------------------------------------------------------------------ */

struct target {
	char *map;
	size_t size;
	int fd;
	zc_file *file;
	void (*dirty)(struct target *t, size_t page, uint64_t value);
	void (*commit)(struct target *t);
};

static void store(struct target *t, size_t page, uint64_t value)
{
	memcpy(t->map + page * PAGE, &value, sizeof(value));
}

static void write_page(struct target *t, size_t page, uint64_t value)
{
	char bytes[PAGE];

	memset(bytes, (int)value, sizeof(bytes));
	must(pwrite(t->fd, bytes, PAGE, (off_t)(page * PAGE)) == PAGE, "pwrite");
}

static void commit_zc(struct target *t)
{
	zc_must(zc_commit(t->file), "zc_commit");
}

static void commit_fsync(struct target *t)
{
	must(fsync(t->fd) == 0, "fsync");
}

static void commit_msync(struct target *t)
{
	must(msync(t->map, t->size, MS_SYNC) == 0, "msync");
}

/* So many different pages, spread over the file. Writes are part of what is measured, stores are too. */
static double commit_pages(struct target *t, size_t pages)
{
	size_t all = t->size / PAGE, stride = all / pages, first = next_random() % all;
	uint64_t value = next_random();
	double start = now();

	for (size_t i = 0; i < pages; i++)
		t->dirty(t, (first + i * stride + i * 7919 % stride) % all, value);
	t->commit(t);
	return (now() - start) * 1e6;
}

static int commits(struct target *t, int rounds, char **counts, int n)
{
	/* All pages are there, in the page tables too, and committed. */
	for (size_t at = 0; t->map && at < t->size; at += PAGE)
		(void)*(volatile char *)(t->map + at);
	t->commit(t);
	for (int k = 0; k < n; k++)
		commit_pages(t, strtoul(counts[k], NULL, 10));
	for (int round = 0; round < rounds; round++) {
		for (int k = 0; k < n; k++)
			printf("%.6g ", commit_pages(t, strtoul(counts[k], NULL, 10)));
		putchar('\n');
	}
	return 0;
}

static int commit_live(const char *path, size_t size, int rounds, char **counts, int n)
{
	struct target t = { .size = size, .dirty = store, .commit = commit_zc };
	void *map;
	int r;

	zc_must(zc_open(path, ZC_RDWR, &t.file), "zc_open");
	zc_must(zc_map(t.file, 0, &map), "zc_map");
	t.map = map;
	r = commits(&t, rounds, counts, n);
	zc_close(t.file);
	return r;
}

static int commit_file(const char *how, const char *path, size_t size, int rounds, char **counts,
		       int n)
{
	struct target t = { .size = size, .fd = open_file(path, O_RDWR), .dirty = store };

	if (!strcmp(how, "pwrite"))
		t.dirty = write_page;
	else
		t.map = map_file(t.fd, size);
	t.commit = !strcmp(how, "msync") ? commit_msync : commit_fsync;
	return commits(&t, rounds, counts, n);
}

/* ---- whole files -------------------------------------------------------------------------- */

static int make(const char *path, size_t size)
{
	int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
	uint64_t *buf = malloc(MIB);

	must(buf != NULL, "malloc");
	for (size_t at = 0; at < size; at += MIB) {
		for (size_t i = 0; i < MIB / 8; i++)
			buf[i] = next_random();
		must(write(fd, buf, MIB) == MIB, path);
	}
	must(fsync(fd) == 0, "fsync");
	free(buf);
	return close(fd) != 0;
}

static int golive(const char *path)
{
	double start = now();
	zc_file *file;
	void *map;

	zc_must(zc_open(path, ZC_RDWR, &file), "zc_open");
	zc_must(zc_map(file, 0, &map), "zc_map");
	printf("%.6g\n", now() - start);
	zc_close(file);
	return 0;
}

static int read_whole(const char *path)
{
	double start = now();
	int fd = open_file(path, O_RDONLY);
	char *buf = malloc(MIB);
	ssize_t n;

	must(buf != NULL, "malloc");
	while ((n = read(fd, buf, MIB)) > 0)
		;
	must(n == 0, "read");
	printf("%.6g\n", now() - start);
	free(buf);
	return close(fd) != 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) * MIB : 0;
	size_t both = argc > 4 ? strtoul(argv[4], NULL, 10) * MIB : 0;
	int rounds = argc > 4 ? atoi(argv[4]) : 0;

	if (!strcmp(what, "memory") && argc == 6)
		return memory(argv[2], argv[3], both, atoi(argv[5]));
	if (!strcmp(what, "files") && argc == 6)
		return files(argv[2], argv[3], both, atoi(argv[5]));
	if (!strcmp(what, "live") && argc > 5)
		return commit_live(argv[2], size, rounds, argv + 5, argc - 5);
	if ((!strcmp(what, "sync") || !strcmp(what, "msync") || !strcmp(what, "pwrite")) &&
	    argc > 5)
		return commit_file(what, argv[2], size, rounds, argv + 5, argc - 5);
	if (!strcmp(what, "make") && argc == 4)
		return make(argv[2], size);
	if (!strcmp(what, "golive") && argc == 3)
		return golive(argv[2]);
	if (!strcmp(what, "read") && argc == 3)
		return read_whole(argv[2]);
	fprintf(stderr, "live_ops: wrong arguments; see the top of live_ops.c\n");
	return 2;
}
