// SPDX-License-Identifier: MIT
/*
 * The measured operations, one per run, so that the cost of the script that drives them is not in
 * the figures.
 *
 *   ops [-s BYTES] [-j JOBS] [-r ROUND] [-m MS] [-p PID]... OPERATION DIR COUNT SEED
 *
 * COUNT is files, MiB, commits or writes, as the operation says (fill and cached take a file's name
 * for the seed); BYTES the size of a small file, ROUND
 * which of the rounds' files are meant, PIDs the servers whose CPU time is read. The answer is one line on stdout: operations, bytes, seconds, and
 * CPU seconds of this program, of the servers and of the whole machine. Only what lies between two
 * readings of the clocks is measured: making buffers, warming caches and entering the directory are not.
 * Operations called warm repeat until MS milliseconds (300) have passed, since one pass may take less than a
 * scheduler's tick.
 *
 * Every page written begins with its page number, and every page read is checked for it: a
 * filesystem that returns the wrong bytes fails instead of being fast.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fputs("ops: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s%s\n", err ? ": " : "", err ? strerror(err) : "");
	exit(1);
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill(unsigned char *buf, uint64_t seed)
{
	for (size_t i = 0; i < BLOCK; i += sizeof(seed)) {
		uint64_t word = next_random(&seed);

		memcpy(buf + i, &word, sizeof(word));
	}
}

void stamp(unsigned char *buf, uint64_t page)
{
	memcpy(buf, &page, sizeof(page));
}

void stamp_block(unsigned char *buf, size_t len, uint64_t page)
{
	for (size_t at = 0; at < len; at += PAGE)
		stamp(buf + at, page++);
}

void check_stamp(const unsigned char *buf, uint64_t page, const char *name)
{
	uint64_t found;

	memcpy(&found, buf, sizeof(found));
	errno = 0;
	if (found != page)
		die("%s: page %" PRIu64 " begins with %" PRIu64 ": wrong bytes", name, page, found);
}

void check_block(const unsigned char *buf, size_t len, uint64_t page, const char *name)
{
	for (size_t at = 0; at < len; at += PAGE)
		check_stamp(buf + at, page++, name);
}

int open_file(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s: cannot open", name);
	return fd;
}

void write_at(int fd, const char *name, const unsigned char *buf, size_t len, uint64_t off)
{
	ssize_t n = pwrite(fd, buf, len, (off_t)off);

	if (n >= 0)
		errno = 0;
	if (n != (ssize_t)len)
		die("%s: write of %zu bytes at %" PRIu64 " gave %zd", name, len, off, n);
}

void read_at(int fd, const char *name, unsigned char *buf, size_t len, uint64_t off)
{
	ssize_t n = pread(fd, buf, len, (off_t)off);

	if (n >= 0)
		errno = 0;
	if (n != (ssize_t)len)
		die("%s: read of %zu bytes at %" PRIu64 " gave %zd", name, len, off, n);
}

void sync_file(int fd, const char *name)
{
	if (fsync(fd) < 0)
		die("%s: cannot fsync", name);
}

void close_file(int fd, const char *name)
{
	if (close(fd) < 0)
		die("%s: cannot close", name);
}

/* Not measured: leaves nothing dirty behind for the next system's turn to pay. */
static struct result op_settle(struct task *t)
{
	int fd = open_file(".", O_RDONLY | O_DIRECTORY);

	(void)t;
	/* mergerfs answers that to times of files that are gone; all others have been written. */
	if (syncfs(fd) < 0 && errno != ESTALE)
		die("cannot sync the filesystem");
	/* A FUSE server hears nothing of syncfs: the fsync tells it. */
	if (fsync(fd) < 0 && errno != ENOSYS && errno != EINVAL)
		die("cannot sync the directory");
	close(fd);
	return (struct result){ .ops = 1 };
}

/* Not measured: how many of a file's pages are in the page cache, and how many bytes it has. */
static struct result pages_cached(const char *name)
{
	int fd = open_file(name, O_RDONLY);
	struct result r = { 0 };
	unsigned char *seen;
	struct stat st;
	size_t pages;
	void *map;

