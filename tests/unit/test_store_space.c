/* SPDX-License-Identifier: MIT */
/* A store with a limit: ENOSPC comes, nothing is lost, and removing gives the space back. */
#include <errno.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define LIMIT (16u << 20)
#define PIECE (256u << 10)

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { 0 };
static uint8_t piece[PIECE], got[PIECE];

static int setup(void **state)
{
	(void)state;
	memset(piece, 0x5a, sizeof(piece));
	return fixture_make(LIMIT);
}

static struct store *open_store(void)
{
	struct zu_err err = { 0 };
	struct store *s;

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static uint64_t make(struct store *s, const char *name)
{
	struct store_attr a;

	assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
	return a.ino;
}

/* Write `size` bytes in pieces until that fails: how many were written. */
static uint64_t fill(struct store *s, uint64_t ino, uint32_t size)
{
	const struct store_source source = { .buf = piece };
	uint64_t at = 0;
	ssize_t n;

	while ((n = store_write(s, ino, at, size, &source, 0)) == (ssize_t)size)
		at += size;
	assert_int_equal(n, -ENOSPC);
	return at;
}

static void fill_and_remove(uint32_t size)
{
	struct store *s = open_store();
	uint64_t first = 0;

	for (int round = 0; round < 5; round++) {
		uint64_t ino = make(s, "big"), n = fill(s, ino, size);

		if (!round)
			first = n;
		assert_in_range(n, first - first / 8, LIMIT);
		assert_in_range(n, LIMIT * 3 / 4, LIMIT);
		assert_int_equal(store_commit(s, &ino, 1, 0), 0);
		for (uint64_t at = 0; at < n; at += PIECE) {
			size_t len = n - at < PIECE ? n - at : PIECE;

			assert_int_equal(store_pread(s, ino, got, len, at), len);
			assert_memory_equal(got, piece, len);
		}
		assert_int_equal(store_unlink(s, 1, "big"), 0);
		store_forget(s, ino, 1);
	}
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

static void test_large_writes(void **state)
{
	(void)state;
	fill_and_remove(PIECE);
}

static void test_small_writes(void **state)
{
	(void)state;
	fill_and_remove(4096);
}

/* Overwriting a full store's file needs new pages: ENOSPC, and the old bytes stay. */
static void test_overwrite_when_full(void **state)
{
	const struct store_source other = { .buf = got };
	struct store *s = open_store();
	uint64_t ino = make(s, "big"), n = fill(s, ino, PIECE);
	uint8_t back[PIECE];
	ssize_t r = 0;

	(void)state;
	memset(got, 0x11, sizeof(got));
	assert_int_equal(store_commit(s, &ino, 1, 0), 0);
	for (uint64_t at = 0; at < n && r >= 0; at += PIECE)
		r = store_write(s, ino, at, PIECE, &other, 0);
	if (r < 0)
		assert_int_equal(r, -ENOSPC);
	fixture_crash(s);
	s = open_store();
	for (uint64_t at = 0; at < n; at += PIECE) {
		assert_int_equal(store_pread(s, ino, back, PIECE, at), PIECE);
		/* Room was made by commits: of old and new bytes, but of nothing else. */
		assert_true(back[0] == 0x5a || back[0] == 0x11);
	}
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* What fallocate() gave can be written when nothing else is left. */
static void test_fallocate_promises(void **state)
{
	const struct store_source source = { .buf = piece };
	struct store *s = open_store();
	uint64_t kept = make(s, "kept"), ino = make(s, "big");

	(void)state;
	assert_int_equal(store_fallocate(s, kept, 0, 0, 4 * PIECE), 0);
	assert_int_equal(store_fallocate(s, kept, 0, 0, 2 * LIMIT), -ENOSPC);
	fill(s, ino, 4096);
	for (uint64_t at = 0; at < 4 * PIECE; at += 4096)
		assert_int_equal(store_write(s, kept, at, 4096, &source, 0), 4096);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	assert_int_equal(store_pread(s, kept, got, PIECE, 3 * PIECE), PIECE);
	assert_memory_equal(got, piece, PIECE);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* Pages that a read in flight was told of are not given to anybody else, whatever happens. */
static void test_pages_of_a_read(void **state)
{
	const struct store_source source = { .buf = piece }, other = { .buf = got };
	struct store *s = open_store();
	uint64_t ino = make(s, "a"), big = make(s, "big");
	struct store_read read;
	uint8_t back[PIECE];

	(void)state;
	assert_int_equal(store_write(s, ino, 0, PIECE, &source, 0), PIECE);
	assert_int_equal(store_commit(s, &ino, 1, 0), 0);
	assert_int_equal(store_read_begin(s, ino, 0, PIECE, &read), 0);
	assert_int_equal(read.count, 1);
	assert_int_equal(read.segments[0].where, STORE_PAGES);
	assert_int_equal(store_unlink(s, 1, "a"), 0);
	store_forget(s, ino, 1);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	memset(got, 0x22, sizeof(got));
	for (uint64_t at = 0; store_write(s, big, at, PIECE, &other, 0) == PIECE;)
		at += PIECE;
	assert_int_equal(pread(store_page_fd(s), back, PIECE, (off_t)read.segments[0].pos), PIECE);
	assert_memory_equal(back, piece, PIECE);
	store_read_end(s, &read);
	/* Now they are free again. */
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	assert_int_equal(store_write(s, big, LIMIT, PIECE, &other, 0), PIECE);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_large_writes, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_small_writes, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_overwrite_when_full, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_fallocate_promises, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_pages_of_a_read, setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
