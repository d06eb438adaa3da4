// SPDX-License-Identifier: MIT
/* The measured operations on one big file of COUNT MiB, and on a small one that is committed over and over. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT_PAGES 256u
#define READS 16384u
#define BIG_FILE "big"
#define COMMIT_FILE "commits"

static uint64_t big_pages(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("%s: cannot stat", BIG_FILE);
	errno = 0;
	if (st.st_size < (off_t)BLOCK)
		die("%s: is smaller than %u bytes", BIG_FILE, BLOCK);
	return (uint64_t)st.st_size / PAGE;
}

static struct result mib(const struct task *t)
{
	return (struct result){ .ops = t->count, .bytes = (uint64_t)t->count * BLOCK };
}

static struct result seq_write_pass(struct task *t, int fd)
{
	for (uint64_t i = 0; i < t->count; i++) {
		stamp_block(t->buf, BLOCK, i * (BLOCK / PAGE));
		write_at(fd, BIG_FILE, t->buf, BLOCK, i * BLOCK);
	}
	sync_file(fd, BIG_FILE);
	return mib(t);
}

static struct result seq_read_pass(struct task *t, int fd)
{
	for (uint64_t i = 0; i < t->count; i++) {
		read_at(fd, BIG_FILE, t->buf, BLOCK, i * BLOCK);
		check_block(t->buf, BLOCK, i * (BLOCK / PAGE), BIG_FILE);
	}
	return mib(t);
}

static struct result random_reads(struct task *t, int fd, unsigned int count)
{
	uint64_t pages = big_pages(fd), page;

	for (unsigned int i = 0; i < count; i++) {
		page = next_random(&t->seed) % pages;
		read_at(fd, BIG_FILE, t->buf, PAGE, page * PAGE);
		check_stamp(t->buf, page, BIG_FILE);
	}
	return (struct result){ .ops = count, .bytes = (uint64_t)count * PAGE };
}

static struct result random_count_pass(struct task *t, int fd)
{
	return random_reads(t, fd, t->count);
}

static struct result random_read_pass(struct task *t, int fd)
{
	/* Jobs read different pages. */
	t->seed += t->job;
	return random_reads(t, fd, READS);
}

static struct result on_big(struct task *t, int flags,
			    struct result (*how)(struct task *, pass_fn *, int), pass_fn *pass)
{
	int fd = open_file(BIG_FILE, flags);
	struct result r = how(t, pass, fd);

	close_file(fd, BIG_FILE);
	return r;
}

struct result op_seq_write(struct task *t)
{
	return on_big(t, O_WRONLY | O_CREAT | O_EXCL, once, seq_write_pass);
}

struct result op_overwrite(struct task *t)
{
	return on_big(t, O_WRONLY, once, seq_write_pass);
}

struct result op_seq_read_once(struct task *t)
{
	return on_big(t, O_RDONLY, once, seq_read_pass);
}

struct result op_seq_read_warm(struct task *t)
{
	return on_big(t, O_RDONLY, repeat, seq_read_pass);
}

/* COUNT reads, of a file that nobody has in memory. */
struct result op_random_read_once(struct task *t)
{
	return on_big(t, O_RDONLY, once, random_count_pass);
}

struct result op_random_read_warm(struct task *t)
{
	int fd = open_file(BIG_FILE, O_RDONLY);
	struct task whole = *t;
	struct result r;

	/* A pass is a part of the file: all of it has to be in memory. */
	whole.count = (unsigned int)(big_pages(fd) * PAGE / BLOCK);
	seq_read_pass(&whole, fd);
	r = repeat(t, random_read_pass, fd);
	close_file(fd, BIG_FILE);
	return r;
}

/* Mappings: every word is read, as a program does that looks for something. */

static unsigned char *map_big(int fd, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		die("%s: cannot map", BIG_FILE);
	return map;
}

static void scan(const unsigned char *map, size_t len)
{
	static volatile uint64_t sink;
	uint64_t sum = 0, word;

	for (size_t at = 0; at < len; at += PAGE) {
		check_stamp(map + at, at / PAGE, BIG_FILE);
		for (size_t i = 0; i < PAGE; i += sizeof(word)) {
			memcpy(&word, map + at + i, sizeof(word));
			sum += word;
		}
	}
	sink = sum;
	(void)sink;
}

static struct result mmap_fault_pass(struct task *t, int fd)
{
	size_t len = (size_t)t->count * BLOCK;
	unsigned char *map = map_big(fd, len);

	scan(map, len);
	munmap(map, len);
	return mib(t);
}

static unsigned char *mapped;

static struct result mmap_scan_pass(struct task *t, int fd)
{
	(void)fd;
	scan(mapped, (size_t)t->count * BLOCK);
	return mib(t);
}

/* A new mapping for each pass: its page faults are in the time. */
struct result op_mmap_fault(struct task *t)
{
	return on_big(t, O_RDONLY, repeat, mmap_fault_pass);
}

/* One mapping, whose faults are over before the first timed pass. */
struct result op_mmap_scan(struct task *t)
{
	int fd = open_file(BIG_FILE, O_RDONLY);
	struct result r;

	mapped = map_big(fd, (size_t)t->count * BLOCK);
	r = repeat(t, mmap_scan_pass, fd);
	munmap(mapped, (size_t)t->count * BLOCK);
	close_file(fd, BIG_FILE);
	return r;
}

/* COUNT single pages at random places, then one fsync. */
static struct result random_write_pass(struct task *t, int fd)
{
	uint64_t pages = big_pages(fd), page;

	for (unsigned int i = 0; i < t->count; i++) {
		page = next_random(&t->seed) % pages;
		stamp(t->buf, page);
		write_at(fd, BIG_FILE, t->buf, PAGE, page * PAGE);
	}
	sync_file(fd, BIG_FILE);
	return (struct result){ .ops = t->count, .bytes = (uint64_t)t->count * PAGE };
}

struct result op_random_write_once(struct task *t)
{
	return on_big(t, O_RDWR, once, random_write_pass);
}

struct result op_random_write(struct task *t)
{
	return on_big(t, O_RDWR, repeat, random_write_pass);
}

static struct result commit_pass(struct task *t, int fd)
{
	for (unsigned int i = 0; i < t->count; i++) {
		stamp(t->buf, i);
		write_at(fd, COMMIT_FILE, t->buf, PAGE, (uint64_t)(i % COMMIT_PAGES) * PAGE);
		sync_file(fd, COMMIT_FILE);
	}
	return (struct result){ .ops = t->count, .bytes = (uint64_t)t->count * PAGE };
}

/* COUNT times one page overwritten in a file of 1 MiB and fsync. */
struct result op_commit(struct task *t)
{
	int fd = open_file(COMMIT_FILE, O_RDWR | O_CREAT | O_EXCL);
	struct result r;

	write_at(fd, COMMIT_FILE, t->buf, COMMIT_PAGES * PAGE, 0);
	sync_file(fd, COMMIT_FILE);
	r = repeat(t, commit_pass, fd);
	close_file(fd, COMMIT_FILE);
	if (unlink(COMMIT_FILE) < 0)
		die("%s: cannot unlink", COMMIT_FILE);
	return r;
}

/* Not measured. */
struct result op_remove_big(struct task *t)
{
	(void)t;
	if (unlink(BIG_FILE) < 0)
		die("%s: cannot unlink", BIG_FILE);
	return (struct result){ .ops = 1 };
}
