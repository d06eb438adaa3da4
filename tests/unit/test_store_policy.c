/* SPDX-License-Identifier: MIT */
/*
 * The table of what captures a file's data (docs/COMMITS.md), row by row, for both policies; several
 * files at once (A4) and rollback (A5). What a crash shows tells what was captured.
 */
#include <errno.h>
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

static const struct store_options options = { .log = fixture_log };
static const struct store_options periodic = { .commit_seconds = 1, .log = fixture_log };
static const struct store_cred cred = { 0 };
static struct store *s;

static void open_with(const struct store_options *o)
{
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), o, &s, &err) < 0)
		fail_msg("%s", err.text);
}

static uint64_t make(const char *name, const char *policy)
{
	struct store_attr a;

	assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
	if (policy)
		assert_int_equal(
			store_setxattr(s, a.ino, STORE_XATTR_POLICY, policy, strlen(policy), 0), 0);
	return a.ino;
}

static void put(uint64_t ino, const char *text)
{
	const struct store_source source = { .buf = text };
	struct store_attr a = { 0 };

	assert_int_equal(store_setattr(s, ino, STORE_SET_SIZE, &a, &a), 0);
	assert_int_equal(store_write(s, ino, 0, strlen(text), &source, 0), strlen(text));
}

static void expect(const char *name, const char *text)
{
	char got[64] = "";
	struct store_attr a;

	assert_int_equal(store_peek(s, 1, name, &a), 0);
	assert_int_equal(store_pread(s, a.ino, got, sizeof(got) - 1, 0), strlen(text));
	assert_string_equal(got, text);
	assert_int_equal(a.size, strlen(text));
}

static void crash(void)
{
	fixture_crash(s);
	fixture_check_sound();
	open_with(&options);
}

