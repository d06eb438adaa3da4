/* SPDX-License-Identifier: MIT */
/* The intent log: what goes into it, what is taken from it after a crash, and what is not. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define LOG_BYTES (128u << 10)

static struct store *s;
static uint64_t file;

static void open_with(bool read_only, uint64_t log_bytes)
{
	const struct store_options o = { .read_only = read_only,
					 .explicit_policy = true,
					 .log_bytes = log_bytes,
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
	char bytes[4096];
	const struct store_source source = { .buf = bytes };

	memset(bytes, c, sizeof(bytes));
	assert_int_equal(store_write(s, file, page * 4096, sizeof(bytes), &source, 0), 4096);
}

static char get(uint64_t page)
{
	char bytes[4096];

	if (store_pread(s, file, bytes, sizeof(bytes), page * 4096) != 4096)
		return 0;
	for (size_t i = 1; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], bytes[0]);
	return bytes[0];
}

static uint64_t logged(void)
{
	struct store_info info;

	store_get_info(s, &info);
	return info.logged_commits;
}

static uint64_t whole(void)
{
	struct store_info info;

	store_get_info(s, &info);
	return info.commit;
}

static void commit(void)
{
	assert_int_equal(store_commit(s, &file, 1, 0), 0);
}

/* A store with a log, and a file of one page 'a' in the metadata. */
static int setup(void **state)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;

	if (fixture_setup(state) < 0)
		return -1;
	open_with(false, LOG_BYTES);
	assert_int_equal(store_mknod(s, 1, "file", S_IFREG | 0644, 0, &cred, &attr), 0);
	file = attr.ino;
	put(0, 'a');
	commit();
	/* The log is made after the first commit is answered: wait for that. */
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	do {
		put(0, 'a');
		commit();
	} while (!logged());
	return 0;
}

static void crash(void)
{
	fixture_crash(s);
	fixture_check_sound();
}

static uint64_t make(const char *name)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;

	assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0644, 0, &cred, &attr), 0);
	return attr.ino;
}

/* Pages [20, 40) of the file, 'A' to 'T', are in the log and nowhere else. */
static void log_run(void)
{
	uint64_t n;

	do {
		assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
		n = logged();
		for (unsigned k = 0; k < 20; k++)
			put(20 + k, (char)('A' + k));
		commit();
	} while (logged() == n); /* the page file grew */
}

static void share(uint64_t from, uint64_t to, uint64_t at, uint64_t pages)
{
	assert_int_equal(store_copy_range(s, from, at * 4096, to, (at - 20) * 4096, pages * 4096),
			 pages * 4096);
}

static void test_survives(void **state)
{
	uint64_t before = whole(), n = logged();
	struct store_attr attr = { .mode = 0600 };

	(void)state;
	put(0, 'b');
	put(3, 'c');
	commit();
	assert_int_equal(store_setattr(s, file, STORE_SET_MODE, &attr, &attr), 0);
	commit();
	put(0, 'x'); /* never committed */
	assert_int_equal(logged(), n + 2);
	assert_int_equal(whole(), before);
	crash();
	open_with(true, 0);
	assert_int_equal(get(0), 'b');
	assert_int_equal(get(3), 'c');
	store_close(s);
	open_with(false, LOG_BYTES);
	assert_int_equal(get(0), 'b');
	assert_int_equal(get(1), 0);
	assert_int_equal(get(3), 'c');
	assert_int_equal(store_getattr(s, file, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0600);
	assert_int_equal(attr.size, 4 * 4096);
	assert_true(whole() > before);
	store_close(s);
}

/* Records of an earlier round lie behind the new ones, and are not taken. */
static void test_begins_anew(void **state)
{
	(void)state;
	for (char c = 'b'; c < 'g'; c++) {
		put(0, c);
		commit();
	}
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(0, 'p');
	assert_int_equal(store_commit(s, &file, 1, STORE_COMMIT_ALL), 0);
	put(1, 'q');
	commit();
	crash();
	open_with(false, LOG_BYTES);
	assert_int_equal(get(0), 'p');
	assert_int_equal(get(1), 'q');
	store_close(s);
}

/* More than it holds: commits into the metadata in between, all of them durable. */
static void test_full(void **state)
{
	uint64_t before = whole();

	(void)state;
	for (unsigned n = 0; n < 200; n++) {
		put(n % 7, (char)('A' + n % 26));
		commit();
	}
	assert_true(whole() > before + 5);
	assert_true(logged() > 50);
	crash();
	open_with(false, LOG_BYTES);
	for (unsigned n = 193; n < 200; n++)
		assert_int_equal(get(n % 7), 'A' + n % 26);
	store_close(s);
}

static void damage(off_t at)
{
	char path[5000], c;
	int fd;

	snprintf(path, sizeof(path), "%s/log", fixture_path());
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* The record that was being written: its commit was never acknowledged. */
static void test_torn(void **state)
{
	(void)state;
	/* To the beginning of the log. */
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(0, 'b');
	assert_int_equal(store_commit(s, &file, 1, STORE_COMMIT_ALL), 0);
	for (char c = 'c'; c < 'f'; c++) {
		put(0, c);
		put(1, c);
		commit();
	}
	crash();
	damage(2 * 3 * 4096 + 2 * 4096 + 77); /* the last page of the third */
	open_with(false, LOG_BYTES);
	assert_int_equal(get(0), 'd');
	assert_int_equal(get(1), 'd');
	store_close(s);
	fixture_check_sound();
}

/* A page that looks like a record, but for what no user knows. */
static void test_forged(void **state)
{
	uint8_t record[8192];
	char path[5000];
	uint32_t crc;
	int fd;

	(void)state;
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(0, 'b');
	assert_int_equal(store_commit(s, &file, 1, STORE_COMMIT_ALL), 0);
	put(0, 'c');
	commit();
	crash();
	snprintf(path, sizeof(path), "%s/log", fixture_path());
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, record, sizeof(record), 0), sizeof(record));
	memset(record + 8, 0, 16);
	memset(record + 52, 0, 4);
	crc = crc32_iscsi(record, sizeof(record), ~0u) ^ ~0u;
	for (unsigned k = 0; k < 4; k++)
		record[52 + k] = (uint8_t)(crc >> (8 * k));
	assert_int_equal(pwrite(fd, record, sizeof(record), 0), sizeof(record));
	close(fd);
	open_with(false, LOG_BYTES);
	assert_int_equal(get(0), 'b');
	store_close(s);
}

