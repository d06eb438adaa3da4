/* SPDX-License-Identifier: MIT */
/*
 * replay [--jobs N] [--random N] [--limit N] [--tmp DIR] RECORD...
 *	builds the disk images that a power cut may leave during the recorded runs and checks each
 * replay --id WORKLOAD:SEED:CUT:VARIANT [--keep DIR] RECORD
 *	builds that image again, says what is wrong with it, and keeps it in DIR
 *
 * A cut is 2 * the number of an event, when the event may be on the disk, or that + 1, when it
 * is (a durable write is complete). A variant is one choice of what of the unsynced writes is
 * there; the choices of a cut are a function of its number and the workload's seed alone.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "legal.h"
#include "variant.h"

#define SEEN_SIZE (1u << 20)
#define RECOVER_EVERY 24u
#define SECONDS_PER_IMAGE 200

/* What a worker tells its parent, in shared memory. */
struct progress {
	uint64_t cut, variant, images, distinct, checked, recovered;
	char name[64], bad[200];
};

struct options {
	unsigned jobs, random;
	uint64_t limit;
	const char *tmp, *keep, *id;
};

struct run {
	const struct options *o;
	const struct log *log;
	struct image *image;
	struct legal legal;
	struct progress *progress;
	uint64_t *seen, *checked; /* hash sets: images, images with what was legal */
	uint64_t want_cut, want_variant;
	bool found;
	char scratch[420];
};

static bool add_to(uint64_t *set, uint64_t h)
{
	size_t at = h % SEEN_SIZE;

	h |= 1;
	for (size_t k = 0; k < SEEN_SIZE; k++, at = (at + 1) % SEEN_SIZE) {
		if (set[at] == h)
			return false;
		if (!set[at]) {
			set[at] = h;
			return true;
		}
	}
	fprintf(stderr, "replay: too many images of one record\n");
	exit(2);
}

static void report(struct run *r, const char *why)
{
	printf("BAD %s:%llu:%llu: %s\n", r->log->name, (unsigned long long)r->progress->cut,
	       (unsigned long long)r->progress->variant, why);
	fflush(stdout);
	snprintf(r->progress->bad, sizeof(r->progress->bad), "%.150s", why);
}

/* Returns true to stop. */
static bool test_image(struct run *r)
{
	struct image *i = r->image;
	char why[1000] = "";
	uint64_t key = i->hash * 31 + r->legal.number * 0x9e3779b97f4a7c15ull;
	int bad;

	r->progress->images++;
	if (r->o->id) {
		if (r->progress->variant != r->want_variant)
			return false;
		r->found = true;
		if (r->o->keep)
			image_copy(i, r->o->keep);
		bad = legal_check(&r->legal, i->dir, why, true);
		printf("%s %s\n", r->o->id, bad ? why : "is good");
		if (bad)
			report(r, why);
		return true;
	}
	if (!add_to(r->checked, key ^ key >> 29))
		return false;
	r->progress->distinct += add_to(r->seen, i->hash);
	r->progress->checked++;
	alarm(SECONDS_PER_IMAGE);
	bad = legal_check(&r->legal, i->dir, why, false);
	if (!bad && r->progress->checked % RECOVER_EVERY == 0) {
		r->progress->recovered++;
		image_copy(i, r->scratch);
		bad = legal_recover(&r->legal, r->scratch, why);
	}
	alarm(0);
	if (bad)
		report(r, why);
	return bad || (r->o->limit && r->progress->distinct >= r->o->limit);
}

static bool test_cut(struct run *r, uint64_t cut)
{
	struct variants v;
	bool stop = false;

	r->progress->cut = cut;
	if (r->o->id && cut != r->want_cut)
		return false;
	variants_begin(&v, r->image, cut, r->o->random);
	for (r->progress->variant = 0; !stop && variants_next(&v); r->progress->variant++) {
		stop = test_image(r);
		image_undo(r->image);
	}
	image_undo(r->image);
	return stop;
}

static bool is_disk(enum rec_type t)
{
	return t == REC_WRITE || t == REC_SIZE || t == REC_PUNCH || t == REC_SYNC_END;
}

/* The markers from `n` to the next event of the disk. */
static void hear(struct run *r, size_t n)
{
	for (; n < r->log->nevents && !is_disk(r->log->events[n].type); n++)
		if (r->log->events[n].type == REC_MARKER)
			legal_marker(&r->legal, &r->log->events[n]);
	legal_look_ahead(&r->legal, r->log, n);
}

static void run_all(struct run *r)
{
	const struct log *l = r->log;
	bool stop = false;

	hear(r, 0);
	for (size_t n = 0; n < l->nevents && !stop; n++) {
		const struct event *e = &l->events[n];

		if (!is_disk(e->type))
			continue;
		image_event(r->image, n);
		if (e->flags & REC_FLAG_DURABLE) {
			stop = test_cut(r, 2 * n);
			image_settle(r->image, n);
		}
		/* All that was said before the disk changes again. */
		hear(r, n + 1);
		if (!stop)
			stop = test_cut(r, 2 * n + 1);
	}
}

static void remove_tree(const char *dir)
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

