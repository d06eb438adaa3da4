/* SPDX-License-Identifier: MIT */
/* Commits that have to be quick: who makes them, where their pages go. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define PAGE 4096u
#define PAGES 4000u /* of the file */

static struct store *s;
static uint64_t file;

static void open_store(void)
{
	const struct store_options o = { .explicit_policy = true,
					 .log_bytes = 1u << 20,
					 .log = fixture_log };
	struct store_attr attr;
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), &o, &s, &err) < 0)
		fail_msg("%s", err.text);
	if (store_lookup(s, 1, "file", &attr) == 0)
		file = attr.ino;
}

static void put(uint64_t page, char c)
{
	char bytes[PAGE];
	const struct store_source source = { .buf = bytes };

	memset(bytes, c, PAGE);
	assert_int_equal(store_write(s, file, page * PAGE, PAGE, &source, 0), PAGE);
}

static char get(uint64_t page)
{
	char bytes[PAGE];

	assert_int_equal(store_pread(s, file, bytes, PAGE, page * PAGE), PAGE);
	for (size_t i = 1; i < PAGE; i++)
		assert_int_equal(bytes[i], bytes[0]);
	return bytes[0];
}

static uint64_t logged(void)
{
	struct store_info info;

	store_get_info(s, &info);
	return info.logged_commits;
}

static void commit(unsigned flags)
{
	assert_int_equal(store_commit(s, &file, 1, flags), 0);
}

/* A file in the metadata, and a log. */
static int setup(void **state)
{
	static char bytes[PAGES * PAGE];
	const struct store_source source = { .buf = bytes };
	struct store_cred cred = { 0 };
	struct store_attr attr;

	if (fixture_setup(state) < 0)
		return -1;
	open_store();
	assert_int_equal(store_mknod(s, 1, "file", S_IFREG | 0644, 0, &cred, &attr), 0);
	file = attr.ino;
	memset(bytes, 'a', sizeof(bytes));
	assert_int_equal(store_write(s, file, 0, sizeof(bytes), &source, 0), sizeof(bytes));
	do {
		put(0, 'a');
		commit(0);
	} while (!logged());
	return 0;
}

struct answer {
	atomic_int result;
	pthread_t by;
};

static void answered(void *arg, int result)
{
	struct answer *a = arg;

	a->by = pthread_self();
	atomic_store(&a->result, result);
}

static void ask(struct answer *a, unsigned flags)
{
	atomic_store(&a->result, 1);
	store_commit_start(s, &file, 1, flags, answered, a);
}

static void await(struct answer *a)
{
	while (atomic_load(&a->result) == 1)
		usleep(1000);
	assert_int_equal(atomic_load(&a->result), 0);
}

/* Nothing is being done: the thread that asks makes the commit, if that is allowed, and short. */
static void test_made_here(void **state)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;
	struct answer a;
	uint64_t n;

	(void)state;
	commit(STORE_COMMIT_ALL); /* the thread has done what it had to */
	do {
		n = logged();
		put(1, 'b');
		ask(&a, STORE_COMMIT_HERE);
		await(&a);
	} while (logged() == n);
	assert_true(pthread_equal(a.by, pthread_self()));

	put(1, 'c');
	ask(&a, 0);
	await(&a);
	assert_false(pthread_equal(a.by, pthread_self()));

	/* A name makes it a long one. */
	put(1, 'd');
	assert_int_equal(store_mknod(s, 1, "name", S_IFREG | 0644, 0, &cred, &attr), 0);
	ask(&a, STORE_COMMIT_HERE);
	await(&a);
	assert_false(pthread_equal(a.by, pthread_self()));
	fixture_crash(s);
	fixture_check_sound();
	open_store();
	assert_int_equal(get(1), 'd');
	store_close(s);
}

struct committer {
	pthread_t thread;
	unsigned number;
};

static void *commit_often(void *arg)
{
	struct committer *c = arg;

	for (unsigned n = 0; n < 50; n++) {
		struct answer a;

		put(c->number, (char)('a' + n % 26));
		ask(&a, n % 3 ? STORE_COMMIT_HERE : 0);
		await(&a);
	}
	return NULL;
}

/* Those who find one being made wait for the next, whoever makes it. */
static void test_made_by_many(void **state)
{
	struct committer c[8];

	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		c[n].number = n;
		assert_int_equal(pthread_create(&c[n].thread, NULL, commit_often, &c[n]), 0);
	}
	for (unsigned n = 0; n < 8; n++)
		pthread_join(c[n].thread, NULL);
	fixture_crash(s);
	fixture_check_sound();
	open_store();
	for (unsigned n = 0; n < 8; n++)
		assert_int_equal(get(n), 'a' + 49 % 26);
	store_close(s);
}

/* More pages than the log has room for go to the page file, and the log says where. */
static void test_many_pages(void **state)
{
	uint64_t n;

	(void)state;
	do {
		commit(STORE_COMMIT_EVERYTHING);
		n = logged();
		for (unsigned k = 0; k < 400; k++)
			put(10 * k, (char)('A' + k % 26));
		commit(0);
	} while (logged() == n); /* the page file grew */
	put(10, 'z');		 /* on top of it, by its bytes */
	commit(0);
	assert_int_equal(logged(), n + 2);
	fixture_crash(s);
	fixture_check_sound();
	open_store();
	for (unsigned k = 0; k < 400; k++)
		assert_int_equal(get(10 * k), k == 1 ? 'z' : 'A' + k % 26);
	commit(STORE_COMMIT_EVERYTHING);
	for (unsigned k = 0; k < 400; k++)
		assert_int_equal(get(10 * k), k == 1 ? 'z' : 'A' + k % 26);
	store_close(s);
	fixture_check_sound();
}

/* How many runs pages 0, 10, ... of the file are in, one after another. */
static unsigned runs(unsigned count)
{
	unsigned n = 0;
	off_t last = 0;

	for (unsigned k = 0; k < count; k++) {
		struct store_read read;

		assert_int_equal(store_read_begin(s, file, 10 * k * PAGE, PAGE, &read), 0);
		assert_int_equal(read.count, 1);
		n += (off_t)read.segments[0].pos != last + PAGE;
		last = (off_t)read.segments[0].pos;
		store_read_end(s, &read);
	}
	return n;
}

/* Free pages are scattered where files are changed at random; what is written there goes into the runs that
 * are left. */
static void test_runs(void **state)
{
	static char bytes[1000 * PAGE];
	const struct store_source source = { .buf = bytes };
	const struct store_attr empty = { .size = 0 };
	struct store_cred cred = { 0 };
	struct store_attr attr;
	uint64_t other;

	(void)state;
	assert_int_equal(store_mknod(s, 1, "other", S_IFREG | 0644, 0, &cred, &attr), 0);
	other = attr.ino;
	assert_int_equal(store_write(s, other, 0, sizeof(bytes), &source, 0), sizeof(bytes));
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned k = 0; k < PAGES; k += 2 + round)
			put(k, 'b');
		commit(STORE_COMMIT_EVERYTHING);
	}
	assert_int_equal(store_setattr(s, other, STORE_SET_SIZE, &empty, &attr), 0);
	commit(STORE_COMMIT_EVERYTHING);
	commit(STORE_COMMIT_EVERYTHING);
	for (unsigned k = 0; k < 200; k++)
		put(10 * k, 'c');
	commit(STORE_COMMIT_EVERYTHING);
	assert_in_range(runs(200), 1, 6);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_here, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_made_by_many, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_many_pages, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
