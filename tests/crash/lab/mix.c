/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mix.h"

#define KIB 1024u
#define RENAME_EXCHANGE_FLAG 2u

/*
 * Where the engine may commit on its own (`loose`), nothing makes an `explicit` file go with the
 * next commit (a rename over another file, a first name): the model could not say when it went.
 */
/* clang-format off */
static const struct mix mixes[] = {
	{ "first", 10, 1, 1, 0, 0, EXPLICIT, false, false, false, false, 0,
	  { [OP_FALLOCATE] = 2, [OP_TRUNCATE] = 1, [OP_COMMIT] = 2, [OP_WRITE] = 1 } },
	{ "single", 40, 1, 1, 512 * KIB, 0, EXPLICIT, false, false, false, false, 0,
	  { [OP_WRITE] = 4, [OP_PIPE] = 1, [OP_COMMIT] = 3 } },
	{ "append", 40, 2, 1, 640 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_APPEND] = 5, [OP_COMMIT] = 3, [OP_ALL] = 1, [OP_TRUNCATE] = 1 } },
	{ "truncate", 40, 2, 1, 640 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_WRITE] = 4, [OP_TRUNCATE] = 4, [OP_COMMIT] = 3, [OP_ALL] = 1, [OP_UTIMES] = 1 } },
	{ "holes", 40, 2, 1, 2048 * KIB, 1280 * KIB, MIXED, false, false, false, false, 0,
	  { [OP_WRITE] = 4, [OP_PUNCH] = 3, [OP_FALLOCATE] = 2, [OP_TRUNCATE] = 1,
	    [OP_COMMIT] = 3, [OP_ALL] = 1 } },
	{ "clone", 50, 3, 1, 1024 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_WRITE] = 3, [OP_CLONE] = 5, [OP_TRUNCATE] = 1, [OP_PUNCH] = 1, [OP_COMMIT] = 3,
	    [OP_GROUP] = 1, [OP_ALL] = 1 } },
	{ "rename", 50, 5, 1, 1024 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_CREATE] = 3, [OP_WRITE] = 5, [OP_RENAME] = 4, [OP_EXCHANGE] = 2, [OP_LINK] = 1,
	    [OP_TMPFILE] = 2, [OP_FORGET] = 2, [OP_CHMOD] = 1, [OP_COMMIT] = 2, [OP_NAMES] = 2,
	    [OP_ALL] = 1 } },
	{ "unlink", 50, 5, 1, 1024 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_CREATE] = 4, [OP_WRITE] = 5, [OP_UNLINK] = 4, [OP_FORGET] = 2, [OP_CLONE] = 1,
	    [OP_COMMIT] = 2, [OP_NAMES] = 2, [OP_ALL] = 1 } },
	{ "group", 50, 6, 1, 1536 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_WRITE] = 6, [OP_TRUNCATE] = 1, [OP_CLONE] = 1, [OP_GROUP] = 4 } },
	{ "rollback", 50, 3, 1, 1024 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_WRITE] = 5, [OP_TRUNCATE] = 1, [OP_CLONE] = 2, [OP_PUNCH] = 1, [OP_ROLLBACK] = 3,
	    [OP_COMMIT] = 3, [OP_ALL] = 1 } },
	{ "periodic", 50, 4, 1, 1024 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_CREATE] = 1, [OP_WRITE] = 6, [OP_RENAME] = 1, [OP_FORGET] = 1, [OP_COMMIT] = 2,
	    [OP_ALL] = 3 } },
	{ "many", 80, 8, 1, 3072 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_CREATE] = 3, [OP_WRITE] = 9, [OP_APPEND] = 2, [OP_PIPE] = 1, [OP_TRUNCATE] = 2,
	    [OP_PUNCH] = 2, [OP_FALLOCATE] = 1, [OP_CLONE] = 3, [OP_RENAME] = 2,
	    [OP_EXCHANGE] = 1, [OP_UNLINK] = 2, [OP_FORGET] = 3, [OP_TMPFILE] = 1, [OP_LINK] = 1,
	    [OP_CHMOD] = 1, [OP_UTIMES] = 1, [OP_ROLLBACK] = 1, [OP_COMMIT] = 3, [OP_GROUP] = 2,
	    [OP_NAMES] = 2, [OP_ALL] = 2 } },
	{ "reopen", 60, 5, 1, 1024 * KIB, 0, MIXED, true, true, false, false, 0,
	  { [OP_CREATE] = 3, [OP_WRITE] = 8, [OP_CLONE] = 2, [OP_UNLINK] = 3, [OP_LINK] = 1,
	    [OP_ALL] = 4, [OP_REOPEN] = 2 } },
	{ "full", 120, 4, 1, 64 * KIB, 0, MIXED, true, true, false, false, 0,
	  { [OP_CREATE] = 1, [OP_WRITE] = 12, [OP_APPEND] = 4, [OP_TRUNCATE] = 2, [OP_PUNCH] = 1,
	    [OP_UNLINK] = 1, [OP_FORGET] = 2, [OP_ROLLBACK] = 1, [OP_ALL] = 3 } },
	{ "timer", 60, 4, 1, 1024 * KIB, 0, MIXED, true, true, false, false, 1,
	  { [OP_CREATE] = 1, [OP_WRITE] = 8, [OP_LINK] = 1, [OP_UNLINK] = 1, [OP_FORGET] = 1, [OP_SLEEP] = 2,
	    [OP_ALL] = 1 } },
	{ "large", 30, 2, 1, 2048 * KIB, 320 * KIB, MIXED, false, false, true, false, 0,
	  { [OP_WRITE] = 4, [OP_PIPE] = 2, [OP_TRUNCATE] = 1, [OP_CLONE] = 1, [OP_COMMIT] = 3,
	    [OP_ALL] = 1 } },
	{ "sums", 60, 5, 1, 2048 * KIB, 0, MIXED, false, false, false, true, 0,
	  { [OP_CREATE] = 1, [OP_WRITE] = 8, [OP_PIPE] = 1, [OP_TRUNCATE] = 2, [OP_PUNCH] = 1,
	    [OP_FALLOCATE] = 1, [OP_CLONE] = 2, [OP_RENAME] = 1, [OP_FORGET] = 1,
	    [OP_ROLLBACK] = 1, [OP_COMMIT] = 4, [OP_GROUP] = 1, [OP_ALL] = 1 } },
	{ "logged", 80, 4, 1, 1024 * KIB, 0, MIXED, false, false, false, false, 0,
	  { [OP_WRITE] = 8, [OP_APPEND] = 2, [OP_TRUNCATE] = 2, [OP_PUNCH] = 1, [OP_CHMOD] = 1,
	    [OP_UTIMES] = 1, [OP_CLONE] = 2, [OP_FALLOCATE] = 1, [OP_ROLLBACK] = 1, [OP_COMMIT] = 8,
	    [OP_GROUP] = 3 } },
	{ "relogged", 80, 3, 1, 1024 * KIB, 0, MIXED, false, false, false, true, 0,
	  { [OP_WRITE] = 8, [OP_TRUNCATE] = 1, [OP_CLONE] = 3, [OP_FALLOCATE] = 1, [OP_PUNCH] = 1,
	    [OP_ALL] = 1, [OP_NAMES] = 1, [OP_ROLLBACK] = 1, [OP_COMMIT] = 8, [OP_GROUP] = 2 } },
	{ "placed", 40, 2, 1, 4096 * KIB, 640 * KIB, MIXED, false, false, true, false, 0,
	  { [OP_AHEAD] = 8, [OP_WRITE] = 2, [OP_PIPE] = 1, [OP_TRUNCATE] = 1, [OP_PUNCH] = 1,
	    [OP_CLONE] = 1, [OP_ROLLBACK] = 1, [OP_CHMOD] = 1, [OP_COMMIT] = 8, [OP_GROUP] = 3 } },
	{ "threads", 20, 3, 8, 4096 * KIB, 0, EXPLICIT, false, false, false, false, 0,
	  { [OP_WRITE] = 6, [OP_TRUNCATE] = 1, [OP_CLONE] = 1, [OP_COMMIT] = 3, [OP_GROUP] = 2 } },
	/*
	 * For faults: every call of it is made to fail. After an error the engine may commit on
	 * its own, which `explicit` data are no part of.
	 */
	{ "short", 40, 3, 1, 256 * KIB, 0, EXPLICIT, true, false, false, false, 0,
	  { [OP_CREATE] = 1, [OP_WRITE] = 8, [OP_PIPE] = 2, [OP_TRUNCATE] = 1, [OP_PUNCH] = 1,
	    [OP_FALLOCATE] = 1, [OP_CLONE] = 1, [OP_LINK] = 1, [OP_UNLINK] = 1, [OP_FORGET] = 1,
	    [OP_ROLLBACK] = 1, [OP_COMMIT] = 4, [OP_GROUP] = 2, [OP_ALL] = 1 } },
	{ "shortlarge", 20, 2, 1, 1280 * KIB, 320 * KIB, EXPLICIT, true, false, true, true, 0,
	  { [OP_WRITE] = 4, [OP_PIPE] = 3, [OP_TRUNCATE] = 1, [OP_CLONE] = 1, [OP_COMMIT] = 3 } },
};
/* clang-format on */