/* One before the last: that is no power cut, and whoever opens the store learns of it. */
static void test_damaged(void **state)
{
	const struct store_options o = { .log = fixture_log };
	struct store_check_result result = { 0 };
	struct zu_err err = { 0 };

	(void)state;
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(0, 'b');
	assert_int_equal(store_commit(s, &file, 1, STORE_COMMIT_ALL), 0);
	for (char c = 'c'; c < 'f'; c++) {
		put(0, c);
		commit();
	}
	crash();
	damage(2 * 4096 + 4096 + 77); /* the page of the second of three */
	assert_int_equal(store_check(fixture_path(), NULL, &result, &err), 0);
	assert_int_equal(result.findings, 1);
	assert_int_equal(store_open(fixture_path(), &o, &s, &err), -EBADMSG);
}

/* An allocated page is in the log as that, and then written in its place; a commit of something else takes what
 * the log has, and not its bytes. */
static void test_filled_later(void **state)
{
	(void)state;
	assert_int_equal(store_fallocate(s, file, 0, 0, 8 * 4096), 0);
	assert_int_equal(store_commit(s, &file, 1, STORE_COMMIT_EVERYTHING), 0);
	put(1, 'y');
	commit();
	put(3, 'z');
	make("other");
	assert_int_equal(store_commit(s, NULL, 0, 0), 0);
	assert_int_equal(get(3), 'z');
	commit();
	crash();
	open_with(false, LOG_BYTES);
	assert_int_equal(get(1), 'y');
	assert_int_equal(get(3), 'z');
	store_close(s);
}

/* The bytes of a clone are not the file's, though they lie in the same page. */
static void test_rolled_back(void **state)
{
	struct store_attr attr;
	uint64_t b = make("b");

	(void)state;
	assert_int_equal(store_fallocate(s, file, 0, 20 * 4096, 8 * 4096), 0);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(23, 'z');
	share(file, b, 23, 1);
	assert_int_equal(store_rollback(s, file, &attr), 0);
	put(21, 'y');
	commit();
	assert_int_equal(get(23), 0);
	crash();
	open_with(false, LOG_BYTES);
	assert_int_equal(get(21), 'y');
	assert_int_equal(get(23), 0);
	store_close(s);
}

/* When the store's thread has run for a while, and who opens it has not gone on yet: what a kill leaves. */
static bool kill_while_opening;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	char command[4 * sizeof(fixture_store)];
	int r;

	*(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
	r = next(thread, attr, run, arg);
	if (kill_while_opening) {
		usleep(300000);
		snprintf(command, sizeof(command), "cp -a --sparse=always '%s' '%s.killed'",
			 fixture_store, fixture_store);
		assert_int_equal(system(command), 0);
	}
	return r;
}

/* An orphan makes the thread commit by itself at once. That must not lose what was in the log. */
static void test_killed_while_opening(void **state)
{
	uint64_t gone = make("gone");
	char command[4 * sizeof(fixture_store)];

	(void)state;
	assert_int_equal(store_unlink(s, 1, "gone"), 0);
	assert_int_equal(store_commit(s, &gone, 1, STORE_COMMIT_EVERYTHING), 0);
	put(0, 'b');
	commit();
	crash();
	kill_while_opening = true;
	open_with(false, LOG_BYTES);
	kill_while_opening = false;
	store_close(s);
	snprintf(command, sizeof(command), "rm -rf '%s' && mv '%s.killed' '%s'", fixture_store,
		 fixture_store, fixture_store);
	assert_int_equal(system(command), 0);
	fixture_check_sound();
	open_with(false, LOG_BYTES);
	assert_int_equal(get(0), 'b');
	store_close(s);
}

