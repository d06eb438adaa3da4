// SPDX-License-Identifier: MIT
/*
 * The measured operations, one per run, so that the cost of the script that drives them is not in
 * the figures.
 *
 *   ops OPERATION DIR COUNT SEED
 *
 * COUNT is files, MiB, commits or writes, as the operation says. The answer is one line on stdout:
 * operations, bytes and seconds. Only what lies between two readings of the monotonic clock is
 * measured: making buffers, warming caches and entering the directory are not. Operations called
 * warm repeat until MIN_SECONDS have passed, since one pass may take less than a scheduler's tick.
 *
 * Every page written begins with its page number, and every page read is checked for it: a
 * filesystem that returns the wrong bytes fails instead of being fast.
 */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIN_SECONDS 0.2
#define FILES_DIR "files"

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

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
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

void check_stamp(const unsigned char *buf, uint64_t page, const char *name)
{
	uint64_t found;

	memcpy(&found, buf, sizeof(found));
	errno = 0;
	if (found != page)
		die("%s: page %" PRIu64 " begins with %" PRIu64 ": wrong bytes", name, page, found);
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

unsigned int repeat(struct task *t, pass_fn *pass, int fd, double *ret_seconds)
{
	unsigned int passes = 0;
	double start, end;

	pass(t, fd);
	start = now();
	do {
		pass(t, fd);
		passes++;
		end = now();
	} while (end - start < MIN_SECONDS);
	*ret_seconds = end - start;
	return passes;
}

double once(struct task *t, pass_fn *pass, int fd)
{
	double start = now();

	pass(t, fd);
	return now() - start;
}

/* Small files: COUNT files of one page each. */

static void enter_files(void)
{
	if (chdir(FILES_DIR) < 0)
		die("%s: cannot enter", FILES_DIR);
}

static void file_name(char name[16], unsigned int i)
{
	snprintf(name, 16, "f%07u", i);
}

static void create_pass(struct task *t, int fd)
{
	char name[16];

	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL);
		stamp(t->buf, i);
		write_at(fd, name, t->buf, PAGE, 0);
		close_file(fd, name);
	}
}

static void stat_pass(struct task *t, int fd)
{
	char name[16];
	struct stat st;

	(void)fd;
	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		if (stat(name, &st) < 0)
			die("%s: cannot stat", name);
		errno = 0;
		if (st.st_size != PAGE)
			die("%s: size is %lld, not %u", name, (long long)st.st_size, PAGE);
	}
}

static void read_pass(struct task *t, int fd)
{
	char name[16];

	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		fd = open_file(name, O_RDONLY);
		read_at(fd, name, t->buf, PAGE, 0);
		check_stamp(t->buf, i, name);
		close_file(fd, name);
	}
}

static void list_pass(struct task *t, int fd)
{
	DIR *dir = opendir(".");
	unsigned int found = 0;

	(void)fd;
	if (!dir)
		die("%s: cannot list", FILES_DIR);
	errno = 0;
	for (struct dirent *de; (de = readdir(dir));)
		found += de->d_name[0] == 'f';
	if (found != t->count)
		die("%s: %u entries listed, not %u", FILES_DIR, found, t->count);
	closedir(dir);
}

static void unlink_pass(struct task *t, int fd)
{
	char name[16];

	(void)fd;
	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		if (unlink(name) < 0)
			die("%s: cannot unlink", name);
	}
}

static struct result files_once(struct task *t, pass_fn *pass)
{
	enter_files();
	return (struct result){ .ops = t->count, .seconds = once(t, pass, -1) };
}

static struct result files_warm(struct task *t, pass_fn *pass)
{
	struct result r = { 0 };

	enter_files();
	r.ops = (uint64_t)t->count * repeat(t, pass, -1, &r.seconds);
	return r;
}

static struct result op_create(struct task *t)
{
	if (mkdir(FILES_DIR, 0755) < 0)
		die("%s: cannot make the directory", FILES_DIR);
	return files_once(t, create_pass);
}

static struct result op_stat_warm(struct task *t)
{
	return files_warm(t, stat_pass);
}

static struct result op_stat_once(struct task *t)
{
	return files_once(t, stat_pass);
}

static struct result op_read_warm(struct task *t)
{
	return files_warm(t, read_pass);
}

static struct result op_read_once(struct task *t)
{
	return files_once(t, read_pass);
}

static struct result op_list_once(struct task *t)
{
	return files_once(t, list_pass);
}

static struct result op_unlink(struct task *t)
{
	struct result r = files_once(t, unlink_pass);

	if (chdir("..") < 0 || rmdir(FILES_DIR) < 0)
		die("%s: cannot remove the directory", FILES_DIR);
	return r;
}

/* Not measured: leaves nothing dirty behind for the next system's turn to pay. */
static struct result op_settle(struct task *t)
{
	int fd = open_file(".", O_RDONLY | O_DIRECTORY);

	(void)t;
	if (syncfs(fd) < 0)
		die("cannot sync the filesystem");
	/* A FUSE server hears nothing of syncfs: the fsync tells it. */
	if (fsync(fd) < 0 && errno != ENOSYS && errno != EINVAL)
		die("cannot sync the directory");
	close(fd);
	return (struct result){ .ops = 1 };
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
	{ "seq-write", op_seq_write },
	{ "seq-read-once", op_seq_read_once },
	{ "seq-read-warm", op_seq_read_warm },
	{ "sendfile-warm", op_sendfile_warm },
	{ "commit", op_commit },
	{ "random-write", op_random_write },
	{ "remove-big", op_remove_big },
	{ "settle", op_settle },
};

int main(int argc, char **argv)
{
	struct task t = { 0 };

	errno = 0;
	if (argc != 5)
		die("usage: ops OPERATION DIR COUNT SEED");
	t.count = (unsigned int)strtoul(argv[3], NULL, 10);
	/* xorshift needs a state that is not 0. */
	t.seed = strtoull(argv[4], NULL, 10) * 2654435769u + 1;
	if (posix_memalign((void **)&t.buf, PAGE, BLOCK))
		die("no memory for a buffer of %u bytes", BLOCK);
	fill(t.buf, t.seed);
	if (chdir(argv[2]) < 0)
		die("%s: cannot enter", argv[2]);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		struct result r;

		if (strcmp(operations[i].name, argv[1]))
			continue;
		r = operations[i].run(&t);
		free(t.buf);
		printf("%" PRIu64 " %" PRIu64 " %.9f\n", r.ops, r.bytes, r.seconds);
		return 0;
	}
	errno = 0;
	die("operation %s is not known", argv[1]);
}
