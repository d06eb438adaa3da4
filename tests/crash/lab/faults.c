/* SPDX-License-Identifier: MIT */
/*
 * faults DIR WORKLOAD SEED [KINDS [N]]: under recorder.so. Runs the workload again and again, each time
 * with another call on the store's files that fails: EIO, ENOSPC, short, only that one or all
 * from there on. Afterwards the store either went on or is read-only; what is in memory can still
 * be read; opened again it is sound and at its last acknowledged commit, or the one that failed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mix.h"
#include "record.h"

#pragma weak zc_fault_arm
#pragma weak zc_fault_disarm
#pragma weak zc_deterministic

/* What one run came to: its exit status. */
enum outcome { WENT_ON, READ_ONLY, NOT_OPENED, BAD };

static const char *dir;
static uint64_t seed;

static void remove_store(void)
{
	static const char *const names[] = { "meta/data.mdb", "meta/lock.mdb", "pages", "lock",
					     "log",	      "log.new",       "format" };
	char path[600];

	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[k]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/meta", dir);
	rmdir(path);
	rmdir(dir);
}

static struct store *open_store(void)
{
	const struct store_options o = { .explicit_policy = true, .log_bytes = LOG_BYTES };
	struct zu_err err = { 0 };
	struct store *s;

	if (store_open(dir, &o, &s, &err) == 0)
		return s;
	fprintf(stderr, "%s\n", err.text);
	return NULL;
}

static void make_store(const struct mix *m)
{
	const struct store_create_options create = { .mode = 0755,
						     .limit = m->limit,
						     .checksum = m->checksums };
	struct zu_err err = { 0 };
	struct store *s;

	remove_store();
	if (store_create(dir, &create, &err) < 0 || !(s = open_store())) {
		fprintf(stderr, "faults: %s\n", err.text);
		exit(BAD);
	}
	w_make_directory(s, 0);
	if (store_close(s) < 0)
		exit(BAD);
}

static void finding(void *arg, const char *text)
{
	fprintf(stderr, "check: %s\n", text);
}

static void verify(struct world *w)
{
	const struct store_check_options check = { .finding = finding };
	struct store_check_result result = { 0 };
	struct zu_err err = { 0 };
	struct listing l;
	char what[300] = "";
	struct store *s;

	if (store_check(dir, &check, &result, &err) < 0 || result.findings) {
		fprintf(stderr, "faults: not sound: %s\n", err.text);
		exit(BAD);
	}
	s = open_store();
	if (!s || listing_of_store(s, w->dir, &l, what) < 0) {
		fprintf(stderr, "faults: cannot be read again: %s\n", what);
		exit(BAD);
	}
	if (strcmp(l.text, w->acked) != 0 && (!w->flight || strcmp(l.text, w->flight) != 0)) {
		unsigned k = 0;

		while (k < w->npossible && strcmp(l.text, w->possible[k]) != 0)
			k++;
		if (k == w->npossible) {
			fprintf(stderr,
				"faults: not a legal state\n--- acknowledged\n%s--- in "
				"flight\n%s--- opened again\n%s",
				w->acked, w->flight ? w->flight : "", l.text);
			listing_explain(s, w->dir);
			exit(BAD);
		}
	}
	if (store_close(s) < 0)
		exit(BAD);
}

static enum outcome run(const struct mix *m, unsigned long n, int kind, unsigned long *ret_calls)
{
	struct world *w = calloc(1, sizeof(*w));
	struct store_info info;
	struct store *s;

	make_store(m);
	zc_fault_arm(dir, n, kind);
	s = open_store();
	if (!s) {
		zc_fault_disarm();
		s = open_store();
		return s && store_close(s) == 0 ? NOT_OPENED : BAD;
	}
	w->span = m->span;
	w->loose = w->may_fail = true;
	w_open(w, s, 0, seed);
	mix_files(m, w);
	for (unsigned k = 0; k < m->ops; k++) {
		mix_step(m, w);
		/* Also after the error everything can be read. */
		if (k % 8 == 7)
			w_compare(w);
	}
	w_compare(w);
	store_get_info(s, &info);
	if (w->failed && (!info.failed || !info.failure[0])) {
		fprintf(stderr, "faults: a commit failed, but the store does not say why\n");
		return BAD;
	}
	w_close(w);
	*ret_calls = zc_fault_disarm();
	verify(w);
	return w->failed ? READ_ONLY : WENT_ON;
}

/* In a process of its own, as it may crash. */
static enum outcome run_apart(const struct mix *m, unsigned long n, int kind)
{
	unsigned long calls;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(200);
		_exit(run(m, n, kind, &calls));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return BAD;
	if (WIFSIGNALED(status))
		fprintf(stderr, "faults: the engine %s\n",
			WTERMSIG(status) == SIGALRM ? "hung" : "crashed");
	return WIFEXITED(status) && WEXITSTATUS(status) <= BAD ? WEXITSTATUS(status) : BAD;
}

int main(int argc, char **argv)
{
	const struct mix *m = argc > 2 ? mix_find(argv[2]) : NULL;
	const char *kinds = argc > 4 ? argv[4] : "eshES";
	unsigned long calls = 0, only = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
	unsigned bad = 0;

	if (!m || argc < 4 || !zc_fault_arm || !zc_fault_disarm || !zc_deterministic) {
		fprintf(stderr,
			"usage: LD_PRELOAD=recorder.so faults DIR WORKLOAD SEED [KINDS [N]]\n");
		return 2;
	}
	dir = argv[1];
	seed = strtoull(argv[3], NULL, 10);
	zc_deterministic(seed);
	if (run(m, 0, 'e', &calls) != WENT_ON || !calls) {
		fprintf(stderr, "faults: the run without a fault failed\n");
		return 1;
	}
	for (const char *k = kinds; *k; k++) {
		unsigned count[BAD + 1] = { 0 };

		for (unsigned long n = only ? only : 1; n <= (only ? only : calls); n++) {
			enum outcome o = run_apart(m, n, *k);

			count[o]++;
			if (o == BAD)
				printf("BAD %s seed %s kind %c call %lu\n", m->name, argv[3], *k,
				       n);
		}
		printf("%s seed %s kind %c: %lu calls failed in turn: %u went on, %u read-only, "
		       "%u not opened, %u bad\n",
		       m->name, argv[3], *k, only ? 1 : calls, count[WENT_ON], count[READ_ONLY],
		       count[NOT_OPENED], count[BAD]);
		bad += count[BAD];
	}
	remove_store();
	return bad ? 1 : 0;
}
