/* SPDX-License-Identifier: MIT */
/*
 * load run DIR TABLE SEED MS PID: many processes change files in DIR; after MS milliseconds PID
 * gets SIGKILL, and all of them end on the errors this gives (PID 0: they are asked to stop).
 * load verify DIR TABLE: is everything in DIR as the table allows? Then the next round may start.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content.h"
#include "crashlib.h"
#include "load.h"

enum { HANG = 240 }; /* seconds */

static const char *dir;

void slot_name(int i, bool temporary, char out[32])
{
	snprintf(out, 32, "%s%c%d", temporary ? "tmp-" : "", "wmrc"[slot_kind(i)], i);
}

static uint32_t begin(struct slot *s)
{
	uint32_t v = ++s->next;

	atomic_store(&s->started, v);
	return v;
}

static int put(int fd, uint32_t file, uint32_t v, bool mapped)
{
	off_t size = content_size(file, v);
	void *m;
	int rc = 0;

	if (!mapped) {
		rc = content_write(fd, file, v, size);
		return rc ? rc : ftruncate(fd, size) ? -errno : 0;
	}
	if (ftruncate(fd, size))
		return -errno;
	m = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	content_fill(m, file, v, 0, (size_t)size);
	/* A renamer leaves its stores in the mapping; a mapper commits them. */
	if (slot_kind((int)file - 1) == MAPPER && msync(m, (size_t)size, MS_SYNC))
		rc = -errno;
	munmap(m, (size_t)size);
	return rc;
}

static int step_in_place(int i, struct slot *s)
{
	bool map = slot_kind(i) == MAPPER;
	uint32_t v = begin(s);
	char name[32];
	int fd, rc;

	slot_name(i, false, name);
	fd = open_at(dir, name, O_RDWR | O_CREAT);
	if (fd < 0)
		return fd;
	rc = put(fd, slot_file(i), v, map);
	if (!rc && !map && (v % 2 ? fsync(fd) : fdatasync(fd)))
		rc = -errno;
	if (!rc)
		atomic_store(&s->acked, v);
	close(fd);
	return rc;
}

static int step_rename(int i, struct slot *s)
{
	char name[32], tmp[32], from[4096], to[4096];
	uint32_t v = begin(s);
	bool replaces;
	int fd, rc;

	slot_name(i, false, name);
	slot_name(i, true, tmp);
	snprintf(from, sizeof(from), "%s/%s", dir, tmp);
	snprintf(to, sizeof(to), "%s/%s", dir, name);
	fd = open_at(dir, tmp, O_RDWR | O_CREAT | O_TRUNC);
	if (fd < 0)
		return fd;
	rc = put(fd, slot_file(i), v, v % 3 == 0);
	/* Only a name that replaces another one carries its data. */
	replaces = access(to, F_OK) == 0;
	if (!rc && !replaces && errno != ENOENT)
		rc = -errno;
	if (!rc && (v % 4 == 0 || !replaces) && fsync(fd))
		rc = -errno;
	if (v % 2) {
		close(fd);
		fd = -1;
	}
	if (!rc && rename(from, to))
		rc = -errno;
	if (!rc && v % 5 == 0) {
		rc = fd >= 0 ? (fsync(fd) ? -errno : 0) : sync_dir(dir);
		if (!rc)
			atomic_store(&s->acked, v);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int step_make(int i, struct slot *s)
{
	uint32_t v = begin(s);
	char name[32], path[4096];
	int fd, rc;

	slot_name(i, false, name);
	if (v % 2 == 0) {
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		rc = unlink(path) ? -errno : 0;
		if (!rc && v % 4 == 0)
			rc = sync_dir(dir);
		if (!rc && v % 4 == 0)
			atomic_store(&s->acked, v);
		return rc;
	}
	fd = open_at(dir, name, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	rc = put(fd, slot_file(i), v, false);
	if (!rc && fsync(fd))
		rc = -errno;
	if (!rc)
		atomic_store(&s->acked, v);
	close(fd);
	return rc;
}

/* A page that the dead daemon can no longer deliver. */
static void on_sigbus(int sig)
{
	_exit(7);
}

static void child(struct table *t, int p, uint64_t seed)
{
	uint64_t r = seed * 1000 + (uint64_t)p;
	int rc = 0;

	signal(SIGBUS, on_sigbus);
	while (!rc && !atomic_load(&t->stop)) {
		int i = p * PER + (int)(rng_next(&r) % PER);
		struct slot *s = &t->slot[i];

		if (slot_kind(i) == RENAMER)
			rc = step_rename(i, s);
		else if (slot_kind(i) == MAKER)
			rc = step_make(i, s);
		else
			rc = step_in_place(i, s);
	}
	if (rc && !is_dead(dir, -rc)) {
		fprintf(stderr, "load: process %d: %s, but the daemon lives\n", p, strerror(-rc));
		_exit(1);
	}
	_exit(0);
}

static int reap(pid_t *pids)
{
	double end = now() + HANG;
	int left = PROCS, bad = 0, st;

	while (left && now() < end) {
		for (int p = 0; p < PROCS; p++) {
			if (!pids[p] || waitpid(pids[p], &st, WNOHANG) <= 0)
				continue;
			pids[p] = 0;
			left--;
			if (WIFEXITED(st) && WEXITSTATUS(st) == 7 && is_dead(dir, EIO))
				continue;
			if (!WIFEXITED(st) || WEXITSTATUS(st)) {
				fprintf(stderr, "load: process %d ended with status %#x\n", p, st);
				bad = 1;
			}
		}
		usleep(500);
	}
	for (int p = 0; p < PROCS; p++) {
		if (!pids[p])
			continue;
		fprintf(stderr, "load: process %d (pid %d) still hangs %d s after the kill\n", p,
			(int)pids[p], HANG);
		kill(pids[p], SIGKILL);
		bad = 1;
	}
	return bad;
}

static int run(struct table *t, uint64_t seed, unsigned ms, pid_t victim)
{
	pid_t pids[PROCS];
	uint64_t steps = 0;
	int bad;

	atomic_store(&t->stop, false);
	for (int i = 0; i < SLOTS; i++) {
		t->slot[i].first = t->slot[i].next + 1;
		steps -= t->slot[i].next;
	}
	fflush(NULL);
	for (int p = 0; p < PROCS; p++) {
		pids[p] = fork();
		if (pids[p] < 0)
			die("fork: %m");
		if (!pids[p])
			child(t, p, seed);
	}
	usleep(ms * 1000);
	if (victim && kill(victim, SIGKILL))
		die("load: the daemon, pid %d, was gone before it was killed: %m", (int)victim);
	if (!victim)
		atomic_store(&t->stop, true);
	bad = reap(pids);
	for (int i = 0; i < SLOTS; i++)
		steps += t->slot[i].next;
	printf("%llu changes, ", (unsigned long long)steps);
	return bad;
}

int main(int argc, char **argv)
{
	struct table *t;

	if (argc < 4 || (strcmp(argv[1], "run") && strcmp(argv[1], "verify")))
		die("usage: load run DIR TABLE SEED MS PID | load verify DIR TABLE");
	dir = argv[2];
	t = map_table(argv[3], sizeof(*t));
	if (!strcmp(argv[1], "verify"))
		return load_verify(dir, t) ? 1 : 0;
	if (argc != 7)
		die("usage: load run DIR TABLE SEED MS PID");
	return run(t, strtoull(argv[4], NULL, 0), (unsigned)atoi(argv[5]), (pid_t)atoi(argv[6]));
}
