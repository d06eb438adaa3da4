/* SPDX-License-Identifier: MIT */
/*
 * The engine against a model in memory: random changes of the data of a few files through store.h
 * - writes small, large and ahead, truncations, holes, allocations, clones - with commits, crashes (a new
 * process of the store that never saw the uncommitted changes) and checks between them.
 *
 *	ZC_SEED=n ZC_OPS=n test_store_model     replays a seed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define FILES 6
#define SPAN (3u << 20)

struct file {
	uint64_t ino, size, kept_size;
	uint8_t *bytes, *kept; /* now, and as committed last */
};

struct model {
	struct store *s;
	struct file files[FILES];
	uint8_t *buf;
	unsigned long ops, seed;
};

/* `small`: mostly what goes into the intent log. */
static bool small;
static uint64_t logged;

static struct store_options options(void)
{
	return (struct store_options){ .log = fixture_log, .log_bytes = small ? 1u << 20 : 0 };
}

static uint64_t state;

static uint64_t rnd(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? state % below : 0;
}

/* Mostly small and near page borders, sometimes anywhere. */
static uint64_t some_offset(uint64_t limit)
{
	uint64_t at = rnd(limit + 1);

	switch (rnd(4)) {
	case 0:
		return at & ~4095ull;
	case 1:
		at = (at & ~4095ull) + rnd(3);
		return at > limit ? limit : at;
	default:
		return at;
	}
}

static uint64_t some_length(void)
{
	static const uint64_t most[] = { 100, 4096, 8192, 70000, 300000, 1u << 20 };
	uint64_t n = rnd(most[rnd(small && rnd(8) ? 3 : 6)]) + 1;

	return rnd(3) ? n : (n + 4095) & ~4095ull;
}

static void compare(struct model *m, const struct file *f, const char *when)
{
	struct store_attr attr;
	ssize_t n;

	assert_int_equal(store_getattr(m->s, f->ino, &attr), 0);
	if (attr.size != f->size)
		fail_msg("seed %lu op %lu %s: file %lu has size %lu, expected %lu", m->seed, m->ops,
			 when, (unsigned long)f->ino, (unsigned long)attr.size,
			 (unsigned long)f->size);
	n = store_pread(m->s, f->ino, m->buf, SPAN * 2, 0);
	if (n != (ssize_t)f->size)
		fail_msg("seed %lu op %lu %s: read %zd of %lu", m->seed, m->ops, when, n,
			 (unsigned long)f->size);
	for (uint64_t k = 0; k < f->size; k++)
		if (m->buf[k] != f->bytes[k])
			fail_msg("seed %lu op %lu %s: file %lu differs at %lu of %lu: %02x, not "
				 "%02x",
				 m->seed, m->ops, when, (unsigned long)f->ino, (unsigned long)k,
				 (unsigned long)f->size, m->buf[k], f->bytes[k]);
}

static void keep(struct file *f)
{
	memcpy(f->kept, f->bytes, SPAN * 2);
	f->kept_size = f->size;
}

static void op_write(struct model *m, struct file *f)
{
	uint64_t off = some_offset(SPAN), len = some_length();
	struct store_source source;

	uint8_t *from = m->buf + (rnd(2) ? 0 : rnd(700));

	for (uint64_t k = 0; k < len; k++)
		from[k] = (uint8_t)rnd(256);
	source = (struct store_source){ .buf = from };
	assert_int_equal(store_write(m->s, f->ino, off, len, &source, 0), len);
	memcpy(f->bytes + off, from, len);
	if (off + len > f->size)
		f->size = off + len;
}

/* Scattered pages of two files, placed in one step. */
static void op_ahead(struct model *m, struct file *f, struct file *g)
{
	struct file *files[2] = { f, g };
	struct store_ahead *a;
	uint64_t ends[2];

	assert_int_equal(store_ahead_new(m->s, &a), 0);
	for (int k = 0; k < (f == g ? 1 : 2); k++) {
		uint64_t step = 1 + rnd(small ? 100 : 30);

		ends[k] = files[k]->size;
		for (uint64_t page = rnd(step); page < SPAN / 4096; page += 1 + rnd(step)) {
			uint8_t *bytes = files[k]->bytes + page * 4096;

			for (unsigned n = 0; n < 4096; n++)
				bytes[n] = (uint8_t)rnd(256);
			assert_int_equal(store_ahead_add(a, files[k]->ino, page, bytes), 0);
			ends[k] = ends[k] > (page + 1) * 4096 ? ends[k] : (page + 1) * 4096;
		}
	}
	assert_int_equal(store_ahead_write(a), 0);
	store_hold_begin(m->s);
	for (int k = 0; k < (f == g ? 1 : 2); k++) {
		struct store_attr attr = { .size = ends[k] };

		assert_int_equal(store_ahead_place(a, files[k]->ino, 0), 0);
		assert_int_equal(store_setattr(m->s, files[k]->ino, STORE_SET_SIZE, &attr, &attr),
				 0);
		files[k]->size = ends[k];
	}
	store_hold_end(m->s);
	store_ahead_free(a);
}

