/* SPDX-License-Identifier: MIT */
/*
 * live_churn FILE PROCESSES ROUNDS - processes come and go: each maps the file, adds to words all over it,
 * sometimes commits, and closes it, again and again, so that it becomes live and paged all the time.
 * Prints how much was added in all: the sum of the words must be that.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zc/map.h>

enum { SIZE = 4 << 20, WORDS = SIZE / 8, ADDS = 200 };

static int failed(const char *what)
{
	fprintf(stderr, "live_churn: %s: %s\n", what, zc_error());
	return 1;
}

static int one_round(const char *path, unsigned short *seed)
{
	zc_file *f = NULL;
	void *map = NULL;
	long dice;
	int r = 0;

	if (zc_open(path, ZC_RDWR, &f) < 0)
		return failed("open");
	if (zc_map(f, 0, &map) < 0)
		return failed("map");
	for (int i = 0; i < ADDS; i++)
		__atomic_fetch_add((uint64_t *)map + nrand48(seed) % WORDS, 1, __ATOMIC_RELAXED);
	dice = nrand48(seed) % 4;
	if (dice == 0 && zc_commit(f) < 0)
		r = failed("commit");
	/* One of many ends without a word. */
	if (dice == 1 && nrand48(seed) % 4 == 0) {
		pid_t pid = fork();

		if (pid == 0) {
			zc_file *own = NULL;

			if (zc_open(path, ZC_RDWR, &own) < 0 || zc_map(own, 0, &map) < 0)
				_exit(failed("open in a child"));
			__atomic_fetch_add((uint64_t *)map + nrand48(seed) % WORDS, ADDS,
					   __ATOMIC_RELAXED);
			_exit(42);
		}
		int status = 0;

		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 42)
			r = 1;
		else
			r = -1; /* one round more was done */
	}
	zc_close(f);
	return r;
}

static int process(const char *path, unsigned me, unsigned long rounds, int report)
{
	unsigned short seed[3] = { (unsigned short)me, 7, 3 };
	uint64_t added = 0;

	for (unsigned long i = 0; i < rounds; i++) {
		int r = one_round(path, seed);

		if (r > 0)
			return 1;
		added += r < 0 ? 2 * ADDS : ADDS;
		if (nrand48(seed) % 3 == 0)
			usleep((unsigned)(nrand48(seed) % 3000));
	}
	return write(report, &added, sizeof(added)) != sizeof(added);
}

int main(int argc, char **argv)
{
	zc_file *f = NULL;
	uint64_t all = 0, added;
	int report[2], status, result = 0;

	if (argc != 4 || pipe(report) < 0)
		return 2;
	if (zc_create(argv[1], ZC_RDWR, 0644, SIZE, &f) < 0)
		return failed("create");
	zc_close(f);
	for (unsigned i = 0; i < strtoul(argv[2], NULL, 10); i++)
		if (fork() == 0)
			_exit(process(argv[1], i, strtoul(argv[3], NULL, 10), report[1]));
	close(report[1]);
	while (wait(&status) > 0)
		if (status != 0)
			result = 1;
	while (read(report[0], &added, sizeof(added)) == sizeof(added))
		all += added;
	printf("%" PRIu64 "\n", all);
	return result;
}
