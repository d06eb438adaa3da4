/* SPDX-License-Identifier: MIT */
/* Writes whose bytes come from a pipe, and what a commit syncs when the page file only grew. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_i.h"
#include "store_fixture.h"

#define PIPE (512u << 10)

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { 0 };
static uint8_t bytes[PIPE], got[PIPE];
static struct store *s;
static int ends[2];

static int setup(void **state)
{
	(void)state;
	for (size_t n = 0; n < PIPE; n++)
		bytes[n] = (uint8_t)(n * 13 + n / 4096);
	if (pipe(ends) < 0 || fcntl(ends[0], F_SETPIPE_SZ, PIPE) < (int)PIPE)
		return -1;
	return fixture_make(16u << 20);
}

static uint64_t open_and_make(void)
{
	struct zu_err err = { 0 };
	struct store_attr a;

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_mknod(s, 1, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	return a.ino;
}

static ssize_t write_piped(uint64_t ino, uint64_t offset, size_t length)
{
	const struct store_source source = { .pipe_fd = ends[0] };
	int left = -1;
	ssize_t n;

	assert_int_equal(write(ends[1], bytes, length), length);
	n = store_write(s, ino, offset, length, &source, 0);
	assert_int_equal(ioctl(ends[0], FIONREAD, &left), 0);
	assert_int_equal(left, 0);
	return n;
}

static void test_written(void **state)
{
	uint64_t ino = open_and_make();

	(void)state;
	assert_int_equal(write_piped(ino, 0, 400000), 400000);
	assert_int_equal(store_pread(s, ino, got, PIPE, 0), 400000);
	assert_memory_equal(got, bytes, 400000);
	assert_int_equal(write_piped(ino, 777, 300001), 300001);
	assert_int_equal(store_pread(s, ino, got, 300001, 777), 300001);
	assert_memory_equal(got, bytes, 300001);
	assert_int_equal(write_piped(ino, 5, 10), 10);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* The pipe is empty after an error, too: nothing waits for bytes that were taken already. */
static void test_errors(void **state)
{
	uint64_t ino = open_and_make();

	(void)state;
	alarm(300);
	assert_int_equal(write_piped(ino, (uint64_t)INT64_MAX - 10, 100), -EFBIG);
	assert_int_equal(write_piped(1, 0, 4096), -EINVAL);
	for (uint64_t at = 0; write_piped(ino, at, 100) == 100;)
		at += 4096;
	assert_int_equal(write_piped(ino, 32u << 20, 300000), -ENOSPC);
	assert_int_equal(store_close(s), 0);
	alarm(0);
}

/* The super record says how long the page file is: a commit must have synced that. */
static void test_growth_is_synced(void **state)
{
	uint64_t ino = open_and_make();

	(void)state;
	assert_int_equal(store_commit(s, NULL, 0, 0), 0);
	assert_false(atomic_load(&s->page_dirty));
	assert_int_equal(store_fallocate(s, ino, 0, 0, 8192), 0);
	assert_true(atomic_load(&s->page_dirty));
	assert_int_equal(store_close(s), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(test_written), CASE(test_errors),
					    CASE(test_growth_is_synced) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