/* What belongs into the metadata goes there. */
static void test_not_for_names(void **state)
{
	uint64_t before = whole(), n = logged();
	struct store_cred cred = { 0 };
	struct store_attr attr;

	(void)state;
	assert_int_equal(store_mknod(s, 1, "other", S_IFREG | 0644, 0, &cred, &attr), 0);
	put(0, 'b');
	commit();
	assert_int_equal(logged(), n);
	assert_int_equal(whole(), before + 1);
	crash();
	open_with(false, 0);
	assert_int_equal(store_peek(s, 1, "other", &attr), 0);
	assert_int_equal(get(0), 'b');
	store_close(s);
}

/* A rollback returns to what the log has; the changes after it go on top. */
static void test_rollback(void **state)
{
	struct store_attr attr;

	(void)state;
	put(0, 'b');
	put(1, 'b');
	commit();
	put(0, 'c');
	put(2, 'c');
	assert_int_equal(store_rollback(s, file, &attr), 0);
	assert_int_equal(attr.size, 2 * 4096);
	assert_int_equal(get(0), 'b');
	put(1, 'd');
	commit();
	crash();
	open_with(false, LOG_BYTES);
	assert_int_equal(get(0), 'b');
	assert_int_equal(get(1), 'd');
	assert_int_equal(get(2), 0);
	store_close(s);
}

/* Pages that only the log has captured are shared by a clone, and counted for both. */
static void test_clone(void **state)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;
	uint64_t first = file;

	(void)state;
	assert_int_equal(store_mknod(s, 1, "clone", S_IFREG | 0644, 0, &cred, &attr), 0);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	put(0, 'b');
	put(1, 'b');
	commit();
	assert_int_equal(store_copy_range(s, file, 0, attr.ino, 0, 8192), 8192);
	put(0, 'c');
	commit(); /* goes into the log: page 0 is the clone's alone now */
	file = attr.ino;
	commit();
	crash();
	open_with(false, LOG_BYTES);
	assert_int_equal(file, first);
	assert_int_equal(get(0), 'c');
	assert_int_equal(get(1), 'b');
	file = attr.ino;
	assert_int_equal(get(0), 'b');
	assert_int_equal(get(1), 'b');
	store_close(s);
	fixture_check_sound();
}

/* Parts of a logged run are shared, then all of it: each page is counted once. */
static void test_clone_parts(void **state)
{
	uint64_t b = make("b"), c = make("c");

	(void)state;
	log_run();
	share(file, b, 20, 5);
	share(file, b, 30, 5);
	put(60, 'x');
	share(file, c, 20, 20);
	assert_int_equal(store_commit(s, &c, 1, 0), 0);
	crash();
	open_with(false, LOG_BYTES);
	file = c;
	for (unsigned k = 0; k < 20; k++)
		assert_int_equal(get(k), 'A' + k);
	store_close(s);
}

/* The same, and the source is rewritten: the clone keeps its pages. */
static void test_clone_rewritten(void **state)
{
	uint64_t b = make("b"), c = make("c");

	(void)state;
	log_run();
	share(file, b, 20, 5);
	share(file, b, 30, 5);
	put(60, 'x');
	share(file, c, 20, 20);
	for (unsigned k = 35; k < 38; k++)
		put(k, '0');
	commit();
	for (unsigned k = 70; k < 130; k++)
		put(k, '#');
	file = c;
	for (unsigned k = 0; k < 20; k++)
		assert_int_equal(get(k), 'A' + k);
	crash();
}

/* An allocated page is written in its place and cloned; the clone's commit puts its bytes down, and the
 * file's own may not go into the log without them. */
static void test_filled(void **state)
{
	uint64_t b = make("b");

	(void)state;
	assert_int_equal(store_fallocate(s, file, 0, 20 * 4096, 8 * 4096), 0);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	put(23, 'z');
	share(file, b, 23, 1);
	assert_int_equal(store_commit(s, &b, 1, 0), 0);
	commit();
	crash();
	open_with(false, LOG_BYTES);
	assert_int_equal(get(23), 'z');
	store_close(s);
}

static atomic_int answer = 1;

static void answered(void *arg, int result)
{
	(void)arg;
	atomic_store(&answer, result);
}

/* A commit that somebody asks for between the writes of a hold waits, and takes them all. */
static void test_hold(void **state)
{
	(void)state;
	store_hold_begin(s);
	put(0, 'b');
	store_commit_start(s, &file, 1, 0, answered, NULL);
	usleep(100000);
	assert_int_equal(atomic_load(&answer), 1);
	put(1, 'b');
	store_hold_end(s);
	while (atomic_load(&answer) == 1)
		usleep(1000);
	assert_int_equal(atomic_load(&answer), 0);
	crash();
	open_with(false, 0);
	assert_int_equal(get(0), 'b');
	assert_int_equal(get(1), 'b');
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_survives, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_begins_anew, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_torn, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_filled_later, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_rolled_back, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_killed_while_opening, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_not_for_names, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_rollback, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_clone, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_clone_parts, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_clone_rewritten, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_filled, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_hold, setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