const struct mix *mix_find(const char *name)
{
	for (size_t k = 0; k < sizeof(mixes) / sizeof(*mixes); k++)
		if (strcmp(mixes[k].name, name) == 0)
			return &mixes[k];
	return NULL;
}

void mix_names(void)
{
	for (size_t k = 0; k < sizeof(mixes) / sizeof(*mixes); k++)
		printf("%s\n", mixes[k].name);
}

/* A random file, with a name if `named`: -1 if there is none. */
static int pick(struct world *w, bool named)
{
	int found[WORLD_FILES], n = 0;

	for (int k = 0; k < WORLD_FILES; k++)
		if (w->files[k].used && (!named || w->files[k].links))
			found[n++] = k;
	return n ? found[w_rnd(w, (uint64_t)n)] : -1;
}

static const char *pick_name(struct world *w)
{
	int found[WORLD_FILES], n = 0;

	for (int k = 0; k < WORLD_FILES; k++)
		if (w->names[k].file >= 0)
			found[n++] = k;
	return n ? w->names[found[w_rnd(w, (uint64_t)n)]].name : NULL;
}

static void new_name(struct world *w, char name[24])
{
	snprintf(name, 24, "n%u", w->ops);
}

static uint64_t some_offset(struct world *w, const struct mix *m, uint64_t length)
{
	uint64_t at = w_rnd(w, w->span - length + 1);

	/* With a large span the places are few, at its ends and at the border of the chunks. */
	if (w->span > 256 * KIB)
		at = w_rnd(w, 3) * (w->span / 3) + w_rnd(w, 64 * KIB);
	at = at + length > w->span ? w->span - length : at;
	if (m->atomic || w_rnd(w, 2))
		return at & ~4095ull;
	return w_rnd(w, 4) ? at & ~511ull : at;
}

