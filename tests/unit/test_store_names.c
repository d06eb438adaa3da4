/* SPDX-License-Identifier: MIT */
/*
 * Names against a model: random creates, links, renames, removals and xattrs in a few directories,
 * with commits, crashes and checks. Any commit takes all names so far, in order.
 *
 *	ZC_SEED=n ZC_OPS=n test_store_names     replays a seed
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define DIRS 5
#define NAMES 12

/* What a name of a directory is; ino 0: nothing. dirs[0] is the root, the others hang below it. */
struct tree {
	uint64_t dirs[DIRS];
	uint64_t ino[DIRS][NAMES];
	mode_t type[DIRS][NAMES];
	uint32_t tag[4096]; /* the value of user.tag by inode number, 0: none */
};

struct model {
	struct store *s;
	struct tree now, kept;
	unsigned long ops, seed;
};

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { .uid = 5, .gid = 6, .umask = 022 };
static uint64_t state;

static unsigned rnd(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state % below);
}

static const char *name_of(unsigned n)
{
	static char names[4][8];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(names[turn], sizeof(names[turn]), "n%u", n);
	return names[turn];
}

static unsigned links(const struct tree *t, uint64_t ino)
{
	unsigned count = 0;

	for (unsigned d = 0; d < DIRS; d++)
		for (unsigned n = 0; n < NAMES; n++)
			count += t->ino[d][n] == ino;
	return count;
}

struct listing {
	const struct tree *t;
	unsigned dir, seen;
	bool wrong;
};

static bool list_one(void *arg, const struct store_entry *e)
{
	struct listing *l = arg;
	unsigned n;
	char name[16] = "";

	if (e->namelen < sizeof(name))
		memcpy(name, e->name, e->namelen);
	if (name[0] == 'd')
		return true;
	if (sscanf(name, "n%u", &n) != 1 || n >= NAMES || l->t->ino[l->dir][n] != e->ino ||
	    l->t->type[l->dir][n] != e->type)
		l->wrong = true;
	l->seen++;
	return true;
}

static void compare(struct model *m)
{
	for (unsigned d = 0; d < DIRS; d++) {
		struct listing l = { &m->now, d, 0, false };
		unsigned there = 0;

		for (unsigned n = 0; n < NAMES; n++) {
			struct store_attr attr;
			uint64_t ino = m->now.ino[d][n];
			int r = store_peek(m->s, m->now.dirs[d], name_of(n), &attr);
			uint32_t tag;

			there += ino != 0;
			if (r != (ino ? 0 : -ENOENT) || (ino && attr.ino != ino))
				fail_msg("seed %lu op %lu: %u/%s: %d", m->seed, m->ops, d,
					 name_of(n), r);
			if (!ino)
				continue;
			assert_int_equal(attr.nlink, links(&m->now, ino));
			r = (int)store_getxattr(m->s, ino, "user.tag", &tag, sizeof(tag));
			if (m->now.tag[ino % 4096]) {
				assert_int_equal(r, sizeof(tag));
				assert_int_equal(tag, m->now.tag[ino % 4096]);
			} else {
				assert_int_equal(r, -ENODATA);
			}
		}
		assert_int_equal(store_readdir(m->s, m->now.dirs[d], 0, 0, list_one, &l), 0);
		if (l.wrong || l.seen != there)
			fail_msg("seed %lu op %lu: directory %u lists %u of %u names%s", m->seed,
				 m->ops, d, l.seen, there, l.wrong ? ", wrong ones" : "");
	}
}

static void make(struct model *m, unsigned d, unsigned n)
{
	struct store_attr attr;
	bool link = rnd(4) == 0;
	int r;

	if (link)
		r = store_symlink(m->s, m->now.dirs[d], name_of(n), "some/where", &cred, &attr);
	else
		r = store_mknod(m->s, m->now.dirs[d], name_of(n), S_IFREG | 0666, 0, &cred, &attr);
	if (m->now.ino[d][n]) {
		assert_int_equal(r, -EEXIST);
		return;
	}
	assert_int_equal(r, 0);
	m->now.ino[d][n] = attr.ino;
	m->now.type[d][n] = attr.mode & S_IFMT;
	m->now.tag[attr.ino % 4096] = 0;
	if (!link)
		assert_int_equal(attr.mode & 0777, 0644);
	store_forget(m->s, attr.ino, 1);
}

