/* SPDX-License-Identifier: MIT */
/*
 * workload NAME SEED DIR [RECORD]: runs a workload in the new store DIR; under recorder.so with a
 * record of it. `workload --list` names them. ZC_VERBOSE: say what came of it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mix.h"
#include "record.h"

#pragma weak zc_marker
#pragma weak zc_record_start
#pragma weak zc_record_stop
#pragma weak zc_deterministic
#pragma weak zc_fault_arm

static void logged(void *arg, int level, const char *text)
{
	if (level <= STORE_LOG_ERROR)
		fprintf(stderr, "store: %s\n", text);
}

static struct store *open_store(const char *dir, const struct mix *m)
{
	const struct store_options o = { .commit_seconds = m->commit_seconds,
					 .log_bytes = LOG_BYTES,
					 .log = logged };
	struct zu_err err = { 0 };
	struct store *s;

	if (store_open(dir, &o, &s, &err) < 0) {
		fprintf(stderr, "workload: %s\n", err.text);
		exit(3);
	}
	return s;
}

static void make_store(const char *dir, const struct mix *m)
{
	const struct store_create_options create = { .mode = 0755,
						     .limit = m->limit,
						     .checksum = m->checksums };
	const struct mix quiet = { .commit_seconds = 0 };
	struct zu_err err = { 0 };
	struct store *s;

	if (store_create(dir, &create, &err) < 0) {
		fprintf(stderr, "workload: %s\n", err.text);
		exit(3);
	}
	s = open_store(dir, &quiet);
	for (unsigned t = 0; t < m->threads; t++)
		w_make_directory(s, t);
	/* The first commit makes the intent log. */
	if (store_commit(s, NULL, 0, STORE_COMMIT_ALL) < 0)
		exit(3);
	if (store_close(s) < 0)
		exit(3);
}

/* ZC_FAULT=e17: the 17th call on the store's files fails, as zc_fault_arm() says. */
static void arm(const char *dir)
{
	const char *fault = getenv("ZC_FAULT");

	if (fault && *fault && zc_fault_arm)
		zc_fault_arm(dir, strtoul(fault + 1, NULL, 10), *fault);
}

/* The inodes of files without a name are gone then. */
static void reopen(const char *dir, const struct mix *m, struct world *w)
{
	struct store_attr a;

	if (w_close(w) < 0)
		exit(3);
	w->s = open_store(dir, m);
	if (store_lookup(w->s, 1, w->dir, &a) < 0)
		exit(3);
	for (int k = 0; k < WORLD_FILES; k++) {
		struct wfile *f = &w->files[k];

		if (f->used && f->links && store_ref(w->s, f->ino, &a) < 0)
			exit(3);
		f->used = f->used && f->links;
	}
	w_compare(w);
}

static void run_single(const char *dir, const struct mix *m, struct world *w)
{
	mix_files(m, w);
	for (unsigned n = 0; n < m->ops; n++)
		if (mix_step(m, w) == OP_REOPEN)
			reopen(dir, m, w);
	w_compare(w);
}

struct thread {
	const struct mix *mix;
	struct world *world;
	pthread_t id;
};

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	for (unsigned n = 0; n < t->mix->ops; n++)
		mix_step(t->mix, t->world);
	return NULL;
}

/* Names first: a commit of one thread takes those of all. */
static void run_threads(const struct mix *m, struct world *w)
{
	struct thread threads[8];

	for (unsigned t = 0; t < m->threads; t++) {
		w[t].loose = true;
		mix_files(m, &w[t]);
	}
	for (unsigned t = 0; t < m->threads; t++) {
		w_commit(&w[t], NULL, 0, 0);
		w[t].loose = false;
	}
	for (unsigned t = 0; t < m->threads; t++) {
		threads[t] = (struct thread){ .mix = m, .world = &w[t] };
		if (pthread_create(&threads[t].id, NULL, run_thread, &threads[t]))
			exit(3);
	}
	for (unsigned t = 0; t < m->threads; t++)
		pthread_join(threads[t].id, NULL);
	for (unsigned t = 0; t < m->threads; t++) {
		int all[WORLD_FILES], n = 0;

		w_compare(&w[t]);
		for (int k = 0; k < WORLD_FILES; k++)
			if (w[t].files[k].used)
				all[n++] = k;
		w_commit(&w[t], all, (size_t)n, 0);
	}
}

int main(int argc, char **argv)
{
	const struct mix *m = argc > 1 ? mix_find(argv[1]) : NULL;
	struct world *w = calloc(8, sizeof(*w));
	uint64_t seed;
	struct store *s;

	if (argc > 1 && strcmp(argv[1], "--list") == 0) {
		mix_names();
		return 0;
	}
	if (!m || argc < 4 || !w) {
		fprintf(stderr, "usage: workload NAME SEED DIR [RECORD]; workload --list\n");
		return 2;
	}
	seed = strtoull(argv[2], NULL, 10);
	if (zc_deterministic)
		zc_deterministic(seed);
	make_store(argv[3], m);
	if (argc > 4 && zc_record_start) {
		char text[100];

		zc_record_start(argv[3], argv[4]);
		snprintf(text, sizeof(text), "W %s:%s", m->name, argv[2]);
		zc_marker(text);
	}
	s = open_store(argv[3], m);
	arm(argv[3]);
	for (unsigned t = 0; t < m->threads; t++) {
		w[t].span = m->span;
		w[t].loose = m->loose;
		w[t].may_fail = m->loose;
		w[t].alone = m->threads == 1;
		w_open(&w[t], s, t, seed);
	}
	if (m->threads > 1)
		run_threads(m, w);
	else
		run_single(argv[3], m, w);
	if (w_close(&w[0]) < 0 && !getenv("ZC_FAULT"))
		return 3;
	if (argc > 4 && zc_record_stop)
		zc_record_stop();
	if (getenv("ZC_VERBOSE"))
		fprintf(stderr, "%s:%s: %u operations, %u errors\n", m->name, argv[2], w[0].ops,
			w[0].errors);
	for (unsigned t = 0; t < m->threads; t++)
		w_free(&w[t]);
	free(w);
	return 0;
}
