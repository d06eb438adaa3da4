/* SPDX-License-Identifier: MIT */
/*
 * live_threads DIR ROUNDS - threads of one process with one live file between them and one for each, while
 * another thread forks and a timer sends signals. At the end the shared file has the sum of what was
 * added, in its first word, committed; prints it.
 *
 * Per round a thread adds to the shared file, by its own mapping or by the common one, and does one of
 * the calls; with its own file it does those that would harm the sum.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zc/map.h>

enum { THREADS = 4, SIZE = 1 << 20 };

static const char *dir;
static unsigned long rounds;
static zc_file *common;
static uint64_t *common_map;
static bool forking = true;

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "live_threads: %s: %s\n", what, zc_error());
	exit(1);
}

static void add(uint64_t *map)
{
	__atomic_fetch_add(map, 1, __ATOMIC_RELAXED);
}

static void use_common(long dice)
{
	struct zc_status s;

	add(common_map);
	if (dice == 0)
		must(zc_commit(common), "commit");
	else if (dice == 1)
		must(zc_msync(common_map, 1, MS_SYNC), "msync");
	else if (dice == 2)
		must(zc_status(common, &s), "status");
	else if (dice == 3)
		must(zc_resize(common, SIZE), "resize");
}

static void another_mapping(const char *path, long dice)
{
	zc_file *f = NULL, *both[2] = { common };
	void *map = NULL;

	must(zc_open(path, ZC_RDWR, &f), "open");
	must(zc_map(f, 0, &map), "map");
	add(map);
	both[1] = f;
	if (dice == 0)
		must(zc_commit_many(both, 2), "commit_many");
	else if (dice == 1)
		must(zc_msync(map, SIZE, MS_SYNC), "msync");
	zc_close(f);
}

/* A file that nobody else has: what was committed is there after a rollback. */
static void use_own(zc_file *f, uint64_t *map, uint64_t round)
{
	zc_file *both[2] = { f, common };

	must(zc_resize(f, SIZE), "resize");
	map[1] = map[1000] = round;
	must(zc_commit_many(both, 2), "commit_many");
	map[1] = map[1000] = 0;
	must(zc_resize(f, 4096), "resize");
	must(zc_rollback(f), "rollback");
	if (map[1] != round || map[1000] != round) {
		fprintf(stderr, "live_threads: after a rollback %" PRIu64 " %" PRIu64 "\n", map[1],
			map[1000]);
		exit(1);
	}
}

static void *work(void *number)
{
	unsigned short seed[3] = { (unsigned short)(uintptr_t)number, 5, 9 };
	char path[4096], own[4096];
	zc_file *f = NULL;
	void *map = NULL;

	snprintf(path, sizeof(path), "%s/common", dir);
	snprintf(own, sizeof(own), "%s/own%d", dir, (int)(uintptr_t)number);
	must(zc_create(own, ZC_RDWR, 0600, SIZE, &f), "create");
	must(zc_map(f, 0, &map), "map");
	for (unsigned long i = 1; i <= rounds; i++) {
		long dice = nrand48(seed) % 6;

		if (i % 3 == 0)
			another_mapping(path, dice);
		else
			use_common(dice);
		if (i % 4 == 0)
			use_own(f, map, i);
	}
	zc_close(f);
	return NULL;
}

/* Children that live on for a moment, and have nothing of their parent's. */
static void *fork_children(void *unused)
{
	while (__atomic_load_n(&forking, __ATOMIC_SEQ_CST)) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			alarm(60);
			usleep(2000);
			_exit(zc_fd(common) < 0 ? 0 : 1);
		}
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (pid < 0 || status != 0) {
			fprintf(stderr, "live_threads: a child has status %#x\n", status);
			exit(1);
		}
	}
	return unused;
}

static void on_signal(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct sigaction action = { .sa_handler = on_signal }; /* calls are not restarted */
	char path[4096];
	pthread_t thread[THREADS], forker;
	void *map = NULL;

	if (argc != 3)
		return 2;
	dir = argv[1];
	rounds = strtoul(argv[2], NULL, 10);
	snprintf(path, sizeof(path), "%s/common", dir);
	must(zc_create(path, ZC_RDWR, 0600, SIZE, &common), "create");
	must(zc_map(common, 0, &map), "map");
	common_map = map;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	pthread_create(&forker, NULL, fork_children, NULL);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, work, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	__atomic_store_n(&forking, false, __ATOMIC_SEQ_CST);
	pthread_join(forker, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	must(zc_commit(common), "commit");
	printf("%" PRIu64 "\n", *common_map);
	zc_close(common);
	return 0;
}