static void make_link(struct model *m, unsigned d, unsigned n, unsigned d2, unsigned n2)
{
	struct store_attr attr;
	uint64_t ino = m->now.ino[d][n];
	int r;

	if (!ino)
		return;
	r = store_link(m->s, ino, m->now.dirs[d2], name_of(n2), &attr);
	if (m->now.ino[d2][n2]) {
		assert_int_equal(r, -EEXIST);
		return;
	}
	assert_int_equal(r, 0);
	store_forget(m->s, ino, 1);
	m->now.ino[d2][n2] = ino;
	m->now.type[d2][n2] = m->now.type[d][n];
}

static void drop(struct model *m, unsigned d, unsigned n)
{
	int r = store_unlink(m->s, m->now.dirs[d], name_of(n));

	assert_int_equal(r, m->now.ino[d][n] ? 0 : -ENOENT);
	m->now.ino[d][n] = 0;
}

static void move(struct model *m, unsigned d, unsigned n, unsigned d2, unsigned n2)
{
	static const unsigned all[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned flags = all[rnd(4)];
	uint64_t a = m->now.ino[d][n], b = m->now.ino[d2][n2];
	mode_t ta = m->now.type[d][n];
	int r = store_rename(m->s, m->now.dirs[d], name_of(n), m->now.dirs[d2], name_of(n2), flags);
	int want = 0;

	if (!a || (!b && flags == RENAME_EXCHANGE))
		want = -ENOENT;
	else if (b && flags == RENAME_NOREPLACE)
		want = -EEXIST;
	if (r != want)
		fail_msg("seed %lu op %lu: rename %d, expected %d", m->seed, m->ops, r, want);
	if (r < 0 || a == b)
		return;
	m->now.type[d][n] = m->now.type[d2][n2];
	m->now.ino[d][n] = flags == RENAME_EXCHANGE ? b : 0;
	m->now.ino[d2][n2] = a;
	m->now.type[d2][n2] = ta;
}

static void tag(struct model *m, unsigned d, unsigned n)
{
	uint64_t ino = m->now.ino[d][n];
	uint32_t value = rnd(3) ? rnd(1000000) + 1 : 0;
	int r;

	if (!ino)
		return;
	if (value) {
		r = store_setxattr(m->s, ino, "user.tag", &value, sizeof(value), 0);
		assert_int_equal(r, 0);
	} else {
		r = store_removexattr(m->s, ino, "user.tag");
		assert_int_equal(r, m->now.tag[ino % 4096] ? 0 : -ENODATA);
	}
	m->now.tag[ino % 4096] = value;
}

static void take_directories(struct model *m)
{
	m->now.dirs[0] = 1;
	for (unsigned d = 1; d < DIRS; d++) {
		struct store_attr attr;
		char name[8];

		snprintf(name, sizeof(name), "d%u", d);
		assert_int_equal(store_lookup(m->s, 1, name, &attr), 0);
		m->now.dirs[d] = attr.ino;
	}
}

static void reopen(struct model *m, bool crash)
{
	struct zu_err err = { 0 };

	if (crash) {
		fixture_crash(m->s);
		m->now = m->kept;
	} else {
		assert_int_equal(store_close(m->s), 0);
		m->kept = m->now;
	}
	fixture_check_sound();
	if (store_open(fixture_path(), &options, &m->s, &err) < 0)
		fail_msg("%s", err.text);
	take_directories(m);
	compare(m);
}

static void one(struct model *m)
{
	unsigned what = rnd(1000), d = rnd(DIRS), n = rnd(NAMES), d2 = rnd(DIRS), n2 = rnd(NAMES);

	if (what < 300) {
		make(m, d, n);
	} else if (what < 400) {
		make_link(m, d, n, d2, n2);
	} else if (what < 600) {
		drop(m, d, n);
	} else if (what < 800) {
		move(m, d, n, d2, n2);
	} else if (what < 900) {
		tag(m, d, n);
	} else if (what < 960) {
		assert_int_equal(store_commit(m->s, NULL, 0, 0), 0);
		m->kept = m->now;
	} else if (what < 990) {
		compare(m);
	} else {
		reopen(m, what < 995);
	}
}

static void test_model(void **unused)
{
	unsigned long ops = getenv("ZC_OPS") ? strtoul(getenv("ZC_OPS"), NULL, 0) : 6000;
	struct model *m = calloc(1, sizeof(*m));
	struct zu_err err = { 0 };
	struct store_attr attr;

	(void)unused;
	assert_non_null(m);
	m->seed = getenv("ZC_SEED") ? strtoul(getenv("ZC_SEED"), NULL, 0) : 11;
	state = m->seed * 0x9e3779b97f4a7c15ull + 1;
	if (store_open(fixture_path(), &options, &m->s, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned d = 1; d < DIRS; d++) {
		char name[8];

		snprintf(name, sizeof(name), "d%u", d);
		assert_int_equal(store_mkdir(m->s, 1, name, 0755, &cred, &attr), 0);
		store_forget(m->s, attr.ino, 1);
	}
	take_directories(m);
	assert_int_equal(store_commit(m->s, NULL, 0, 0), 0);
	m->kept = m->now;
	for (m->ops = 0; m->ops < ops; m->ops++)
		one(m);
	reopen(m, false);
	assert_int_equal(store_close(m->s), 0);
	fixture_check_sound();
	free(m);
}

static void test_directories(void **unused)
{
	struct zu_err err = { 0 };
	struct store_attr a, b, c;
	struct store *s;
	uint64_t parent;

	(void)unused;
	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	assert_int_equal(store_mkdir(s, 1, "a", 0755, &cred, &a), 0);
	assert_int_equal(store_mkdir(s, a.ino, "b", 0755, &cred, &b), 0);
	assert_int_equal(store_mkdir(s, b.ino, "c", 0755, &cred, &c), 0);
	assert_int_equal(store_rename(s, 1, "a", c.ino, "x", 0), -EINVAL);
	assert_int_equal(store_rename(s, 1, "a", a.ino, "x", 0), -EINVAL);
	assert_int_equal(store_rmdir(s, 1, "a"), -ENOTEMPTY);
	assert_int_equal(store_unlink(s, 1, "a"), -EISDIR);
	assert_int_equal(store_rename(s, b.ino, "c", 1, "c", 0), 0);
	assert_int_equal(store_parent(s, c.ino, &parent), 0);
	assert_int_equal(parent, 1);
	assert_int_equal(store_getattr(s, 1, &a), 0);
	assert_int_equal(a.nlink, 4);
	assert_int_equal(store_rename(s, 1, "c", 1, "a", 0), -ENOTEMPTY);
	assert_int_equal(store_rmdir(s, 1, "c"), 0);
	/* A directory that is gone takes no more names. */
	assert_int_equal(store_mkdir(s, c.ino, "d", 0755, &cred, &b), -ENOENT);
	assert_int_equal(store_lookup(s, 1, "c", &b), -ENOENT);
	store_forget(s, c.ino, 1);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* Unlinked and still referred to: it lives; after a crash its space is given back. */
static void test_orphan(void **unused)
{
	struct zu_err err = { 0 };
	struct store_attr a;
	struct store_info before, after;
	struct store_source source = { .buf = calloc(1, 1 << 20) };
	char got[16];
	struct store *s;

	(void)unused;
	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	assert_int_equal(store_mknod(s, 1, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	assert_int_equal(store_write(s, a.ino, 0, 1 << 20, &source, 0), 1 << 20);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	assert_int_equal(store_unlink(s, 1, "f"), 0);
	assert_int_equal(store_commit(s, NULL, 0, 0), 0);
	assert_int_equal(store_pread(s, a.ino, got, sizeof(got), 0), sizeof(got));
	store_get_info(s, &before);
	fixture_crash(s);
	fixture_check_sound();
	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	assert_int_equal(store_commit(s, NULL, 0, 0), 0);
	for (int n = 0; n < 10000; n++) { /* the commit thread reaps them */
		store_get_info(s, &after);
		if (after.free_pages == before.free_pages + 256)
			break;
		usleep(10000);
	}
	assert_int_equal(after.free_pages, before.free_pages + 256);
	assert_int_equal(store_getattr(s, a.ino, &a), -ENOENT);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
	free((void *)source.buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_directories, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_orphan, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
