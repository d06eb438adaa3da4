// SPDX-License-Identifier: MIT
/*
 * Commits of scattered pages, one measurement per run, in the directory DIR.
 *
 *   commit_ops policy DIR                          what is made in DIR is `explicit`
 *   commit_ops settle DIR                          sync the filesystem of DIR
 *   commit_ops fill WAY DIR MIB                    make the file of MIB, or the database
 *   commit_ops run WAY DIR MIB PAGES SECONDS SEED  commits of PAGES pages, until SECONDS have passed
 *   commit_ops threads DIR THREADS SECONDS MIB     THREADS threads with a file of MIB each
 *
 * WAY: pwrite (and fsync), mmap (and msync), rename (a whole new file, fsync, rename, fsync of the
 * directory), sqlite, lmdb. The answer of a measurement is one line: commits, seconds, median and
 * 99th percentile of a commit in microseconds. A commit is timed from the first change to its
 * return. The pages of the last one are read back afterwards, through a new descriptor.
 */
#include "commit_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define DATA "data"
#define RENAMED "renamed"
#define BLOCK (1u << 20)
#define MIN_COMMITS 3
#define MAX_COMMITS 100000
#define MAX_THREADS 64

void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fputs("commit_ops: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s%s\n", err ? ": " : "", err ? strerror(err) : "");
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void stamp(struct commit_run *r, uint32_t page)
{
	uint64_t head[2] = { page, r->serial };

	memcpy(r->buf, head, sizeof(head));
}

/* ---- files ------------------------------------------------------------------------------------ */

static void write_at(int fd, const void *buf, size_t len, uint64_t off)
{
	if (pwrite(fd, buf, len, (off_t)off) != (ssize_t)len)
		die("write at %" PRIu64, off);
}

static void sync_fd(int fd)
{
	if (fsync(fd))
		die("fsync");
}

static void fill_file(struct commit_run *r, const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s", name);
	for (uint32_t page = 0; page < r->file_pages; page++) {
		stamp(r, page);
		write_at(fd, r->buf, PAGE, (uint64_t)page * PAGE);
	}
	sync_fd(fd);
	close(fd);
}

static void fill_data(struct commit_run *r)
{
	fill_file(r, DATA);
}

static void fill_renamed(struct commit_run *r)
{
	fill_file(r, RENAMED);
}

static void warm(int fd)
{
	unsigned char *buf = malloc(BLOCK);
	ssize_t n;

	if (!buf)
		die("memory");
	for (off_t off = 0; (n = pread(fd, buf, BLOCK, off)) > 0; off += n)
		;
	if (n < 0)
		die("read");
	free(buf);
}

static void open_file(struct commit_run *r, const char *name)
{
	r->fd = open(name, O_RDWR | O_CLOEXEC);
	if (r->fd < 0)
		die("%s: run fill first", name);
	warm(r->fd);
}

static void open_data(struct commit_run *r)
{
	open_file(r, DATA);
}

static void open_renamed(struct commit_run *r)
{
	open_file(r, RENAMED);
}

static void read_file(struct commit_run *r, uint32_t page, unsigned char *out)
{
	if (pread(r->fd, out, PAGE, (off_t)page * PAGE) != PAGE)
		die("read of page %" PRIu32, page);
}

static void close_file(struct commit_run *r)
{
	if (close(r->fd))
		die("close");
}

static void put_pages(struct commit_run *r, int fd)
{
	for (uint32_t i = 0; i < r->pages; i++) {
		stamp(r, r->page[i]);
		write_at(fd, r->buf, PAGE, (uint64_t)r->page[i] * PAGE);
	}
}

static void commit_pwrite(struct commit_run *r)
{
	put_pages(r, r->fd);
	sync_fd(r->fd);
}

static void open_map(struct commit_run *r)
{
	volatile unsigned char *map;

	open_data(r);
	map = mmap(NULL, (size_t)r->file_pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		   0);
	if (map == MAP_FAILED)
		die("mmap");
	for (uint32_t page = 0; page < r->file_pages; page++)
		(void)map[(size_t)page * PAGE];
	r->map = (unsigned char *)map;
}