static uint64_t some_length(struct world *w, const struct mix *m)
{
	static const unsigned most[] = { 300, 4096, 4096, 12000, 16384 };
	unsigned n = most[w_rnd(w, 5)];

	if (m->atomic)
		return 1 + w_rnd(w, 4096);
	if (m->large && w_rnd(w, 3))
		return 65537 + w_rnd(w, 65536);
	return n == 4096 || n == 16384 ? n : 1 + w_rnd(w, n);
}

static void do_write(const struct mix *m, struct world *w, int f, enum op op)
{
	uint64_t length = some_length(w, m), at = some_offset(w, m, length);

	if (op == OP_PIPE)
		length = m->large	 ? 81920
			 : length > 4096 ? 16384
					 : 4096,
		at = some_offset(w, m, length) & ~4095ull;
	if (op == OP_APPEND)
		at = w->files[f].size;
	if (at + length > w->span)
		at = 0;
	if (m->atomic && at / 4096 != (at + length - 1) / 4096)
		length = 4096 - at % 4096;
	w_write(w, f, at, length, op == OP_PIPE);
}

static void do_copy(const struct mix *m, struct world *w, int f)
{
	int g = pick(w, false);
	uint64_t length = m->atomic ? 4096 : (1 + w_rnd(w, 5)) * 4096;
	uint64_t from = w_rnd(w, 6) * 4096, to = w_rnd(w, (w->span - length) / 4096 + 1) * 4096;

	if (f == g || (m->atomic && from + length > w->files[f].size))
		return;
	if (!m->atomic && w_rnd(w, 4) == 0)
		from += 100;
	w_copy(w, f, from, g, to, length);
}