static void one_record(const struct options *o, const char *path, struct progress *p)
{
	struct run *r = calloc(1, sizeof(*r));
	char dir[400];

	snprintf(dir, sizeof(dir), "%s/image.%d", o->tmp, (int)getpid());
	snprintf(r->scratch, sizeof(r->scratch), "%s.rw", dir);
	r->o = o;
	r->progress = p;
	r->log = log_load(path);
	memcpy(p->name, r->log->name, sizeof(p->name));
	r->seen = calloc(SEEN_SIZE, 8);
	r->checked = calloc(SEEN_SIZE, 8);
	if (o->id) {
		size_t len = strlen(r->log->name);

		if (strncmp(o->id, r->log->name, len) != 0 ||
		    sscanf(o->id + len, ":%llu:%llu", (unsigned long long *)&r->want_cut,
			   (unsigned long long *)&r->want_variant) != 2) {
			fprintf(stderr, "replay: %s is no image of the record %s (%s)\n", o->id,
				path, r->log->name);
			exit(2);
		}
	}
	r->image = image_new(r->log, dir);
	run_all(r);
	image_free(r->image);
	remove_tree(dir);
	remove_tree(r->scratch);
	if (o->id && !r->found) {
		fprintf(stderr, "replay: no such image: %s\n", o->id);
		exit(2);
	}
	if (!o->id)
		printf("%-14s %6zu events %8llu images, %8llu distinct, %7llu checks, %5llu "
		       "recovered%s\n",
		       r->log->name, r->log->nevents, (unsigned long long)p->images,
		       (unsigned long long)p->distinct, (unsigned long long)p->checked,
		       (unsigned long long)p->recovered, p->bad[0] ? ", then BAD" : "");
	exit(p->bad[0] ? 1 : 0);
}

struct job {
	pid_t pid;
	const char *path;
	struct progress *progress;
};

static void collect(struct job *jobs, unsigned njobs, struct progress *total, int *result)
{
	int status;
	pid_t pid = wait(&status);

	for (unsigned k = 0; k < njobs; k++) {
		struct progress *p = jobs[k].progress;

		if (jobs[k].pid != pid)
			continue;
		jobs[k].pid = 0;
		if (WIFSIGNALED(status)) {
			printf("BAD %s:%llu:%llu: the engine %s (signal %d)\n",
			       p->name[0] ? p->name : jobs[k].path, (unsigned long long)p->cut,
			       (unsigned long long)p->variant,
			       WTERMSIG(status) == SIGALRM ? "hung" : "crashed", WTERMSIG(status));
			*result = *result > 1 ? *result : 1;
		} else if (WEXITSTATUS(status) > *result) {
			*result = WEXITSTATUS(status);
		}
		total->images += p->images;
		total->distinct += p->distinct;
		total->checked += p->checked;
		total->recovered += p->recovered;
	}
}

static int run_jobs(const struct options *o, char **paths, int n)
{
	struct progress *shared = mmap(NULL, o->jobs * sizeof(*shared), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct job *jobs = calloc(o->jobs, sizeof(*jobs));
	struct progress total = { 0 };
	struct timespec from, to;
	unsigned running = 0;
	int result = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int at = 0; at < n || running;) {
		unsigned k = 0;

		if (at == n || running == o->jobs) {
			collect(jobs, o->jobs, &total, &result);
			running--;
			continue;
		}
		while (jobs[k].pid)
			k++;
		memset(&shared[k], 0, sizeof(*shared));
		jobs[k] = (struct job){ 0, paths[at], &shared[k] };
		fflush(stdout);
		jobs[k].pid = fork();
		if (jobs[k].pid == 0)
			one_record(o, paths[at], &shared[k]);
		at++;
		running++;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (!o->id)
		printf("total: %llu images, %llu distinct, %llu checks, %llu recovered, %ld s%s\n",
		       (unsigned long long)total.images, (unsigned long long)total.distinct,
		       (unsigned long long)total.checked, (unsigned long long)total.recovered,
		       (long)(to.tv_sec - from.tv_sec), result ? ": BAD" : ": none bad");
	return result;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "jobs", 1, NULL, 'j' }, { "random", 1, NULL, 'r' }, { "limit", 1, NULL, 'l' },
		{ "tmp", 1, NULL, 't' },  { "keep", 1, NULL, 'k' },   { "id", 1, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .jobs = 1, .random = 16, .tmp = "/tmp" };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.jobs = (unsigned)atoi(optarg);
			break;
		case 'r':
			o.random = (unsigned)atoi(optarg);
			break;
		case 'l':
			o.limit = strtoull(optarg, NULL, 10);
			break;
		case 't':
			o.tmp = optarg;
			break;
		case 'k':
			o.keep = optarg;
			break;
		case 'i':
			o.id = optarg;
			break;
		default:
			return 2;
		}
	}
	if (optind == argc || !o.jobs || (o.id && argc - optind > 1)) {
		fprintf(stderr, "usage: replay [--jobs N] [--random N] [--limit N] [--tmp DIR] "
				"RECORD...; replay --id ID [--keep DIR] RECORD\n");
		return 2;
	}
	return run_jobs(&o, argv + optind, argc - optind);
}