static void commit_map(struct commit_run *r)
{
	for (uint32_t i = 0; i < r->pages; i++) {
		stamp(r, r->page[i]);
		memcpy(r->map + (size_t)r->page[i] * PAGE, r->buf, PAGE);
	}
	if (msync(r->map, (size_t)r->file_pages * PAGE, MS_SYNC))
		die("msync");
}

static void close_map(struct commit_run *r)
{
	munmap(r->map, (size_t)r->file_pages * PAGE);
	close_file(r);
}

/* What a careful program does on an ordinary filesystem; the copy never leaves the kernel. */
static void commit_rename(struct commit_run *r)
{
	uint64_t left = (uint64_t)r->file_pages * PAGE;
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = open(RENAMED ".new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	off_t from = 0;

	if (dir < 0 || fd < 0)
		die("%s", RENAMED ".new");
	while (left) {
		ssize_t n = copy_file_range(r->fd, &from, fd, NULL, left, 0);

		if (n <= 0)
			die("copy_file_range");
		left -= (uint64_t)n;
	}
	put_pages(r, fd);
	sync_fd(fd);
	if (rename(RENAMED ".new", RENAMED))
		die("rename");
	sync_fd(dir);
	close(dir);
	close(r->fd);
	r->fd = fd;
}

static const struct way ways[] = {
	{ "pwrite", fill_data, open_data, commit_pwrite, read_file, close_file },
	{ "mmap", fill_data, open_map, commit_map, read_file, close_map },
	{ "rename", fill_renamed, open_renamed, commit_rename, read_file, close_file },
};

static const struct way *find_way(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (!strcmp(name, ways[i].name))
			return &ways[i];
	}
	if (!strcmp(name, way_lmdb.name))
		return &way_lmdb;
#ifdef HAVE_SQLITE
	if (!strcmp(name, way_sqlite.name))
		return &way_sqlite;
#endif
	errno = 0;
	die("%s: unknown way, or built without it", name);
}

/* ---- a measurement ---------------------------------------------------------------------------- */

static void init_run(struct commit_run *r, unsigned long mib, uint32_t pages)
{
	uint64_t seed = 0x9e3779b97f4a7c15;

	*r = (struct commit_run){ .file_pages = (uint32_t)(mib * (1048576 / PAGE)),
				  .pages = pages };
	errno = 0;
	if (!mib || mib > 65536 || pages > r->file_pages)
		die("%lu MiB, %" PRIu32 " pages: out of range", mib, pages);
	r->page = calloc(pages ? pages : 1, sizeof(*r->page));
	if (!r->page)
		die("memory");
	for (size_t i = 0; i < PAGE; i += sizeof(seed)) {
		uint64_t word = next_random(&seed);

		memcpy(r->buf + i, &word, sizeof(word));
	}
}

