/* SPDX-License-Identifier: MIT */
/* Faults that were found, each as the sequence that showed it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_i.h"
#include "store_fixture.h"

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { 0 };
static uint8_t page[4096];
static struct store *s;

static uint64_t make(const char *name)
{
	struct store_attr a;

	assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
	return a.ino;
}

static void open_store(void)
{
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
}

static void put(uint64_t ino, uint64_t at, int c)
{
	memset(page, c, sizeof(page));
	assert_int_equal(store_write(s, ino, at, 4096, &(struct store_source){ .buf = page }, 0),
			 4096);
}

static void commit(uint64_t ino)
{
	assert_int_equal(store_commit(s, &ino, 1, 0), 0);
}

static void end(void)
{
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* A page that was written in its place, cloned, replaced, and whose clone went: when it is free, what
 * was in its buffer must not come back in another file. */
static void test_buffer_of_a_freed_page(void **state)
{
	uint64_t a, c;

	(void)state;
	open_store();
	a = make("a");
	c = make("c");
	assert_int_equal(store_fallocate(s, a, 0, 0, 4096), 0);
	commit(a);
	put(a, 0, 'x');
	assert_int_equal(store_copy_range(s, a, 0, c, 0, 4096), 4096);
	put(a, 0, 'y');
	assert_int_equal(store_unlink(s, 1, "c"), 0);
	store_forget(s, c, 1);
	commit(a);
	store_lock(s);
	assert_int_equal(s->nbuffers, 0);
	store_unlock(s);
	end();
}

/* The same range cloned twice is pinned once by the file that has it. */
static void test_cloned_twice(void **state)
{
	uint64_t a, c;

	(void)state;
	open_store();
	a = make("a");
	c = make("c");
	put(a, 0, 'x');
	commit(a);
	for (int n = 0; n < 3; n++)
		assert_int_equal(store_copy_range(s, a, 0, c, 0, 4096), 4096);
	assert_int_equal(s->npins, 1);
	commit(c);
	assert_int_equal(s->npins, 0);
	end();
}

/* Names of which one begins with the other, changed in both orders over what is committed. */
static void test_xattr_names(void **state)
{
	char list[256];
	uint64_t a;

	(void)state;
	open_store();
	a = make("a");
	assert_int_equal(store_setxattr(s, a, "user.a", "1", 1, 0), 0);
	assert_int_equal(store_setxattr(s, a, "user.ab", "1", 1, 0), 0);
	commit(a);
	assert_int_equal(store_setxattr(s, a, "user.a", "2", 1, 0), 0);
	assert_int_equal(store_listxattr(s, a, list, sizeof(list)), 7 + 8);
	assert_int_equal(store_removexattr(s, a, "user.a"), 0);
	assert_int_equal(store_listxattr(s, a, list, sizeof(list)), 8);
	assert_string_equal(list, "user.ab");
	assert_int_equal(store_removexattr(s, a, "user.ab"), 0);
	assert_int_equal(store_listxattr(s, a, list, sizeof(list)), 0);
	end();
}

static void *write_it(void *arg)
{
	const struct store_source source = { .pipe_fd = ((int *)arg)[0] };

	assert_int_equal(store_write(s, ((uint64_t *)arg)[1], 0, 256 << 10, &source, 0), 256 << 10);
	return NULL;
}

/* A sync while a write is under way does not cover it. */
static void test_sync_during_a_write(void **state)
{
	struct {
		int ends[2];
		uint64_t ino;
	} arg;
	static uint8_t bytes[256 << 10];
	pthread_t writer;
	uint64_t other;

	(void)state;
	open_store();
	arg.ino = make("a");
	other = make("b");
	assert_int_equal(pipe(arg.ends), 0);
	assert_true(fcntl(arg.ends[0], F_SETPIPE_SZ, 512 << 10) > 0);
	assert_int_equal(pthread_create(&writer, NULL, write_it, &arg), 0);
	usleep(50000); /* it waits for the pipe by now, or begins later: that is as well */
	put(other, 0, 'x');
	commit(other);
	assert_int_equal(write(arg.ends[1], bytes, sizeof(bytes)), sizeof(bytes));
	pthread_join(writer, NULL);
	assert_true(atomic_load(&s->page_dirty));
	end();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_buffer_of_a_freed_page),
		CASE(test_cloned_twice),
		CASE(test_xattr_names),
		CASE(test_sync_during_a_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
