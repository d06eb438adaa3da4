/* SPDX-License-Identifier: MIT */
/*
 * concurrency run DIR SECONDS: 64 threads sync files, rename new files over old ones while they
 * are open and dirty, and read what is not cached, all at once. Every call must come back: 240
 * seconds after the start all threads have ended, or the ones that hang are named.
 * concurrency verify DIR: each file holds the last version whole (after an unmount and a mount).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "crashlib.h"

enum { THREADS = 64, COLD = 8, COLD_SIZE = 1 << 20, LIMIT = 240 };

struct worker {
	pthread_t thread;
	int id;
	uint64_t seed;
	uint32_t version;
	const char *_Atomic doing;
	_Atomic double since;
	double longest;
	const char *longest_what;
	_Atomic bool ended;
	unsigned long rounds;
};

static const char *dir;
static struct worker workers[THREADS];
static _Atomic bool stop, failed;

static void enter(struct worker *w, const char *what)
{
	atomic_store(&w->since, now());
	atomic_store(&w->doing, what);
}

static void leave(struct worker *w)
{
	double t = now() - atomic_load(&w->since);

	if (t > w->longest) {
		w->longest = t;
		w->longest_what = atomic_load(&w->doing);
	}
	atomic_store(&w->doing, "between calls");
}

static int bad(struct worker *w, const char *what, int rc)
{
	fprintf(stderr, "thread %d: %s: %s\n", w->id, what, strerror(-rc));
	atomic_store(&failed, true);
	return -1;
}

static void names(int id, char name[64], char tmp[64])
{
	snprintf(name, 64, "file%d", id);
	snprintf(tmp, 64, "file%d.new", id);
}

static int do_fsync(struct worker *w)
{
	char name[64], tmp[64];
	int fd, rc;

	names(w->id, name, tmp);
	fd = open_at(dir, name, O_RDWR | O_CREAT);
	if (fd < 0)
		return bad(w, name, fd);
	w->version++;
	enter(w, "write");
	rc = content_write(fd, (uint32_t)w->id, w->version,
			   content_size((uint32_t)w->id, w->version));
	if (!rc)
		rc = ftruncate(fd, content_size((uint32_t)w->id, w->version)) ? -errno : 0;
	leave(w);
	enter(w, "fsync");
	if (!rc)
		rc = fsync(fd) ? -errno : 0;
	leave(w);
	if (!rc)
		rc = content_check(fd, name, (uint32_t)w->id,
				   content_of((uint32_t)w->id, w->version));
	close(fd);
	return rc ? bad(w, "write, fsync, read", rc) : 0;
}

static int do_rename(struct worker *w)
{
	char name[64], tmp[64], from[4096], to[4096];
	int fd, rc;

	names(w->id, name, tmp);
	snprintf(from, sizeof(from), "%s/%s", dir, tmp);
	snprintf(to, sizeof(to), "%s/%s", dir, name);
	fd = open_at(dir, tmp, O_RDWR | O_CREAT | O_TRUNC);
	if (fd < 0)
		return bad(w, tmp, fd);
	w->version++;
	rc = content_write(fd, (uint32_t)w->id, w->version,
			   content_size((uint32_t)w->id, w->version));
	enter(w, "rename");
	if (!rc)
		rc = rename(from, to) ? -errno : 0;
	leave(w);
	enter(w, "close");
	close(fd);
	leave(w);
	fd = open_at(dir, name, O_RDONLY);
	if (!rc)
		rc = fd < 0 ? fd
			    : content_check(fd, name, (uint32_t)w->id,
					    content_of((uint32_t)w->id, w->version));
	if (fd >= 0)
		close(fd);
	return rc ? bad(w, "write, rename, read", rc) : 0;
}

static int do_cold_read(struct worker *w)
{
	struct content want = { .version = 1, .data = COLD_SIZE, .size = COLD_SIZE };
	uint32_t file = 1000 + (uint32_t)(rng_next(&w->seed) % COLD);
	char name[64];
	int fd, rc;

	snprintf(name, sizeof(name), "cold%u", file);
	fd = open_at(dir, name, O_RDONLY);
	if (fd < 0)
		return bad(w, name, fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	enter(w, "cold read");
	rc = content_check(fd, name, file, want);
	leave(w);
	close(fd);
	return rc ? bad(w, "cold read", rc) : 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int (*const todo[])(struct worker *) = { do_fsync, do_rename, do_cold_read };

	while (!atomic_load(&stop) && !todo[w->id % 3](w))
		w->rounds++;
	atomic_store(&w->ended, true);
	return NULL;
}

static void make_cold(void)
{
	for (uint32_t file = 1000; file < 1000 + COLD; file++) {
		char name[64];
		int fd, rc;

		snprintf(name, sizeof(name), "cold%u", file);
		fd = open_at(dir, name, O_RDWR | O_CREAT);
		rc = fd < 0 ? fd : content_write(fd, file, 1, COLD_SIZE);
		if (rc || fsync(fd))
			die("%s: %s", name, strerror(rc ? -rc : errno));
		close(fd);
	}
}

static void wait_for_all(double end)
{
	int left = THREADS;

	while (left && now() < end) {
		left = 0;
		for (int i = 0; i < THREADS; i++)
			left += !atomic_load(&workers[i].ended);
		usleep(20000);
	}
	if (!left)
		return;
	for (int i = 0; i < THREADS; i++)
		if (!atomic_load(&workers[i].ended))
			fprintf(stderr, "thread %d: in \"%s\" for %.1f s\n", i,
				atomic_load(&workers[i].doing),
				now() - atomic_load(&workers[i].since));
	die("%d of %d threads hang", left, THREADS);
}

static int run(double seconds)
{
	static const char *const kind[] = { "fsyncs", "renames", "cold reads" };
	double begin = now();

	make_cold();
	for (int i = 0; i < THREADS; i++) {
		workers[i].id = i;
		workers[i].seed = (uint64_t)i;
		atomic_store(&workers[i].doing, "starting");
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("pthread_create: %m");
	}
	while (now() < begin + seconds && !atomic_load(&failed))
		usleep(20000);
	atomic_store(&stop, true);
	wait_for_all(begin + LIMIT);
	for (int k = 0; k < 3; k++) {
		unsigned long n = 0;
		struct worker *slow = &workers[k];

		for (int i = k; i < THREADS; i += 3) {
			n += workers[i].rounds;
			if (workers[i].longest > slow->longest)
				slow = &workers[i];
		}
		if (!n)
			die("no thread did any %s", kind[k]);
		printf("%s: %lu, the longest wait %.3f s (%s)\n", kind[k], n, slow->longest,
		       slow->longest_what ? slow->longest_what : "-");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	return atomic_load(&failed) ? 1 : 0;
}

static int verify(void)
{
	int rc = 0;

	for (int i = 0; i < THREADS; i++) {
		char name[64], tmp[64];
		long v;
		int fd;

		if (i % 3 == 2)
			continue;
		names(i, name, tmp);
		fd = open_at(dir, name, O_RDONLY);
		if (fd < 0)
			die("%s: %s", name, strerror(-fd));
		v = content_peek(fd, (uint32_t)i);
		if (v <= 0 ||
		    content_check(fd, name, (uint32_t)i, content_of((uint32_t)i, (uint32_t)v))) {
			fprintf(stderr, "%s: not one version\n", name);
			rc = 1;
		}
		close(fd);
	}
	return rc;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die("usage: concurrency run DIR SECONDS | concurrency verify DIR");
	dir = argv[2];
	if (!strcmp(argv[1], "run") && argc == 4)
		return run(atof(argv[3]));
	return verify();
}