/* What was written and never placed leaves nothing behind (the check afterwards would find it). */
static void op_ahead_given_up(struct model *m, const struct file *f)
{
	struct store_ahead *a;

	assert_int_equal(store_ahead_new(m->s, &a), 0);
	memset(m->buf, 0x5a, 4096);
	for (uint64_t page = 0; page < 40; page++)
		assert_int_equal(store_ahead_add(a, f->ino, page, m->buf), 0);
	if (rnd(2))
		assert_int_equal(store_ahead_write(a), 0);
	store_ahead_free(a);
}

static void op_truncate(struct model *m, struct file *f)
{
	struct store_attr attr = { .size = rnd(8) ? some_offset(SPAN) : 0 };

	assert_int_equal(store_setattr(m->s, f->ino, STORE_SET_SIZE, &attr, &attr), 0);
	if (attr.size < f->size)
		memset(f->bytes + attr.size, 0, f->size - attr.size);
	f->size = attr.size;
}

static void op_fallocate(struct model *m, struct file *f)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[rnd(5)];
	uint64_t off = some_offset(SPAN), len = some_length(), end = off + len;

	assert_int_equal(store_fallocate(m->s, f->ino, mode, off, len), 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(f->bytes + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > f->size)
		f->size = end;
}

static void op_copy(struct model *m, struct file *f, struct file *g)
{
	uint64_t from = some_offset(f->size), to = some_offset(SPAN), len = some_length();
	uint64_t want = from + len > f->size ? f->size - from : len;
	ssize_t n;

	if (rnd(2))
		to = (to & ~4095ull) + from % 4096;
	n = store_copy_range(m->s, f->ino, from, g->ino, to, len);
	if (f == g && want && (from > to ? from - to : to - from) < want) {
		assert_int_equal(n, -EINVAL);
		return;
	}
	if (n != (ssize_t)want)
		fail_msg("seed %lu op %lu: copied %zd of %lu", m->seed, m->ops, n,
			 (unsigned long)want);
	memmove(g->bytes + to, f->bytes + from, want);
	if (want && to + want > g->size)
		g->size = to + want;
}

static void op_seek(struct model *m, struct file *f)
{
	uint64_t at = 0, off = some_offset(SPAN);
	int r = store_seek(m->s, f->ino, off, SEEK_DATA, &at);

	if (off >= f->size) {
		assert_int_equal(r, -ENXIO);
		return;
	}
	if (r == -ENXIO)
		at = f->size;
	for (uint64_t k = off; k < at; k++)
		assert_int_equal(f->bytes[k], 0);
	assert_int_equal(store_seek(m->s, f->ino, off, SEEK_HOLE, &at), 0);
	assert_in_range(at, off, f->size);
}

static void op_commit(struct model *m, struct file *f)
{
	unsigned flags = rnd(small ? 30 : 3) ? 0 : STORE_COMMIT_ALL;
	struct file *g = &m->files[rnd(FILES)];
	uint64_t inos[] = { f->ino, g->ino };
	size_t n = 1 + rnd(2);

	assert_int_equal(store_commit(m->s, inos, n, flags), 0);
	keep(f);
	if (n > 1)
		keep(g);
	for (int k = 0; k < FILES && flags; k++)
		keep(&m->files[k]);
}

static void op_rollback(struct model *m, struct file *f)
{
	struct store_attr attr;

	assert_int_equal(store_rollback(m->s, f->ino, &attr), 0);
	memcpy(f->bytes, f->kept, SPAN * 2);
	f->size = f->kept_size;
	assert_int_equal(attr.size, f->size);
}

static void replace(struct model *m, struct file *f)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;
	char name[16];

	snprintf(name, sizeof(name), "f%d", (int)(f - m->files));
	assert_int_equal(store_unlink(m->s, 1, name), 0);
	store_forget(m->s, f->ino, 1);
	assert_int_equal(store_mknod(m->s, 1, name, S_IFREG | 0644, 0, &cred, &attr), 0);
	f->ino = attr.ino;
	f->size = 0;
	memset(f->bytes, 0, SPAN * 2);
	/* Its name may be committed at any time, its data were never: size 0 then. */
	assert_int_equal(store_commit(m->s, &f->ino, 1, 0), 0);
	keep(f);
}

static void op_chmod(struct model *m, struct file *f)
{
	struct store_attr attr = { .mode = rnd(0777) };

	assert_int_equal(store_setattr(m->s, f->ino, STORE_SET_MODE, &attr, &attr), 0);
}

