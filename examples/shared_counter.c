/* SPDX-License-Identifier: MIT */
/*
 * shared_counter - several processes count in one live file, one of them commits.
 *
 * Each process opens and maps the file for itself; all have the same memory, so counting is an atomic
 * instruction. Nobody tells anybody what was changed: the commit finds the stores of all
 * processes. After a crash, of a process, of the daemon or of the machine, the file shows the
 * counter of the last commit.
 *
 * Build against an installed zcfs:  cc shared_counter.c -o shared_counter $(pkg-config --cflags --libs zc)
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zc/map.h>

static const char usage[] =
	"usage: shared_counter [OPTION]... FILE\n"
	"Let several processes count in the live FILE (created if missing) while this one commits "
	"it;\n"
	"print the counter after each commit: at least so much is safe.\n"
	"\n"
	"  --processes N  that count (default 4)\n"
	"  --commits N    to make (default 3)\n"
	"  --adds N       each process ends after so many (default: when all is committed)\n"
	"  --show         change nothing: print the counter\n"
	"  --help         print this text\n"
	"\n"
	"exit status: 0 done, 1 an error\n";

struct counters {
	uint64_t total;
	uint64_t stop; /* of the run that is going on */
	/* Far apart, so that a commit has more than one page to find. */
	struct {
		uint64_t adds;
		uint8_t space[8192 - 8];
	} of_process[64];
};

static int failed(const char *file)
{
	fprintf(stderr, "shared_counter: %s: %s\n", file, zc_error());
	return 1;
}

static int open_counters(const char *file, bool show, zc_file **ret_file,
			 struct counters **ret_counters)
{
	void *map = NULL;
	int r = show ? zc_open(file, ZC_RDONLY, ret_file)
		     : zc_create(file, ZC_RDWR, 0644, sizeof(struct counters), ret_file);

	if (r == 0)
		r = zc_map(*ret_file, 0, &map);
	*ret_counters = (struct counters *)map;
	return r;
}

/* One of the processes that count. A mapping is not inherited, so it has its own. */
static int count(const char *file, unsigned me, uint64_t adds)
{
	struct counters *c;
	zc_file *f = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_counters(file, false, &f, &c) < 0)
		return failed(file);
	for (uint64_t i = 0; adds ? i < adds : !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); i++) {
		__atomic_fetch_add(&c->of_process[me].adds, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&c->total, 1, __ATOMIC_RELAXED);
	}
	zc_close(f);
	return 0;
}

static int commit(const char *file, zc_file *f, struct counters *c)
{
	uint64_t at_least = __atomic_load_n(&c->total, __ATOMIC_RELAXED);

	if (zc_commit(f) < 0)
		return failed(file);
	printf("%" PRIu64 "\n", at_least);
	fflush(stdout);
	return 0;
}

static int run(const char *file, unsigned processes, unsigned long commits, uint64_t adds)
{
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	struct counters *c;
	zc_file *f = NULL;
	int status, result = 0;

	if (open_counters(file, false, &f, &c) < 0)
		return failed(file);
	__atomic_store_n(&c->stop, 0, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(count(file, i, adds));
		if (pid < 0)
			result = 1;
	}
	for (unsigned long i = 1; i < commits && result == 0; i++) {
		nanosleep(&pause, NULL);
		result = commit(file, f, c);
	}
	if (!adds)
		__atomic_store_n(&c->stop, 1, __ATOMIC_RELAXED);
	while (wait(&status) > 0)
		if (status != 0)
			result = 1;
	if (result == 0)
		result = commit(file, f, c);
	zc_close(f);
	return result;
}

static int show(const char *file)
{
	struct counters *c;
	zc_file *f = NULL;
	uint64_t sum = 0;

	if (open_counters(file, true, &f, &c) < 0)
		return failed(file);
	for (unsigned i = 0; i < 64; i++)
		sum += c->of_process[i].adds;
	printf("%" PRIu64 " %" PRIu64 "\n", c->total, sum);
	zc_close(f);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "processes", required_argument, NULL, 'p' },
		{ "commits", required_argument, NULL, 'c' },
		{ "adds", required_argument, NULL, 'a' },
		{ "show", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long processes = 4, commits = 3, adds = 0;
	bool only_show = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			processes = strtoul(optarg, NULL, 10);
		else if (option == 'c')
			commits = strtoul(optarg, NULL, 10);
		else if (option == 'a')
			adds = strtoul(optarg, NULL, 10);
		else if (option == 's')
			only_show = true;
		else if (option == 'h')
			return fputs(usage, stdout) < 0;
		else
			return fputs(usage, stderr), 2;
	}
	if (optind + 1 != argc || processes < 1 || processes > 64 || commits < 1)
		return fputs(usage, stderr), 2;
	return only_show ? show(argv[optind])
			 : run(argv[optind], (unsigned)processes, commits, adds);
}