/* Scattered: one page from each of as many equal parts of the file. */
static void choose_pages(struct commit_run *r, uint64_t *seed)
{
	uint32_t part = r->file_pages / r->pages;

	for (uint32_t i = 0; i < r->pages; i++)
		r->page[i] = i * part + (uint32_t)(next_random(seed) % part);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void answer(double *took, size_t count, double seconds)
{
	qsort(took, count, sizeof(*took), by_value);
	printf("%zu %.9f %.1f %.1f\n", count, seconds, took[count / 2] * 1e6,
	       took[count * 99 / 100] * 1e6);
}

static void check_last(struct commit_run *r, const struct way *way)
{
	unsigned char found[PAGE];

	errno = 0;
	for (uint32_t i = 0; i < r->pages; i++) {
		way->read(r, r->page[i], found);
		stamp(r, r->page[i]);
		if (memcmp(found, r->buf, PAGE) != 0)
			die("%s: page %" PRIu32 " has other bytes than its last commit", way->name,
			    r->page[i]);
	}
}

static void run(const struct way *way, unsigned long mib, uint32_t pages, double least,
		uint64_t seed)
{
	static double took[MAX_COMMITS];
	struct commit_run r;
	double sum = 0;
	size_t n = 0;

	init_run(&r, mib, pages);
	seed = seed * 0x9e3779b97f4a7c15 + 1;
	way->open(&r);
	/* The first one pays for what the others find: untimed. */
	for (bool first = true; first || ((n < MIN_COMMITS || sum < least) && n < MAX_COMMITS);) {
		double start;

		choose_pages(&r, &seed);
		/* No two of a file's commits are alike. */
		r.serial = next_random(&seed);
		start = now();
		way->commit(&r);
		if (!first) {
			took[n] = now() - start;
			sum += took[n++];
		}
		first = false;
	}
	way->close(&r);
	way->open(&r);
	check_last(&r, way);
	way->close(&r);
	free(r.page);
	answer(took, n, sum);
}

/* ---- threads ---------------------------------------------------------------------------------- */

/* start: written before the threads are let go by the barrier, read after it. */
static struct {
	pthread_barrier_t ready;
	unsigned long mib;
	double seconds;
} crowd;

struct committer {
	pthread_t thread;
	unsigned int number;
	size_t commits;
	double seconds;
};

static void *committer(void *arg)
{
	struct committer *c = arg;
	struct commit_run r;
	uint64_t seed = c->number + 1;
	char name[32];
	double start, end;

	init_run(&r, crowd.mib, 1);
	snprintf(name, sizeof(name), "thread%u", c->number);
	if (access(name, F_OK))
		fill_file(&r, name);
	open_file(&r, name);
	pthread_barrier_wait(&crowd.ready);
	start = end = now();
	for (; end - start < crowd.seconds; end = now()) {
		choose_pages(&r, &seed);
		r.serial++;
		commit_pwrite(&r);
		c->commits++;
	}
	c->seconds = end - start;
	close_file(&r);
	free(r.page);
	return NULL;
}

static void threads(unsigned int count)
{
	struct committer c[MAX_THREADS] = { 0 };
	double rate = 0, longest = 0;
	size_t commits = 0;

	pthread_barrier_init(&crowd.ready, NULL, count);
	for (unsigned int i = 0; i < count; i++) {
		c[i].number = i;
		errno = pthread_create(&c[i].thread, NULL, committer, &c[i]);
		if (errno)
			die("pthread_create");
	}
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(c[i].thread, NULL);
		commits += c[i].commits;
		rate += (double)c[i].commits / c[i].seconds;
		longest = c[i].seconds > longest ? c[i].seconds : longest;
	}
	printf("%zu %.9f %.1f %.1f\n", commits, (double)commits / rate, longest * 1e6, 0.0);
}

static double number(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	errno = 0;
	if (end == text || *end || !(value >= least && value <= most))
		die("%s: not a number from %g to %g", text, least, most);
	return value;
}

static void enter(const char *dir)
{
	if (chdir(dir))
		die("%s", dir);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct commit_run r;

	if (argc == 3 && !strcmp(verb, "policy")) {
		if (setxattr(argv[2], "user.zcfs.commit", "explicit", 8, 0))
			die("%s: user.zcfs.commit", argv[2]);
	} else if (argc == 3 && !strcmp(verb, "settle")) {
		int fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || syncfs(fd))
			die("%s", argv[2]);
	} else if (argc == 5 && !strcmp(verb, "fill")) {
		enter(argv[3]);
		init_run(&r, (unsigned long)number(argv[4], 1, 65536), 0);
		find_way(argv[2])->fill(&r);
	} else if (argc == 8 && !strcmp(verb, "run")) {
		enter(argv[3]);
		run(find_way(argv[2]), (unsigned long)number(argv[4], 1, 65536),
		    (uint32_t)number(argv[5], 1, 1e6), number(argv[6], 0, 3600),
		    (uint64_t)number(argv[7], 0, 1e9));
	} else if (argc == 6 && !strcmp(verb, "threads")) {
		enter(argv[2]);
		crowd.seconds = number(argv[4], 0, 3600);
		crowd.mib = (unsigned long)number(argv[5], 1, 65536);
		threads((unsigned int)number(argv[3], 1, MAX_THREADS));
	} else {
		fprintf(stderr, "commit_ops: see the head of commit_ops.c\n");
		return 2;
	}
	return 0;
}
