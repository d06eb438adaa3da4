/* SPDX-License-Identifier: MIT */
/*
 * mmap_commit - change a mapped file in steps that happen whole or not at all.
 *
 * Plain POSIX. Every 64-bit word of the file holds the same version number. A step stores the
 * next number into all of them through a shared mapping, then msync(MS_SYNC) of the whole mapping
 * makes it the file's content. On zcfs that msync is an atomic commit: a crash in the middle of the
 * stores leaves the version before, never a mixture. On other filesystems it may be a mixture.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE = 1 << 20, WORDS = FILE_SIZE / sizeof(uint64_t) };

static const char usage[] =
	"usage: mmap_commit [OPTION]... FILE\n"
	"Store the next version number into every word of the mapped FILE (1 MiB, created if\n"
	"missing) and commit it with msync(MS_SYNC); print each committed version.\n"
	"\n"
	"  --commits N             make N commits (default 1)\n"
	"  --show                  change nothing: print the version that FILE shows\n"
	"  --stop-before-commit N  before the Nth commit store only half of the words, then stop\n"
	"                          (SIGSTOP), so that a crash can be tried; goes on when "
	"continued\n"
	"  --help                  print this text\n"
	"\n"
	"exit status: 0 done, 1 an error, 3 FILE shows a mixture of versions\n";

static int failed(const char *file, const char *what)
{
	fprintf(stderr, "mmap_commit: %s: %s: %s\n", file, what, strerror(errno));
	return 1;
}

/* The version that all words show, or -1: a mixture. */
static int64_t version_of(const volatile uint64_t *words)
{
	for (size_t i = 1; i < WORDS; i++)
		if (words[i] != words[0])
			return -1;
	return (int64_t)words[0];
}

static int commit_next(const char *file, volatile uint64_t *words, bool stop)
{
	uint64_t version = words[0] + 1;

	for (size_t i = 0; i < WORDS; i++) {
		if (stop && i == WORDS / 2) {
			fprintf(stderr, "mmap_commit: half of version %" PRIu64 " is stored\n",
				version);
			raise(SIGSTOP);
		}
		words[i] = version;
	}
	/* The commit. Success means: durable, and all words at once. */
	if (msync((void *)words, FILE_SIZE, MS_SYNC) < 0)
		return failed(file, "msync");
	printf("%" PRIu64 "\n", version);
	fflush(stdout);
	return 0;
}

static int run(const char *file, unsigned long commits, unsigned long stop_at, bool show)
{
	struct stat st;
	int fd = open(file, show ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return failed(file, "open");
	if (fstat(fd, &st) < 0)
		return failed(file, "fstat");
	if (show && st.st_size == 0)
		return puts("0") < 0; /* created, but nothing was ever committed */
	if (st.st_size != FILE_SIZE) {
		if (show || st.st_size != 0) {
			fprintf(stderr, "mmap_commit: %s: %jd bytes, not %d; not one of my files\n",
				file, (intmax_t)st.st_size, FILE_SIZE);
			return 1;
		}
		if (ftruncate(fd, FILE_SIZE) < 0)
			return failed(file, "ftruncate");
	}

	uint64_t *words =
		mmap(NULL, FILE_SIZE, show ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED)
		return failed(file, "mmap");
	close(fd); /* the mapping is enough */

	int64_t version = version_of(words);
	if (version < 0) {
		fprintf(stderr, "mmap_commit: %s: a mixture of versions\n", file);
		return 3;
	}
	if (show)
		return printf("%" PRId64 "\n", version) < 0;
	for (unsigned long n = 1; n <= commits; n++) {
		int result = commit_next(file, words, n == stop_at);

		if (result)
			return result;
	}
	return munmap(words, FILE_SIZE) < 0 ? failed(file, "munmap") : 0;
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "mmap_commit: %s: not a number\n", text);
		exit(1);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "commits", required_argument, NULL, 'n' },
		{ "stop-before-commit", required_argument, NULL, 'b' },
		{ "show", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned long commits = 1, stop_at = 0;
	bool show = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			commits = number(optarg);
			break;
		case 'b':
			stop_at = number(optarg);
			break;
		case 's':
			show = true;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			fputs("mmap_commit: see --help\n", stderr);
			return 1;
		}
	}
	if (optind + 1 != argc) {
		fputs(usage, stderr);
		return 1;
	}
	if (stop_at > commits)
		commits = stop_at;
	return run(argv[optind], commits, stop_at, show);
}