static void end(void)
{
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

/* Two files with committed content, then new content that is only in memory. */
static void both(uint64_t *ret_explicit, uint64_t *ret_auto)
{
	*ret_explicit = make("e", "explicit");
	*ret_auto = make("a", NULL);
	put(*ret_explicit, "old");
	put(*ret_auto, "old");
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(*ret_explicit, "newer");
	put(*ret_auto, "newer");
}

static void test_own_commit(void **state)
{
	uint64_t inos[2];

	(void)state;
	open_with(&options);
	both(&inos[0], &inos[1]);
	assert_int_equal(store_commit(s, &inos[0], 1, 0), 0);
	assert_int_equal(store_commit(s, &inos[1], 1, 0), 0);
	crash();
	expect("e", "newer");
	expect("a", "newer");
	end();
}

static void test_another_files_commit(void **state)
{
	uint64_t inos[2], other;

	(void)state;
	open_with(&options);
	both(&inos[0], &inos[1]);
	other = make("other", NULL);
	put(other, "x");
	assert_int_equal(store_commit(s, &other, 1, 0), 0);
	crash();
	expect("e", "old");
	expect("a", "old");
	expect("other", "x");
	end();
}

static void test_periodic_commit(void **state)
{
	struct store_info before, now = { 0 };
	uint64_t inos[2];

	(void)state;
	open_with(&periodic);
	both(&inos[0], &inos[1]);
	store_get_info(s, &before);
	/* The first one may have begun already. */
	for (int n = 0; n < 5000 && now.commits < before.commits + 2; n++) {
		usleep(20000);
		store_get_info(s, &now);
	}
	assert_int_equal(now.pending_files, 1);
	crash();
	expect("e", "old");
	expect("a", "newer");
	end();
}

/* More than fits in memory goes to the page file early: that captures nothing. */
static void test_eviction(void **state)
{
	static uint8_t page[4096];
	const struct store_source source = { .buf = page };
	struct store_info info;
	uint64_t inos[2];

	(void)state;
	open_with(&options);
	both(&inos[0], &inos[1]);
	for (uint64_t n = 1; n < 16384; n++) /* 64 MiB in small pieces */
		assert_int_equal(store_write(s, inos[0], n * 4096, 4096, &source, 0), 4096);
	store_get_info(s, &info);
	assert_true(info.paths[STORE_FLUSH_BUFFER].bytes > 0);
	crash();
	expect("e", "old");
	end();
}

static void test_clean_close(void **state)
{
	uint64_t inos[2];

	(void)state;
	open_with(&options);
	both(&inos[0], &inos[1]);
	end();
	open_with(&options);
	expect("e", "newer");
	expect("a", "newer");
	end();
}

static void test_rename_over(void **state)
{
	uint64_t inos[2];

	(void)state;
	open_with(&options);
	both(&inos[0], &inos[1]);
	make("t1", NULL);
	make("t2", NULL);
	assert_int_equal(store_rename(s, 1, "e", 1, "t1", 0), 0);
	assert_int_equal(store_rename(s, 1, "a", 1, "t2", 0), 0);
	assert_int_equal(store_commit(s, NULL, 0, 0), 0);
	crash();
	expect("t1", "newer");
	expect("t2", "newer");
	end();
}

static void test_link_of_tmpfile(void **state)
{
	struct store_attr a;

	(void)state;
	open_with(&options);
	assert_int_equal(store_tmpfile(s, 1, 0600, &cred, &a), 0);
	assert_int_equal(store_setxattr(s, a.ino, STORE_XATTR_POLICY, "explicit", 8, 0), 0);
	put(a.ino, "whole");
	assert_int_equal(store_link(s, a.ino, 1, "named", &a), 0);
	assert_int_equal(store_commit(s, NULL, 0, 0), 0);
	crash();
	expect("named", "whole");
	end();
}

static void test_inherited(void **state)
{
	const struct store_options o = { .explicit_policy = true, .log = fixture_log };
	struct store_attr d, f, g;
	char value[16];

	(void)state;
	open_with(&options);
	assert_int_equal(store_mkdir(s, 1, "d", 0755, &cred, &d), 0);
	assert_int_equal(store_setxattr(s, d.ino, STORE_XATTR_POLICY, "explicit", 8, 0), 0);
	assert_int_equal(store_mknod(s, d.ino, "f", S_IFREG | 0600, 0, &cred, &f), 0);
	assert_int_equal(store_mkdir(s, d.ino, "g", 0755, &cred, &g), 0);
	assert_int_equal(store_getxattr(s, f.ino, STORE_XATTR_POLICY, value, sizeof(value)), 8);
	assert_int_equal(store_getxattr(s, g.ino, STORE_XATTR_POLICY, value, sizeof(value)), 8);
	assert_int_equal(store_getxattr(s, 1, STORE_XATTR_POLICY, value, sizeof(value)), 4);
	assert_int_equal(store_listxattr(s, f.ino, NULL, 0), sizeof(STORE_XATTR_POLICY));
	assert_int_equal(store_removexattr(s, f.ino, STORE_XATTR_POLICY), 0);
	assert_int_equal(store_removexattr(s, f.ino, STORE_XATTR_POLICY), -ENODATA);
	assert_int_equal(store_listxattr(s, f.ino, NULL, 0), 0);
	assert_int_equal(store_setxattr(s, f.ino, STORE_XATTR_POLICY, "other", 5, 0), -EINVAL);
	end();
	open_with(&o);
	assert_int_equal(store_lookup(s, 1, "d", &d), 0);
	assert_int_equal(d.flags, STORE_INODE_EXPLICIT);
	assert_int_equal(store_mknod(s, 1, "h", S_IFREG | 0600, 0, &cred, &f), 0);
	assert_int_equal(f.flags, STORE_INODE_EXPLICIT);
	end();
}

/* A4: all of the set, or none: here all; the crash laboratory cuts in between. */
/* `value` ("": no attribute) of user.zcfs.live, and whether it is listed. */
static void expect_mark(uint64_t ino, const char *value, bool listed)
{
	char got[64] = "";
	ssize_t n = store_getxattr(s, ino, STORE_XATTR_LIVE, got, sizeof(got) - 1);

	assert_int_equal(n, *value ? (ssize_t)strlen(value) : -ENODATA);
	assert_string_equal(got, value);
	memset(got, 0, sizeof(got));
	n = store_listxattr(s, ino, got, sizeof(got));
	assert_int_equal(n, listed ? sizeof(STORE_XATTR_LIVE) : 0);
	assert_string_equal(got, listed ? STORE_XATTR_LIVE : "");
}

static int mark(uint64_t ino, const char *value)
{
	return store_setxattr(s, ino, STORE_XATTR_LIVE, value, strlen(value), 0);
}

static void test_live_mark(void **state)
{
	struct store_attr a;
	char both[64];
	uint64_t ino;

	(void)state;
	open_with(&options);
	ino = make("f", NULL);
	expect_mark(ino, "off", false);
	assert_int_equal(store_removexattr(s, ino, STORE_XATTR_LIVE), -ENODATA);
	assert_int_equal(mark(ino, "on"), 0);
	expect_mark(ino, "on", true);
	assert_int_equal(store_getattr(s, ino, &a), 0);
	assert_int_equal(a.flags, STORE_INODE_LIVE);
	/* The size is asked for first; a buffer may be too small. */
	assert_int_equal(store_getxattr(s, ino, STORE_XATTR_LIVE, NULL, 0), 2);
	assert_int_equal(store_getxattr(s, ino, STORE_XATTR_LIVE, both, 1), -ERANGE);
	assert_int_equal(store_listxattr(s, ino, both, 3), -ERANGE);
	/* Both of zcfs's, each by itself */
	assert_int_equal(store_setxattr(s, ino, STORE_XATTR_POLICY, "explicit", 8, 0), 0);
	assert_int_equal(store_listxattr(s, ino, both, sizeof(both)),
			 sizeof(STORE_XATTR_LIVE) + sizeof(STORE_XATTR_POLICY));
	assert_int_equal(store_removexattr(s, ino, STORE_XATTR_POLICY), 0);
	expect_mark(ino, "on", true);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	crash();
	assert_int_equal(store_lookup(s, 1, "f", &a), 0);
	expect_mark(ino, "on", true);
	assert_int_equal(mark(ino, "off"), 0);
	expect_mark(ino, "off", false);
	assert_int_equal(mark(ino, "on"), 0);
	assert_int_equal(store_removexattr(s, ino, STORE_XATTR_LIVE), 0);
	expect_mark(ino, "off", false);
	end();
}

static void test_live_mark_refused(void **state)
{
	static const char *const bad[] = { "", "o", "onn", "ON", "of", "yes", "1", "on\n" };
	struct store_attr a;
	uint64_t ino;

	(void)state;
	open_with(&options);
	ino = make("f", NULL);
	for (int on = 0; on < 2; on++) {
		if (on)
			assert_int_equal(mark(ino, "on"), 0);
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			assert_int_equal(mark(ino, bad[i]), -EINVAL);
		assert_int_equal(store_setxattr(s, ino, STORE_XATTR_LIVE, "on", 3, 0), -EINVAL);
		expect_mark(ino, on ? "on" : "off", on);
	}
	assert_int_equal(store_symlink(s, 1, "l", "f", &cred, &a), 0);
	assert_int_equal(mark(a.ino, "on"), -EINVAL);
	assert_int_equal(store_mknod(s, 1, "p", S_IFIFO | 0600, 0, &cred, &a), 0);
	assert_int_equal(mark(a.ino, "on"), -EINVAL);
	expect_mark(a.ino, "", false);
	end();
}

/* By files and directories; others have none, and none is listed of them. */
static void test_live_mark_inherited(void **state)
{
	struct store_attr d, a;

	(void)state;
	open_with(&options);
	assert_int_equal(store_mkdir(s, 1, "d", 0755, &cred, &d), 0);
	assert_int_equal(mark(d.ino, "on"), 0);
	assert_int_equal(store_mknod(s, d.ino, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	expect_mark(a.ino, "on", true);
	assert_int_equal(store_tmpfile(s, d.ino, S_IFREG | 0600, &cred, &a), 0);
	expect_mark(a.ino, "on", true);
	assert_int_equal(store_mkdir(s, d.ino, "g", 0755, &cred, &a), 0);
	expect_mark(a.ino, "on", true);
	assert_int_equal(store_mknod(s, a.ino, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	expect_mark(a.ino, "on", true);
	assert_int_equal(store_symlink(s, d.ino, "l", "f", &cred, &a), 0);
	expect_mark(a.ino, "", false);
	assert_int_equal(a.flags, 0);
	assert_int_equal(store_mknod(s, d.ino, "p", S_IFIFO | 0600, 0, &cred, &a), 0);
	expect_mark(a.ino, "", false);
	/* What is there already, and what is moved in, stays as it is. */
	assert_int_equal(store_peek(s, d.ino, "f", &a), 0);
	assert_int_equal(mark(d.ino, "off"), 0);
	expect_mark(a.ino, "on", true);
	a.ino = make("h", NULL);
	assert_int_equal(mark(d.ino, "on"), 0);
	assert_int_equal(store_rename(s, 1, "h", d.ino, "h", 0), 0);
	expect_mark(a.ino, "off", false);
	end();
}

static void test_several(void **state)
{
	uint64_t inos[3];

	(void)state;
	open_with(&options);
	for (int n = 0; n < 3; n++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", n);
		inos[n] = make(name, "explicit");
		put(inos[n], name);
	}
	assert_int_equal(store_commit(s, inos, 2, 0), 0);
	crash();
	expect("f0", "f0");
	expect("f1", "f1");
	expect("f2", "");
	end();
}

static void test_rollback(void **state)
{
	struct store_attr a, before;
	uint64_t inos[2], fresh;

	(void)state;
	open_with(&options);
	both(&inos[0], &inos[1]);
	assert_int_equal(store_rollback(s, inos[0], &a), 0);
	assert_int_equal(a.size, 3);
	expect("e", "old");
	expect("a", "newer");
	/* Also what was cut and grown, and its mtime. */
	assert_int_equal(store_getattr(s, inos[0], &before), 0);
	a.size = 1 << 20;
	assert_int_equal(store_setattr(s, inos[0], STORE_SET_SIZE, &a, &a), 0);
	put(inos[0], "something longer");
	assert_int_equal(store_rollback(s, inos[0], &a), 0);
	assert_int_equal(a.mtime.tv_sec, before.mtime.tv_sec);
	assert_int_equal(a.mtime.tv_nsec, before.mtime.tv_nsec);
	assert_int_equal(a.blocks, before.blocks);
	expect("e", "old");
	fresh = make("fresh", NULL);
	put(fresh, "never captured");
	assert_int_equal(store_rollback(s, fresh, &a), 0);
	expect("fresh", "");
	assert_int_equal(store_rollback(s, 1, &a), -EINVAL);
	/* It goes on as any file. */
	put(inos[0], "again");
	assert_int_equal(store_commit(s, &inos[0], 1, 0), 0);
	crash();
	expect("e", "again");
	end();
}

/* fallocate, write in place, clone; then the source is overwritten, or rolled back and written in
 * its place again: the clone stays what it was. */
static void clone_of_allocated(bool roll)
{
	struct store_attr a;
	uint64_t from = make("from", "explicit"), to = make("to", "explicit");

	assert_int_equal(store_fallocate(s, from, 0, 0, 8192), 0);
	assert_int_equal(store_commit(s, &from, 1, 0), 0);
	for (int n = 0; n < 2; n++) {
		static uint8_t page[4096];
		const struct store_source source = { .buf = page };

		memset(page, n ? 'y' : 'x', sizeof(page));
		assert_int_equal(store_write(s, from, 0, 4096, &source, 0), 4096);
		if (!n)
			assert_int_equal(store_copy_range(s, from, 0, to, 0, 4096), 4096);
		if (!n && roll)
			assert_int_equal(store_commit(s, &to, 1, 0), 0);
		if (!n && roll)
			assert_int_equal(store_rollback(s, from, &a), 0);
	}
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	for (int n = 0; n < 2; n++) {
		uint8_t got[4096];

		assert_int_equal(store_pread(s, to, got, 4096, 0), 4096);
		assert_int_equal(got[0], 'x');
		assert_int_equal(got[4095], 'x');
		assert_int_equal(store_pread(s, from, got, 4096, 0), 4096);
		assert_int_equal(got[0], 'y');
		crash();
		assert_int_equal(store_lookup(s, 1, "to", &a), 0);
	}
	end();
}

static void test_clone_of_allocated(void **state)
{
	(void)state;
	open_with(&options);
	clone_of_allocated(false);
}

static void test_clone_then_rollback(void **state)
{
	(void)state;
	open_with(&options);
	clone_of_allocated(true);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_own_commit),
		CASE(test_another_files_commit),
		CASE(test_periodic_commit),
		CASE(test_eviction),
		CASE(test_clean_close),
		CASE(test_rename_over),
		CASE(test_link_of_tmpfile),
		CASE(test_inherited),
		CASE(test_live_mark),
		CASE(test_live_mark_refused),
		CASE(test_live_mark_inherited),
		CASE(test_several),
		CASE(test_rollback),
		CASE(test_clone_of_allocated),
		CASE(test_clone_then_rollback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