static void do_commit(struct world *w, enum op op)
{
	int files[4];
	size_t n = 0, want = op == OP_GROUP ? 2 + w_rnd(w, 3) : op == OP_COMMIT;

	for (unsigned tries = 0; n < want && tries < 10; tries++) {
		int f = pick(w, false);
		bool new = f >= 0;

		for (size_t k = 0; k < n; k++)
			new &= files[k] != f;
		if (new)
			files[n++] = f;
	}
	w_commit(w, files, n, op == OP_ALL ? STORE_COMMIT_ALL : 0);
}

static bool is_explicit(const struct mix *m, struct world *w)
{
	return m->policies == EXPLICIT || (m->policies == MIXED && w_rnd(w, 2));
}

static void do_name(const struct mix *m, struct world *w, enum op op)
{
	const char *a = pick_name(w), *b = pick_name(w);
	char name[24];
	unsigned used = 0;
	int f;

	for (int k = 0; k < WORLD_FILES; k++)
		used += w->files[k].used;
	new_name(w, name);
	if (op == OP_CREATE && used < m->files + 4) {
		w_create(w, name, is_explicit(m, w));
	} else if (op == OP_TMPFILE && used < m->files + 4) {
		f = w_tmpfile(w, is_explicit(m, w));
		if (f >= 0 && w_write(w, f, 0, 4096, false) == 0)
			w_link(w, f, name);
	} else if (op == OP_LINK && a) {
		w_link(w, pick(w, true), name);
	} else if (op == OP_RENAME && a) {
		w_rename(w, a, w_rnd(w, 4) ? b : name, 0);
	} else if (op == OP_EXCHANGE && a) {
		w_rename(w, a, b, RENAME_EXCHANGE_FLAG);
	} else if (op == OP_UNLINK && a) {
		w_unlink(w, a);
	}
}

static void do_forget(struct world *w)
{
	for (int k = 0; k < WORLD_FILES; k++)
		if (w->files[k].used && !w->files[k].links) {
			w_forget(w, k);
			return;
		}
}

static void do_data(const struct mix *m, struct world *w, enum op op)
{
	uint64_t length = m->atomic ? 4096 : some_length(w, m), at = some_offset(w, m, length);
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE };
	int f = pick(w, false);

	if (f < 0)
		return;
	switch (op) {
	case OP_AHEAD:
		w_ahead(w, f, w->span, 1 + (unsigned)w_rnd(w, 10));
		break;
	case OP_TRUNCATE:
		w_truncate(w, f, w_rnd(w, 6) ? at : 0);
		break;
	case OP_PUNCH:
		w_fallocate(w, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
		break;
	case OP_FALLOCATE:
		w_fallocate(w, f, modes[w_rnd(w, 3)], at, length);
		break;
	case OP_CLONE:
		do_copy(m, w, f);
		break;
	case OP_CHMOD:
		w_chmod(w, f, (mode_t)(0600 + w_rnd(w, 64)));
		break;
	case OP_UTIMES:
		w_utimes(w, f, (time_t)w_rnd(w, 1u << 30));
		break;
	case OP_ROLLBACK:
		/* (A file that goes with the next name commits that first, at a time of its own.) */
		if ((!w->loose || w->files[f].is_explicit) && !w->files[f].capture)
			w_rollback(w, f);
		break;
	default:
		do_write(m, w, f, op);
	}
}

enum op mix_step(const struct mix *m, struct world *w)
{
	unsigned total = 0, at, op;

	for (op = 0; op < OP_COUNT; op++)
		total += m->weight[op];
	at = (unsigned)w_rnd(w, total);
	for (op = 0; at >= m->weight[op]; op++)
		at -= m->weight[op];
	switch (op) {
	case OP_CREATE:
	case OP_TMPFILE:
	case OP_LINK:
	case OP_RENAME:
	case OP_EXCHANGE:
	case OP_UNLINK:
		do_name(m, w, op);
		break;
	case OP_FORGET:
		do_forget(w);
		break;
	case OP_COMMIT:
	case OP_GROUP:
	case OP_NAMES:
	case OP_ALL:
		do_commit(w, op);
		break;
	case OP_SLEEP:
		usleep(150000);
		break;
	case OP_REOPEN:
		break;
	default:
		do_data(m, w, op);
	}
	return op;
}

void mix_files(const struct mix *m, struct world *w)
{
	char name[24];

	for (unsigned k = 0; k < m->files; k++) {
		snprintf(name, sizeof(name), "f%u", k);
		w_create(w, name, is_explicit(m, w));
	}
}
