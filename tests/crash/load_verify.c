/* SPDX-License-Identifier: MIT */
/* The second half of load: what a crash may have left, and what not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "crashlib.h"
#include "load.h"

enum { MISSING = -1, EMPTY = 0 };

static unsigned newer, exact, gone;

static int complain(const struct slot *s, const char *name, const char *what, long v)
{
	fprintf(stderr, "%s: %s (found %ld; acknowledged %u, this round started %u to %u)\n", name,
		what, v, atomic_load(&s->acked), s->first, atomic_load(&s->started));
	return 1;
}

/* The version that a file holds as a whole, MISSING, EMPTY, or -EILSEQ after telling why. */
static long identify(const char *dir, const char *name, uint32_t file)
{
	int fd = open_at(dir, name, O_RDONLY), rc;
	long v;

	if (fd == -ENOENT)
		return MISSING;
	if (fd < 0)
		die("%s: %s", name, strerror(-fd));
	v = content_peek(fd, file);
	if (v == -EILSEQ)
		fprintf(stderr, "%s: the first block has no header of this file\n", name);
	rc = v > 0 ? content_check(fd, name, file, content_of(file, (uint32_t)v)) : 0;
	close(fd);
	if (rc && rc != -EILSEQ)
		die("%s: %s", name, strerror(-rc));
	return rc ? -EILSEQ : v;
}

static bool allowed(const struct slot *s, long v)
{
	long acked = atomic_load(&s->acked);

	return v == acked || (v > acked && v >= s->first && v <= (long)atomic_load(&s->started));
}

static int verify_plain(struct slot *s, const char *name, long v)
{
	if (v == MISSING)
		v = 0;
	if (!allowed(s, v))
		return complain(s, name, v ? "a version that cannot be" : "lost", v);
	*(v == (long)atomic_load(&s->acked) ? &exact : &newer) += 1;
	atomic_store(&s->acked, (uint32_t)v);
	return 0;
}

/* Odd versions exist, even ones do not; an empty file is one whose data were never captured. */
static int verify_maker(const char *dir, struct slot *s, const char *name, long v)
{
	uint32_t acked = atomic_load(&s->acked), started = atomic_load(&s->started);
	uint32_t odd = acked + 1 + acked % 2, even = acked + acked % 2;
	char path[4096];

	if (v > 0) {
		if (!allowed(s, v))
			return complain(s, name, "a version that cannot be", v);
		*(v == acked ? &exact : &newer) += 1;
		s->next += s->next % 2 == 0;
		atomic_store(&s->acked, (uint32_t)v);
		return 0;
	}
	gone++;
	if (v == EMPTY) {
		if (odd > started)
			return complain(s, name, "empty, but its creation was acknowledged", v);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (unlink(path))
			die("%s: %m", path);
	} else if (even > started) {
		return complain(s, name, "missing, but its creation was acknowledged", v);
	}
	s->next += s->next % 2;
	atomic_store(&s->acked, s->next);
	return 0;
}

static int verify_slot(const char *dir, struct slot *s, int i)
{
	char name[32], tmp[32], path[4096];
	int bad = 0;
	long v;

	slot_name(i, false, name);
	v = identify(dir, name, slot_file(i));
	if (v == -EILSEQ)
		bad = complain(s, name, "not one version", v);
	else if (slot_kind(i) == MAKER)
		bad = verify_maker(dir, s, name, v);
	else
		bad = verify_plain(s, name, v);
	/* What this round tried and did not get can never come back. */
	if (!bad)
		atomic_store(&s->started, atomic_load(&s->acked));
	if (slot_kind(i) != RENAMER)
		return bad;
	slot_name(i, true, tmp);
	if (identify(dir, tmp, slot_file(i)) == -EILSEQ)
		bad |= complain(s, tmp, "neither empty nor one version", -EILSEQ);
	snprintf(path, sizeof(path), "%s/%s", dir, tmp);
	if (unlink(path) && errno != ENOENT)
		die("%s: %m", path);
	return bad;
}

static int verify_names(const char *dir)
{
	DIR *d = opendir(dir);
	char want[32], tmp[32];
	struct dirent *e;
	int bad = 0;

	if (!d)
		die("%s: %m", dir);
	while ((e = readdir(d))) {
		bool known = e->d_name[0] == '.';

		for (int i = 0; i < SLOTS && !known; i++) {
			slot_name(i, false, want);
			slot_name(i, true, tmp);
			known = !strcmp(e->d_name, want) || !strcmp(e->d_name, tmp);
		}
		if (!known) {
			fprintf(stderr, "%s: nobody made this name\n", e->d_name);
			bad = 1;
		}
	}
	closedir(d);
	return bad;
}

int load_verify(const char *dir, struct table *t)
{
	int bad = verify_names(dir);

	for (int i = 0; i < SLOTS; i++)
		bad |= verify_slot(dir, &t->slot[i], i);
	/* The clean-up above must not be undone by the next crash. */
	if (!bad && sync_dir(dir))
		die("%s: %m", dir);
	printf("%u files at the acknowledged version, %u newer, %u absent\n", exact, newer, gone);
	return bad;
}
