/* SPDX-License-Identifier: MIT */
/*
 * halves run DIR TABLE SEED PID: file b is changed without being synced, but the daemon gets all of
 * it (close(dup(fd))); then file a is synced, and PID killed.
 * halves verify DIR TABLE: b is as it was, or as it was last changed, whole; a is as synced.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "crashlib.h"

enum { FILE_A = 501, FILE_B = 502 };

struct halves {
	struct content old, new; /* of b */
	uint32_t version, a_acked, a_started;
	char how[32];
};

static const char *dir;
static uint64_t seed;

static unsigned below(unsigned n)
{
	return (unsigned)(rng_next(&seed) % n);
}

static void must(int rc, const char *what)
{
	if (rc < 0)
		die("%s: %s", what, strerror(-rc));
}

static off_t any_size(void)
{
	return below(3) ? 1 + below(40000) : (1 + (off_t)below(300)) * BLOCK;
}

static void write_new(struct halves *h, int fd)
{
	off_t size = any_size();

	h->new = (struct content){ ++h->version, size, size };
	must(content_write(fd, FILE_B, h->new.version, size), "write of b");
}

/* Changes b in one of the ways in which a size can run ahead of its data, or behind. */
static void change(struct halves *h, int fd)
{
	const char *how;

	h->new = h->old;
	switch (below(5)) {
	case 0:
		how = "rewrite in place";
		write_new(h, fd);
		if (h->new.size < h->old.size)
			must(ftruncate(fd, h->new.size) ? -errno : 0, "ftruncate of b");
		break;
	case 1:
		how = "cut short";
		h->new.size = below((unsigned)h->old.size + 1);
		if (h->new.data > h->new.size)
			h->new.data = h->new.size;
		must(ftruncate(fd, h->new.size) ? -errno : 0, "ftruncate of b");
		break;
	case 2:
		how = "truncate to 0 and write";
		must(ftruncate(fd, 0) ? -errno : 0, "ftruncate of b");
		write_new(h, fd);
		break;
	case 3:
		how = "extend by a hole";
		h->new.size += any_size();
		must(ftruncate(fd, h->new.size) ? -errno : 0, "ftruncate of b");
		break;
	default:
		how = "extend first, then write";
		write_new(h, fd); /* chooses the size */
		must(ftruncate(fd, 0) ? -errno : 0, "ftruncate of b");
		must(ftruncate(fd, h->new.size) ? -errno : 0, "ftruncate of b");
		must(content_write(fd, FILE_B, h->new.version, h->new.size), "write of b");
	}
	snprintf(h->how, sizeof(h->how), "%s", how);
}

static void first_state(struct halves *h)
{
	int fd = open_at(dir, "b", O_RDWR | O_CREAT);

	must(fd, "b");
	h->old = (struct content){ ++h->version, 30000, 30000 };
	must(content_write(fd, FILE_B, h->old.version, 30000), "write of b");
	must(fsync(fd) ? -errno : 0, "fsync of b");
	close(fd);
}

static int run(struct halves *h, pid_t victim)
{
	int a, b, syncs = 1 + (int)below(3);

	if (!h->version)
		first_state(h);
	b = open_at(dir, "b", O_RDWR);
	a = open_at(dir, "a", O_RDWR | O_CREAT);
	must(a < 0 ? a : b, "open");
	change(h, b);
	must(close(dup(b)) ? -errno : 0, "close of a duplicate of b");
	for (int i = 0; i < syncs; i++) {
		uint32_t v = ++h->a_started;

		must(content_write(a, FILE_A, v, 8192), "write of a");
		must(fsync(a) ? -errno : 0, "fsync of a");
		h->a_acked = v;
	}
	if (below(2))
		close(b);
	sleep_us(below(3000));
	if (victim && kill(victim, SIGKILL))
		die("the daemon, pid %d: %m", (int)victim);
	printf("%s, %lld to %lld bytes: ", h->how, (long long)h->old.size, (long long)h->new.size);
	return 0;
}

static int verify(struct halves *h)
{
	struct content a = { h->a_acked, 8192, 8192 };
	int fd = open_at(dir, "b", O_RDONLY), bad = 0;

	must(fd, "b");
	if (content_is(fd, FILE_B, h->old) == 0) {
		puts("b is old");
	} else if (content_is(fd, FILE_B, h->new) == 0) {
		puts("b is new");
		h->old = h->new;
	} else {
		fprintf(stderr, "b (%s) is neither old nor new\nagainst the old:\n", h->how);
		content_check(fd, "b", FILE_B, h->old);
		fprintf(stderr, "against the new:\n");
		content_check(fd, "b", FILE_B, h->new);
		bad = 1;
	}
	close(fd);
	fd = open_at(dir, "a", O_RDONLY);
	must(fd, "a");
	if (content_check(fd, "a", FILE_A, a)) {
		fprintf(stderr, "a was synced at version %u\n", h->a_acked);
		bad = 1;
	}
	close(fd);
	return bad;
}

int main(int argc, char **argv)
{
	struct halves *h;

	if (argc < 4)
		die("usage: halves run DIR TABLE SEED PID | halves verify DIR TABLE");
	dir = argv[2];
	h = map_table(argv[3], sizeof(*h));
	if (!strcmp(argv[1], "verify"))
		return verify(h);
	if (argc != 6)
		die("usage: halves run DIR TABLE SEED PID");
	seed = strtoull(argv[4], NULL, 0);
	return run(h, (pid_t)atoi(argv[5]));
}