	if (fstat(fd, &st) < 0)
		die("%s: cannot stat", name);
	r.bytes = (uint64_t)st.st_size;
	pages = (r.bytes + PAGE - 1) / PAGE;
	if (pages) {
		map = mmap(NULL, r.bytes, PROT_READ, MAP_SHARED, fd, 0);
		seen = calloc(1, pages);
		if (map == MAP_FAILED || !seen || mincore(map, r.bytes, seen) < 0)
			die("%s: cannot see which pages are in memory", name);
		for (size_t i = 0; i < pages; i++)
			r.ops += seen[i] & 1;
		free(seen);
		munmap(map, r.bytes);
	}
	close_file(fd, name);
	return r;
}

static struct result op_cached(struct task *t)
{
	return pages_cached(t->word);
}

/* Not measured: reads a file, so that the host has it in its cache. */
static struct result op_fill(struct task *t)
{
	int fd = open_file(t->word, O_RDONLY);
	ssize_t n;

	while ((n = read(fd, t->buf, BLOCK)) > 0)
		;
	if (n < 0)
		die("%s: cannot read", t->word);
	close_file(fd, t->word);
	return pages_cached(t->word);
}

static const struct {
	const char *name;
	struct result (*run)(struct task *t);
} operations[] = {
	{ "create", op_create },
	{ "stat-warm", op_stat_warm },
	{ "stat-once", op_stat_once },
	{ "read-warm", op_read_warm },
	{ "read-once", op_read_once },
	{ "list-once", op_list_once },
	{ "unlink", op_unlink },
	{ "make-many", op_make_many },
	{ "stat-many", op_stat_many },
	{ "seq-write", op_seq_write },
	{ "overwrite", op_overwrite },
	{ "seq-read-once", op_seq_read_once },
	{ "seq-read-warm", op_seq_read_warm },
	{ "random-read-once", op_random_read_once },
	{ "random-read-warm", op_random_read_warm },
	{ "mmap-fault", op_mmap_fault },
	{ "mmap-scan", op_mmap_scan },
	{ "sendfile-once", op_sendfile_once },
	{ "sendfile-warm", op_sendfile_warm },
	{ "copy-warm", op_copy_warm },
	{ "random-write", op_random_write },
	{ "random-write-once", op_random_write_once },
	{ "commit", op_commit },
	{ "remove-big", op_remove_big },
	{ "settle", op_settle },
	{ "cached", op_cached },
	{ "fill", op_fill },
};

static void parse(struct task *t, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "+s:j:r:m:p:")) >= 0) {
		unsigned int value = (unsigned int)strtoul(optarg ? optarg : "", NULL, 10);

		if (opt == 's')
			t->size = value;
		else if (opt == 'j')
			t->jobs = value;
		else if (opt == 'r')
			t->round = value;
		else if (opt == 'm')
			t->least = value / 1e3;
		else if (opt == 'p' && t->n_servers < MAX_SERVERS)
			t->servers[t->n_servers++] = (pid_t)value;
		else
			exit(2);
	}
	errno = 0;
	if (argc - optind != 4)
		die("usage: ops [-s BYTES] [-j JOBS] [-r ROUND] [-m MS] [-p PID]... OPERATION DIR "
		    "COUNT "
		    "SEED");
	if (t->jobs < 1 || t->jobs > MAX_JOBS || t->size < sizeof(uint64_t) || t->size > BLOCK)
		die("%u jobs or files of %u bytes: out of range", t->jobs, t->size);
}

int main(int argc, char **argv)
{
	struct task t = { .size = PAGE, .jobs = 1, .least = 0.3 };

	parse(&t, argc, argv);
	argv += optind;
	t.count = (unsigned int)strtoul(argv[2], NULL, 10);
	/* xorshift needs a state that is not 0. */
	t.word = argv[3];
	t.seed = strtoull(argv[3], NULL, 10) * 2654435769u + 1;
	if (posix_memalign((void **)&t.buf, PAGE, BLOCK))
		die("no memory for a buffer of %u bytes", BLOCK);
	fill(t.buf, t.seed);
	if (chdir(argv[1]) < 0)
		die("%s: cannot enter", argv[1]);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		struct result r;

		if (strcmp(operations[i].name, argv[0]))
			continue;
		r = operations[i].run(&t);
		free(t.buf);
		printf("%" PRIu64 " %" PRIu64 " %.9f %.6f %.6f %.6f\n", r.ops, r.bytes,
		       t.clocks.wall, t.clocks.own, t.clocks.servers, t.clocks.machine);
		return 0;
	}
	errno = 0;
	die("operation %s is not known", argv[0]);
}
