/* SPDX-License-Identifier: MIT */
/*
 * D1: when the disk refuses a write or a sync, the commit fails for good: the store is read-only
 * from then on, reads go on, and opening it again gives the last commit. The disk is made to
 * refuse by RLIMIT_FSIZE.
 */
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { 0 };

static void limit_writes(bool on)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = on ? 0 : l.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void test_commit_fails(void **state)
{
	struct zu_err err = { 0 };
	struct store_info info;
	struct store_attr a, b;
	struct store *s;
	char text[64];
	const struct store_source one = { .buf = "first" }, two = { .buf = "later" };

	(void)state;
	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	assert_int_equal(store_mknod(s, 1, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	assert_int_equal(store_write(s, a.ino, 0, 5, &one, 0), 5);
	assert_int_equal(store_commit(s, &a.ino, 1, 0), 0);
	assert_int_equal(store_write(s, a.ino, 0, 5, &two, 0), 5);
	assert_int_equal(store_mknod(s, 1, "g", S_IFREG | 0600, 0, &cred, &b), 0);
	limit_writes(true);
	assert_int_equal(store_commit(s, &a.ino, 1, 0), -EIO);
	limit_writes(false);
	/* Never tried again, though it would work now. */
	assert_int_equal(store_commit(s, &a.ino, 1, 0), -EIO);
	assert_int_equal(store_write(s, a.ino, 0, 5, &two, 0), -EIO);
	assert_int_equal(store_unlink(s, 1, "f"), -EROFS);
	assert_int_equal(store_mknod(s, 1, "h", S_IFREG | 0600, 0, &cred, &b), -EROFS);
	/* Reads go on. */
	assert_int_equal(store_pread(s, a.ino, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "later", 5);
	store_get_info(s, &info);
	assert_true(info.failed != 0);
	assert_non_null(strstr(info.failure, "cannot"));
	assert_int_equal(store_close(s), -EIO);
	fixture_check_sound();

	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	assert_int_equal(store_lookup(s, 1, "g", &b), -ENOENT);
	assert_int_equal(store_lookup(s, 1, "f", &a), 0);
	assert_int_equal(store_pread(s, a.ino, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(store_close(s), 0);
}

static void expect_refusal(int code, const char *word)
{
	struct zu_err err = { 0 };
	struct store *s;

	assert_int_equal(store_open(fixture_path(), &options, &s, &err), -code);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

static void test_refusals(void **state)
{
	struct zu_err err = { 0 };
	struct store *s;
	char path[5000];
	FILE *f;

	(void)state;
	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	expect_refusal(EBUSY, "in use");
	assert_int_equal(store_close(s), 0);

	snprintf(path, sizeof(path), "%s/format", fixture_path());
	f = fopen(path, "r+");
	assert_non_null(f);
	fprintf(f, "zcfs store\nversion 7\n");
	fclose(f);
	expect_refusal(EPROTONOSUPPORT, "version 7");
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "something\n");
	fclose(f);
	expect_refusal(EINVAL, "not a zcfs store");
	unlink(path);
	expect_refusal(EINVAL, "not a zcfs store");
}

static _Atomic bool refuse;
static sem_t refusing, go_on;

/* The log's disk is full, and takes its time to say so. */
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t pos)
{
	if (!refuse || memcmp(iov->iov_base, "zcfslog1", 8) != 0)
		return syscall(SYS_pwritev, fd, iov, n, pos, 0);
	refuse = false;
	sem_post(&refusing);
	sem_wait(&go_on);
	errno = ENOSPC;
	return -1;
}

static void committed(void *arg, int result)
{
	assert_int_equal(result, 0);
	sem_post(arg);
}

/* The log refuses a commit that somebody in a hold waits for, while it waits for the hold. */
static void test_log_full_in_a_hold(void **state)
{
	const struct store_options with_log = { .log_bytes = 1 << 20, .log = fixture_log };
	const struct store_source one = { .buf = "first" }, two = { .buf = "later" };
	struct zu_err err = { 0 };
	struct store_info info;
	struct store_attr a;
	struct store *s;
	char text[64];
	sem_t done;

	(void)state;
	sem_init(&refusing, 0, 0);
	sem_init(&go_on, 0, 0);
	sem_init(&done, 0, 0);
	assert_int_equal(store_open(fixture_path(), &with_log, &s, &err), 0);
	assert_int_equal(store_mknod(s, 1, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	do { /* the log is made after the first commit is answered */
		assert_int_equal(store_write(s, a.ino, 0, 5, &one, 0), 5);
		assert_int_equal(store_commit(s, &a.ino, 1, 0), 0);
		store_get_info(s, &info);
	} while (!info.logged_commits);
	assert_int_equal(store_write(s, a.ino, 0, 5, &one, 0), 5);
	refuse = true;
	store_commit_start(s, &a.ino, 1, 0, committed, &done);
	sem_wait(&refusing);
	store_hold_begin(s);
	assert_int_equal(store_write(s, a.ino, 0, 5, &two, 0), 5);
	sem_post(&go_on);
	assert_int_equal(store_rollback_held(s, a.ino), 0);
	store_hold_end(s);
	sem_wait(&done);
	assert_int_equal(store_pread(s, a.ino, text, sizeof(text), 0), 5);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commit_fails, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refusals, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_log_full_in_a_hold, fixture_setup,
						fixture_teardown),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
