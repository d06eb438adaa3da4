/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/kv.h"

static char dir[64], file[80];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/zcfs-kv-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/data.mdb", dir);
	return 0;
}

static int teardown(void **state)
{
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct kv *open_kv(enum kv_mode mode)
{
	struct zu_err err = { 0 };
	struct kv *kv = NULL;

	if (kv_open(dir, mode, &kv, &err) < 0)
		fail_msg("%s", err.text);
	return kv;
}

static struct kv_txn *begin(struct kv *kv, bool write)
{
	struct kv_txn *txn = NULL;

	assert_int_equal(kv_begin(kv, write, &txn), 0);
	return txn;
}

static void put(struct kv_txn *txn, const char *key, const char *value)
{
	assert_int_equal(kv_put(txn, ZCF_DB_INODE, key, strlen(key), value, strlen(value)), 0);
}

static int get(struct kv_txn *txn, const char *key, const char *expected)
{
	struct kv_val v;
	int r = kv_get(txn, ZCF_DB_INODE, key, strlen(key), &v);

	if (r == 0) {
		assert_int_equal(v.size, strlen(expected));
		assert_memory_equal(v.data, expected, v.size);
	}
	return r;
}

static void expect_refused(enum kv_mode mode, int code, const char *text)
{
	struct zu_err err = { 0 };
	struct kv *kv = NULL;

	assert_int_equal(kv_open(dir, mode, &kv, &err), -code);
	assert_null(kv);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_non_null(strstr(err.text, dir));
}

static void what_was_committed_is_there_again(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	struct kv_txn *txn = begin(kv, true);
	struct stat st;

	put(txn, "a", "1");
	assert_int_equal(kv_commit(txn), 0);
	txn = begin(kv, true);
	put(txn, "b", "2");
	kv_abort(txn);
	kv_abort(NULL);
	kv_close(kv);
	kv_close(NULL);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	for (int mode = KV_READ; mode <= KV_WRITE; mode++) {
		kv = open_kv(mode);
		txn = begin(kv, false);
		assert_int_equal(get(txn, "a", "1"), 0);
		assert_int_equal(get(txn, "b", "2"), -ENOENT);
		kv_abort(txn);
		kv_close(kv);
	}
}

static void reading_leaves_nothing_behind(void **state)
{
	char lock[80];
	struct kv *kv = open_kv(KV_CREATE);

	kv_close(kv);
	snprintf(lock, sizeof(lock), "%s/lock.mdb", dir);
	assert_int_equal(unlink(lock), 0);
	kv = open_kv(KV_READ);
	kv_close(kv);
	assert_int_equal(access(lock, F_OK), -1);
}

static void readers_see_their_commit_until_they_renew(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	struct kv_txn *reader = begin(kv, false), *txn = begin(kv, true);
	struct kv_cursor *cursor = NULL;
	struct kv_val k, v;

	assert_int_equal(kv_cursor_open(reader, ZCF_DB_INODE, &cursor), 0);
	put(txn, "a", "1");
	assert_int_equal(kv_commit(txn), 0);
	assert_int_equal(get(reader, "a", "1"), -ENOENT);
	assert_int_equal(kv_first(cursor, &k, &v), -ENOENT);
	assert_int_equal(kv_renew(reader), 0);
	assert_int_equal(kv_cursor_renew(reader, cursor), 0);
	assert_int_equal(get(reader, "a", "1"), 0);
	assert_int_equal(kv_first(cursor, &k, &v), 0);
	kv_cursor_close(cursor);
	kv_cursor_close(NULL);
	kv_abort(reader);
	kv_close(kv);
}

static void expect_key(int r, struct kv_val k, const char *key)
{
	assert_int_equal(r, 0);
	assert_int_equal(k.size, strlen(key));
	assert_memory_equal(k.data, key, k.size);
}

static void cursors_go_both_ways(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	struct kv_txn *txn = begin(kv, true);
	struct kv_cursor *cursor = NULL;
	struct kv_val k, v;

	put(txn, "b", "2");
	put(txn, "a", "1");
	put(txn, "cc", "3");
	assert_int_equal(kv_cursor_open(txn, ZCF_DB_INODE, &cursor), 0);
	expect_key(kv_first(cursor, &k, &v), k, "a");
	expect_key(kv_next(cursor, &k, &v), k, "b");
	expect_key(kv_prev(cursor, &k, &v), k, "a");
	assert_int_equal(kv_prev(cursor, &k, &v), -ENOENT);
	expect_key(kv_last(cursor, &k, &v), k, "cc");
	assert_int_equal(kv_next(cursor, &k, &v), -ENOENT);
	expect_key(kv_seek(cursor, "aa", 2, &k, &v), k, "b");
	expect_key(kv_seek(cursor, "c", 1, &k, &v), k, "cc");
	expect_key(kv_seek(cursor, NULL, 0, &k, &v), k, "a");
	assert_int_equal(kv_seek(cursor, "d", 1, &k, &v), -ENOENT);
	kv_cursor_close(cursor);
	kv_abort(txn);
	kv_close(kv);
}

static void deleting_under_a_cursor_goes_on_with_the_next(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	struct kv_txn *txn = begin(kv, true);
	struct kv_cursor *cursor = NULL;
	struct kv_val k, v;
	uint64_t count = 0;
	char key[16];
	int r, seen = 0;

	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "%06d", i);
		put(txn, key, "some value, so that there are several pages");
	}
	assert_int_equal(kv_cursor_open(txn, ZCF_DB_INODE, &cursor), 0);
	for (r = kv_first(cursor, &k, &v); r == 0; r = kv_next(cursor, &k, &v)) {
		snprintf(key, sizeof(key), "%06d", seen);
		expect_key(r, k, key);
		if (seen++ % 3)
			assert_int_equal(kv_cursor_del(cursor), 0);
	}
	assert_int_equal(r, -ENOENT);
	assert_int_equal(seen, 5000);
	kv_cursor_close(cursor);
	assert_int_equal(kv_count(txn, ZCF_DB_INODE, &count), 0);
	assert_int_equal(count, 1667);
	assert_int_equal(kv_count(txn, ZCF_DB_DIRENT, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(kv_commit(txn), 0);
	kv_close(kv);
}

static void errors_are_errnos(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	struct kv_txn *txn = begin(kv, true);
	char key[600] = "";

	assert_int_equal(kv_del(txn, ZCF_DB_MAP, "x", 1), -ENOENT);
	assert_int_equal(kv_put(txn, ZCF_DB_MAP, key, sizeof(key), "", 0), -EINVAL);
	assert_int_equal(kv_put(txn, ZCF_DB_MAP, key, 0, "", 0), -EINVAL);
	kv_abort(txn);
	kv_close(kv);
	kv = open_kv(KV_READ);
	assert_int_equal(kv_begin(kv, true, &txn), -EACCES);
	kv_close(kv);
}

static void a_full_host_is_enospc(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	int full = open("/dev/full", O_RDWR | O_CLOEXEC), keep = dup(kv_fd(kv));
	struct kv_txn *txn;

	assert_true(kv_fd(kv) >= 0);
	assert_true(kv_used_bytes(kv) >= 8192);
	/* The nearest to it without a filesystem of its own: a descriptor that says ENOSPC. */
	txn = begin(kv, true);
	put(txn, "a", "1");
	assert_true(full >= 0 && keep >= 0);
	assert_true(dup2(full, kv_fd(kv)) >= 0);
	assert_int_equal(kv_commit(txn), -ENOSPC);
	assert_true(dup2(keep, kv_fd(kv)) >= 0);
	close(full);
	close(keep);
	txn = begin(kv, false);
	assert_int_equal(get(txn, "a", "1"), -ENOENT);
	kv_abort(txn);
	kv_close(kv);
}

static void a_missing_file_is_refused(void **state)
{
	expect_refused(KV_READ, EBADMSG, "data.mdb is missing");
	expect_refused(KV_WRITE, EBADMSG, "data.mdb is missing");
	assert_int_equal(access(file, F_OK), -1);
}

static void a_cut_file_is_refused(void **state)
{
	struct kv *kv = open_kv(KV_CREATE);
	struct stat st;

	kv_close(kv);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(truncate(file, st.st_size - 1), 0);
	expect_refused(KV_READ, EBADMSG, "data.mdb is cut short");
	expect_refused(KV_WRITE, EBADMSG, "data.mdb is cut short");
	assert_int_equal(truncate(file, 8192), 0);
	expect_refused(KV_READ, EBADMSG, "data.mdb is cut short");
	assert_int_equal(truncate(file, 4096), 0);
	expect_refused(KV_WRITE, EBADMSG, "data.mdb is cut short");
	assert_int_equal(truncate(file, 0), 0);
	expect_refused(KV_WRITE, EBADMSG, "data.mdb is cut short");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void noise_is_refused(void **state)
{
	uint8_t noise[16384];
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	memset(noise, 0x5a, sizeof(noise));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, noise, sizeof(noise)), sizeof(noise));
	close(fd);
	expect_refused(KV_READ, EBADMSG, "data.mdb is damaged");
	expect_refused(KV_WRITE, EBADMSG, "data.mdb is damaged");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_again),
		TEST(reading_leaves_nothing_behind),
		TEST(readers_see_their_commit_until_they_renew),
		TEST(cursors_go_both_ways),
		TEST(deleting_under_a_cursor_goes_on_with_the_next),
		TEST(errors_are_errnos),
		TEST(a_full_host_is_enospc),
		TEST(a_missing_file_is_refused),
		TEST(a_cut_file_is_refused),
		TEST(noise_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
