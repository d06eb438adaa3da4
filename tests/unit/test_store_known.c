/* SPDX-License-Identifier: MIT */
/* What is kept of inodes that do nothing: the table, and that nobody notices when they leave memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/store_i.h"
#include "store_fixture.h"

#define MANY 20000u

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { .uid = 5, .gid = 6, .umask = 022 };

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Numbers that follow one another, and scattered ones; removed in another order than they came. */
static void test_table(void **unused)
{
	static bool there[2 * MANY];
	struct table t = { 0 };
	uint64_t state = 7;
	size_t count = 0;

	(void)unused;
	for (unsigned n = 0; n < 40 * MANY; n++) {
		/* It grows first and shrinks then. */
		bool add = next_random(&state) % 8 < (n < 20 * MANY ? 6u : 2u);
		size_t k = next_random(&state) % (2 * MANY);
		uint64_t ino = k < MANY ? k + 1 : k * 0x10000001ull;
		struct known *found = table_find(&t, ino);

		assert_int_equal(found != NULL, there[k]);
		if (found)
			assert_int_equal(found->what, ino * 2 + 1);
		if (add && !found) {
			const struct known one = { .ino = ino, .what = ino * 2 + 1 };

			assert_int_equal(table_add(&t, &one), 0);
		} else if (!add && found) {
			table_remove(&t, found);
		} else {
			continue;
		}
		there[k] = add;
		count += add ? 1 : (size_t)-1;
		assert_int_equal(t.count, count);
	}
	for (size_t k = 0; k < 2 * MANY; k++) {
		uint64_t ino = k < MANY ? k + 1 : k * 0x10000001ull;

		if (there[k])
			table_remove(&t, table_find(&t, ino));
	}
	assert_int_equal(t.count, 0);
	assert_true(t.size <= 8192);
	table_free(&t);
}

static struct store *open_idle(size_t most)
{
	struct zu_err err = { 0 };
	struct store *s;

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
	s->idle_most = most;
	return s;
}

static void counts(struct store *s, uint64_t known, uint64_t cached)
{
	struct store_info info;

	store_get_info(s, &info);
	assert_int_equal(info.known_inodes, known);
	assert_int_equal(info.cached_inodes, cached);
}

/* References are counted on, in memory or not; the last one takes the number out of the table. */
static void test_references(void **unused)
{
	struct store *s = open_idle(0);
	struct store_attr a, b;

	(void)unused;
	assert_int_equal(store_mknod(s, 1, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	counts(s, 2, 2); /* it, and the root */
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	store_get_info(s, &(struct store_info){ 0 });
	counts(s, 2, 1);
	assert_int_equal(store_lookup(s, 1, "f", &b), 0);
	assert_int_equal(b.ino, a.ino);
	counts(s, 2, 1);
	assert_int_equal(store_setattr(s, a.ino, STORE_SET_MODE,
				       &(struct store_attr){ .mode = 0640 }, &b),
			 0);
	counts(s, 2, 2);
	assert_int_equal(store_lookup(s, 1, "f", &b), 0);
	assert_int_equal(b.mode, S_IFREG | 0640);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	store_forget(s, a.ino, 2);
	counts(s, 2, 1);
	assert_int_equal(store_getattr(s, a.ino, &b), 0);
	store_forget(s, a.ino, 1);
	counts(s, 1, 1);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* A file without a name is watched: its data stay while somebody refers to it, and go then. */
static void test_unlinked(void **unused)
{
	const struct store_source source = { .buf = "some text" };
	struct store *s = open_idle(0);
	struct store_attr a, t, b;
	char text[9];

	(void)unused;
	assert_int_equal(store_mknod(s, 1, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	assert_int_equal(store_write(s, a.ino, 0, 9, &source, 0), 9);
	assert_int_equal(store_tmpfile(s, 1, 0600, &cred, &t), 0);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	assert_int_equal(store_unlink(s, 1, "f"), 0);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	assert_int_equal(store_pread(s, a.ino, text, 9, 0), 9);
	assert_memory_equal(text, "some text", 9);
	assert_int_equal(store_link(s, a.ino, 1, "again", &b), -ENOENT);
	assert_int_equal(store_link(s, t.ino, 1, "made", &b), 0);
	store_forget(s, a.ino, 1);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	assert_int_equal(store_getattr(s, a.ino, &b), -ENOENT);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* Many that are only looked at take no memory but their slots. */
static void test_many(void **unused)
{
	struct store *s = open_idle(IDLE_MOST);
	struct store_attr a;
	char name[16];

	(void)unused;
	for (unsigned n = 0; n < MANY; n++) {
		snprintf(name, sizeof(name), "%u", n);
		assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
	}
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	store_getattr(s, 1, &a);
	assert_int_equal(s->known.count, MANY + 1);
	assert_true(s->cached <= IDLE_MOST + 1);
	assert_int_equal(store_close(s), 0);
	s = open_idle(IDLE_MOST);
	for (unsigned n = 0; n < MANY; n++) {
		snprintf(name, sizeof(name), "%u", n);
		assert_int_equal(store_lookup(s, 1, name, &a), 0);
	}
	counts(s, MANY + 1, 1);
	assert_true(s->known.size * sizeof(struct known) <= 48 * MANY);
	for (unsigned n = 0; n < MANY; n++) {
		snprintf(name, sizeof(name), "%u", n);
		assert_int_equal(store_peek(s, 1, name, &a), 0);
		store_forget(s, a.ino, 1);
	}
	counts(s, 1, 1);
	assert_true(s->known.size * sizeof(struct known) <= 128 << 10);
	assert_int_equal(store_close(s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test_setup_teardown(test_references, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unlinked, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_many, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