/* What is committed can be read without changing the store. */
static void look(struct model *m)
{
	struct store_options o = { .read_only = true, .log = fixture_log };
	struct zu_err err = { 0 };
	char name[16];

	if (store_open(fixture_path(), &o, &m->s, &err) < 0)
		fail_msg("%s", err.text);
	for (int k = 0; k < FILES; k++) {
		struct file *f = &m->files[k];
		struct store_attr attr;

		snprintf(name, sizeof(name), "f%d", k);
		assert_int_equal(store_lookup(m->s, 1, name, &attr), 0);
		memcpy(f->bytes, f->kept, SPAN * 2);
		f->size = f->kept_size;
		compare(m, f, "read-only after a crash");
	}
	assert_int_equal(store_close(m->s), 0);
}

static void reopen(struct model *m, bool crash)
{
	const struct store_options o = options();
	struct zu_err err = { 0 };
	struct store_info info;
	struct store_attr attr;
	char name[16];

	store_get_info(m->s, &info);
	logged += info.logged_commits;
	if (crash)
		fixture_crash(m->s);
	else
		assert_int_equal(store_close(m->s), 0);
	fixture_check_sound();
	if (crash && rnd(2))
		look(m);
	if (store_open(fixture_path(), &o, &m->s, &err) < 0)
		fail_msg("%s", err.text);
	for (int k = 0; k < FILES; k++) {
		struct file *f = &m->files[k];

		snprintf(name, sizeof(name), "f%d", k);
		assert_int_equal(store_lookup(m->s, 1, name, &attr), 0);
		assert_int_equal(attr.ino, f->ino);
		if (crash) {
			memcpy(f->bytes, f->kept, SPAN * 2);
			f->size = f->kept_size;
		} else {
			keep(f);
		}
		compare(m, f, crash ? "after a crash" : "after reopening");
	}
}

static void one(struct model *m)
{
	struct file *f = &m->files[rnd(FILES)], *g = &m->files[rnd(FILES)];
	uint64_t what = rnd(1000);

	if (small && what >= 600 && what < 780)
		what = what < 640 ? 600 : 850; /* fewer clones, more commits */
	if (small && what < 20)
		op_chmod(m, f);
	else if (what < 60)
		op_ahead(m, f, g);
	else if (what < 65)
		op_ahead_given_up(m, f);
	else if (what < 400)
		op_write(m, f);
	else if (what < 480)
		op_truncate(m, f);
	else if (what < 600)
		op_fallocate(m, f);
	else if (what < 720)
		op_copy(m, f, g);
	else if (what < 780)
		op_seek(m, f);
	else if (what < 880)
		op_commit(m, f);
	else if (what < 895)
		op_rollback(m, f);
	else if (what < 975)
		compare(m, f, "while running");
	else if (what < 990)
		replace(m, f);
	else
		reopen(m, what < 995);
}

static void test_model(void **unused)
{
	unsigned long ops = getenv("ZC_OPS") ? strtoul(getenv("ZC_OPS"), NULL, 0) : 2000;
	struct store_cred cred = { 0 };
	struct store_attr attr;
	struct model m = { .seed = getenv("ZC_SEED") ? strtoul(getenv("ZC_SEED"), NULL, 0) : 7 };
	const struct store_options o = options();
	struct zu_err err = { 0 };

	(void)unused;
	logged = 0;
	state = m.seed * 0x9e3779b97f4a7c15ull + 1;
	m.buf = aligned_alloc(4096, SPAN * 2 + 4096);
	assert_non_null(m.buf);
	if (store_open(fixture_path(), &o, &m.s, &err) < 0)
		fail_msg("%s", err.text);
	for (int k = 0; k < FILES; k++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", k);
		m.files[k].bytes = aligned_alloc(4096, SPAN * 2);
		assert_non_null(m.files[k].bytes);
		memset(m.files[k].bytes, 0, SPAN * 2);
		m.files[k].kept = calloc(1, SPAN * 2);
		assert_int_equal(store_mknod(m.s, 1, name, S_IFREG | 0644, 0, &cred, &attr), 0);
		m.files[k].ino = attr.ino;
	}
	assert_int_equal(store_commit(m.s, NULL, 0, STORE_COMMIT_ALL), 0);
	for (m.ops = 0; m.ops < ops; m.ops++)
		one(&m);
	reopen(&m, false);
	assert_true(small ? logged > ops / 20 : logged == 0);
	for (int k = 0; k < FILES; k++) {
		free(m.files[k].bytes);
		free(m.files[k].kept);
	}
	free(m.buf);
	assert_int_equal(store_close(m.s), 0);
	fixture_check_sound();
}

static int setup_checksums(void **unused)
{
	(void)unused;
	return fixture_make_with(&(struct store_create_options){ .mode = 0755, .checksum = true });
}

static int setup_small(void **unused)
{
	(void)unused;
	small = true;
	return fixture_make(0);
}

static int setup_small_checksums(void **unused)
{
	small = true;
	return setup_checksums(unused);
}

static int teardown(void **unused)
{
	small = false;
	return fixture_teardown(unused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_model, setup_checksums, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_model, setup_small, teardown),
		cmocka_unit_test_setup_teardown(test_model, setup_small_checksums, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
