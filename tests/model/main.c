/* SPDX-License-Identifier: MIT */
/* model DIR -s SEED -n OPS [-e EVERY] [--remount CMD] [--allow-no-mmap] [-v] */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

struct world W;

static const struct {
	const char *name;
	void (*run)(void);
	unsigned weight;
} table[] = {
	{ "create", op_create, 70 },
	{ "open", op_open, 70 },
	{ "close", op_close, 30 },
	{ "tmpfile", op_tmpfile, 8 },
	{ "link-tmpfile", op_link_tmpfile, 10 },
	{ "pread", op_read, 130 },
	{ "pwrite", op_pwrite, 130 },
	{ "append", op_append, 50 },
	{ "direct", op_direct, 15 },
	{ "map-store", op_map_store, 50 },
	{ "map-load", op_map_load, 40 },
	{ "truncate", op_truncate, 60 },
	{ "fallocate", op_fallocate, 35 },
	{ "copy-range", op_copy_range, 30 },
	{ "seek", op_seek, 20 },
	{ "fsync", op_fsync, 10 },
	{ "rename", op_rename, 60 },
	{ "link", op_link, 30 },
	{ "symlink", op_symlink, 10 },
	{ "unlink", op_unlink, 60 },
	{ "mkdir", op_mkdir, 15 },
	{ "rmdir", op_rmdir, 12 },
	{ "chmod", op_chmod, 20 },
	{ "chown", op_chown, 20 },
	{ "utimens", op_utimens, 25 },
	{ "setxattr", op_setxattr, 30 },
	{ "removexattr", op_removexattr, 12 },
	{ "listxattr", op_listxattr, 10 },
	{ "readdir", op_readdir, 20 },
	{ "stat", op_stat, 60 },
};

enum { NOPS = sizeof(table) / sizeof(table[0]), COMPARE_EVERY = 250 };

/* Draws until an operation found something to work on: only what was done counts. */
static void one_op(void)
{
	uint64_t before = W.noted;
	unsigned total = 0;

	for (unsigned k = 0; k < NOPS; k++)
		total += table[k].weight;
	while (W.noted == before) {
		unsigned r = below(total), i = 0;

		for (; r >= table[i].weight; i++)
			r -= table[i].weight;
		table[i].run();
		W.counted[i] += W.noted != before;
	}
}

static void usage(void)
{
	fprintf(stderr,
		"usage: model DIR -s SEED -n OPS [-e EVERY] [--remount CMD] [--allow-no-mmap] "
		"[-v]\n"
		"  DIR must be empty; EVERY: operations between remounts (2000); -v: print each\n");
	exit(2);
}

static uint64_t parse_args(int argc, char **argv)
{
	static const struct option longs[] = { { "remount", required_argument, NULL, 'r' },
					       { "allow-no-mmap", no_argument, NULL, 'm' },
					       { NULL, 0, NULL, 0 } };
	uint64_t every = 2000;
	int c;

	W.argv = argv;
	while ((c = getopt_long(argc, argv, "s:n:e:v", longs, NULL)) != -1) {
		if (c == 's')
			W.seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			W.ops = strtoull(optarg, NULL, 0);
		else if (c == 'e')
			every = strtoull(optarg, NULL, 0);
		else if (c == 'r')
			W.remount = optarg;
		else if (c == 'v')
			W.trace = true;
		else if (c == 'm')
			W.allow_no_mmap = true;
		else
			usage();
	}
	if (optind != argc - 1 || !W.ops || !every)
		usage();
	W.dir = argv[optind];
	return every;
}

static void start(void)
{
	struct stat st;

	umask(0);
	W.root = geteuid() == 0;
	rng_seed(W.seed);
	if (stat(W.dir, &st)) {
		fprintf(stderr, "model: %s: %s\n", W.dir, strerror(errno));
		exit(2);
	}
	W.top = node_new(st.st_mode);
	W.top->uid = st.st_uid;
	W.top->gid = st.st_gid;
	check_listing(W.top, false);
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	uint64_t every;

	/* getopt reorders its vector: the replay line wants it as it was given. */
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	if (!copy)
		abort();
	memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	every = parse_args(argc, argv);
	W.argv = copy;
	start();
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (W.op = 1; W.op <= W.ops; W.op++) {
		one_op();
		if (W.op % COMPARE_EVERY && W.op % every && W.op != W.ops)
			continue;
		note("compare everything");
		check_tree();
		if (W.op % every && W.op != W.ops)
			continue;
		remount();
		check_tree();
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;

	printf("model: seed %llu: %llu operations in %.1f s, %.0f/s, all as the reference\n ",
	       (unsigned long long)W.seed, (unsigned long long)W.ops, s, (double)W.ops / s);
	for (unsigned i = 0; i < NOPS; i++)
		printf(" %s=%llu", table[i].name, (unsigned long long)W.counted[i]);
	printf("\n");
	if (W.no_mmap)
		printf("  shared mappings refused with ENODEV: %llu\n",
		       (unsigned long long)W.no_mmap);
	free(copy);
	return 0;
}
