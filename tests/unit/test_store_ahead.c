/* SPDX-License-Identifier: MIT */
/* Pages written ahead, and the intent log naming pages by their places. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <isa-l/crc.h>

#include "abi/zc_format.h"
#include "store/store.h"
#include "store_fixture.h"
#include "util/bytes.h"

#define PAGE 4096u
#define PAGES 200u /* of the file */

static struct store *s;
static uint64_t file;

static void open_with(bool read_only)
{
	const struct store_options o = { .read_only = read_only,
					 .explicit_policy = true,
					 .log_bytes = 1u << 20,
					 .log = fixture_log };
	struct store_attr attr;
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), &o, &s, &err) < 0)
		fail_msg("%s", err.text);
	if (store_lookup(s, 1, "file", &attr) == 0)
		file = attr.ino;
}

static void fill(uint64_t from, uint64_t pages, char c)
{
	char *bytes = malloc(pages * PAGE);
	const struct store_source source = { .buf = bytes };

	assert_non_null(bytes);
	memset(bytes, c, pages * PAGE);
	assert_int_equal(store_write(s, file, from * PAGE, pages * PAGE, &source, 0), pages * PAGE);
	free(bytes);
}

static void add(struct store_ahead *a, uint64_t ino, uint64_t page, char c)
{
	static _Alignas(4096) char bytes[26][PAGE];

	memset(bytes[c - 'a'], c, PAGE);
	assert_int_equal(store_ahead_add(a, ino, page, bytes[c - 'a']), 0);
}

/* Every second page of the first `pages` of the file. */
static void ahead(uint64_t pages, char c)
{
	struct store_ahead *a;

	assert_int_equal(store_ahead_new(s, &a), 0);
	for (uint64_t n = 0; n < pages; n += 2)
		add(a, file, n, c);
	assert_int_equal(store_ahead_write(a), 0);
	store_hold_begin(s);
	assert_int_equal(store_ahead_place(a, file, 0), 0);
	store_hold_end(s);
	store_ahead_free(a);
}

static char get(uint64_t page)
{
	char bytes[PAGE];

	assert_int_equal(store_pread(s, file, bytes, PAGE, page * PAGE), PAGE);
	for (size_t i = 1; i < PAGE; i++)
		assert_int_equal(bytes[i], bytes[0]);
	return bytes[0];
}

static void expect(uint64_t pages, char even, char odd)
{
	for (uint64_t n = 0; n < pages; n++)
		assert_int_equal(get(n), n % 2 ? odd : even);
}

static struct store_info info(void)
{
	struct store_info i;

	store_get_info(s, &i);
	return i;
}

static void commit(void)
{
	assert_int_equal(store_commit(s, &file, 1, 0), 0);
}

static int make_file(void)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;

	open_with(false);
	assert_int_equal(store_mknod(s, 1, "file", S_IFREG | 0644, 0, &cred, &attr), 0);
	file = attr.ino;
	fill(0, PAGES, 'a');
	/* The log is made after the first commit is answered: wait for that. */
	do {
		fill(0, 1, 'a');
		commit();
	} while (!info().logged_commits);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	return 0;
}

static int setup(void **state)
{
	return fixture_setup(state) < 0 ? -1 : make_file();
}

static int setup_small(void **state)
{
	(void)state;
	return fixture_make(8u << 20) < 0 ? -1 : make_file();
}

static int setup_checksum(void **state)
{
	(void)state;
	if (fixture_make_with(&(struct store_create_options){ .mode = 0755, .checksum = true }) < 0)
		return -1;
	return make_file();
}

static void crash(void)
{
	fixture_crash(s);
	fixture_check_sound();
}

/* Nothing shows before it is placed; what is not placed is given back. */
static void test_given_up(void **state)
{
	uint64_t before = info().avail_pages;
	struct store_ahead *a;

	(void)state;
	assert_int_equal(store_ahead_new(s, &a), 0);
	for (uint64_t n = 0; n < 100; n++)
		add(a, file, n, 'b');
	assert_int_equal(store_ahead_write(a), 0);
	expect(PAGES, 'a', 'a');
	store_ahead_free(a);
	commit();
	expect(PAGES, 'a', 'a');
	/* The quarantine of two commits. */
	for (int k = 0; k < 3; k++)
		assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	fill(0, 1, 'a');
	for (int k = 0; k < 3; k++) {
		fill(0, 1, 'a');
		assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	}
	assert_in_range(info().avail_pages, before - 16, before + 16);
	store_close(s);
	fixture_check_sound();
}

/* Many pages go into the log by their places, and are there after a crash. */
static void test_logged(void **state)
{
	struct store_info before = info(), after;

	(void)state;
	ahead(PAGES, 'b');
	commit();
	after = info();
	assert_int_equal(after.logged_commits, before.logged_commits + 1);
	assert_int_equal(after.commit, before.commit);
	assert_true(after.logged_bytes - before.logged_bytes < PAGES / 2 * PAGE);
	assert_int_equal(after.paths[STORE_FLUSH_AHEAD].bytes -
				 before.paths[STORE_FLUSH_AHEAD].bytes,
			 PAGES / 2 * PAGE);
	ahead(PAGES / 2, 'c'); /* not committed */
	crash();
	open_with(true);
	expect(PAGES, 'b', 'a');
	assert_int_equal(store_close(s), 0);
	open_with(false);
	expect(PAGES, 'b', 'a');
	/* Killed at once, and once more. */
	crash();
	open_with(false);
	expect(PAGES, 'b', 'a');
	store_close(s);
	fixture_check_sound();
}

/* Large writes, which go straight to the page file, do not need the metadata either. */
static void test_large_write(void **state)
{
	struct store_info before = info(), after;

	(void)state;
	fill(10, 100, 'b');
	commit();
	after = info();
	assert_int_equal(after.logged_commits, before.logged_commits + 1);
	assert_int_equal(after.commit, before.commit);
	fill(10, 1, 'c'); /* by its bytes, over it */
	commit();
	assert_int_equal(info().commit, before.commit);
	crash();
	open_with(false);
	assert_int_equal(get(9), 'a');
	assert_int_equal(get(10), 'c');
	assert_int_equal(get(11), 'b');
	assert_int_equal(get(109), 'b');
	assert_int_equal(get(110), 'a');
	store_close(s);
}

/*
 * In a store that is nearly full pages would be used again soon. One that the log names is not: a replay
 * would find it named twice, or holding what an unfinished write has put there.
 */
static void test_not_used_again(void **state)
{
	uint64_t n, round, logged = 0;

	(void)state;
	fill(PAGES, (info().avail_pages - 150), 'z');
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	for (round = 0; round < 24; round++) {
		n = info().logged_commits;
		ahead(80, (char)('b' + round % 20));
		commit();
		logged += info().logged_commits - n;
		if (round % 6 != 5)
			continue;
		/* Not committed: must not touch what the log needs. */
		ahead(60, 'y');
		crash();
		open_with(false);
		expect(80, (char)('b' + round % 20), 'a');
		fill(0, 1, (char)('b' + round % 20));
		commit();
	}
	assert_true(logged > 8);
	store_close(s);
	fixture_check_sound();
}

/* Replaced by a clone's doing, unlinked, rolled back: whatever is done with such pages before the log
 * begins anew. */
static void test_shared(void **state)
{
	struct store_cred cred = { 0 };
	struct store_attr attr;
	uint64_t first = file, clone;

	(void)state;
	assert_int_equal(store_mknod(s, 1, "clone", S_IFREG | 0644, 0, &cred, &attr), 0);
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_ALL), 0);
	clone = attr.ino;
	ahead(40, 'b');
	commit();
	assert_int_equal(store_copy_range(s, first, 0, clone, 0, 40 * PAGE), 40 * PAGE);
	ahead(20, 'c'); /* the clone has 'b' alone now */
	commit();
	assert_int_equal(store_rollback(s, clone, &attr), 0);
	ahead(10, 'd');
	commit();
	assert_int_equal(store_copy_range(s, first, 0, clone, 0, 40 * PAGE), 40 * PAGE);
	assert_int_equal(store_commit(s, &clone, 1, 0), 0);
	ahead(40, 'e');
	commit();
	crash();
	open_with(false);
	expect(40, 'e', 'a');
	file = clone;
	for (uint64_t n = 0; n < 40; n++)
		assert_int_equal(get(n), n % 2 ? 'a' : n < 10 ? 'd' : n < 20 ? 'c' : 'b');
	store_close(s);
	fixture_check_sound();
}

/* The last record of the log names another page, 0: one that it names itself; its checksum is right. */
static void forge_place(uint64_t page)
{
	static uint8_t log[1u << 20];
	struct zcf_log_record *last = NULL, *h;
	struct zcf_log_place *place;
	struct zcf_log_chunk *chunk;
	char path[5000];
	uint32_t crc;
	int fd;

	snprintf(path, sizeof(path), "%s/log", fixture_path());
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, log, sizeof(log), 0), sizeof(log));
	for (h = (void *)log;
	     zu_get_le64(h->sequence) == (last ? zu_get_le64(last->sequence) + 1 : 0) &&
	     !memcmp(h->magic, ZCF_LOG_MAGIC, sizeof(h->magic));
	     h = (void *)((uint8_t *)h + zu_get_le32(h->length)))
		last = h;
	assert_non_null(last);
	chunk = (void *)((uint8_t *)(last + 1) + sizeof(struct zcf_log_file));
	assert_true(zu_get_le16(chunk->places) > 1);
	place = (void *)((uint8_t *)(chunk + 1) +
			 4 * (zu_get_le16(chunk->holes) + zu_get_le16(chunk->spans)));
	zu_put_le64(place->page, page ? page : zu_get_le64(place[1].page));
	memset(last->crc, 0, sizeof(last->crc));
	crc = crc32_iscsi((void *)last, (int)zu_get_le32(last->length), ~0u) ^ ~0u;
	zu_put_le32(last->crc, crc);
	assert_int_equal(pwrite(fd, log, sizeof(log), 0), sizeof(log));
	close(fd);
}

/* Places that cannot be are damage, to the check and to who opens the store. */
static void test_damaged(void **state)
{
	const struct store_options o = { .log = fixture_log };
	const uint64_t bad[] = { 0, 1ull << 40, UINT64_MAX };

	(void)state;
	ahead(PAGES, 'b');
	commit();
	crash();
	for (unsigned k = 0; k < 3; k++) {
		struct store_check_result result = { 0 };
		struct zu_err err = { 0 };

		forge_place(bad[k]);
		assert_int_equal(store_check(fixture_path(), NULL, &result, &err), 0);
		assert_int_equal(result.findings, 1);
		assert_int_equal(store_open(fixture_path(), &o, &s, &err), -EBADMSG);
	}
}

static struct timespec mtime(void)
{
	struct store_attr attr;

	assert_int_equal(store_getattr(s, file, &attr), 0);
	return attr.mtime;
}

/* Who sets the times himself, gets none that he did not set: not by pages placed, nor by holes. */
static void test_keeps_times(void **state)
{
	const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct store_attr attr = { .mtime = { .tv_sec = 1000, .tv_nsec = 5 } };
	struct store_ahead *a;

	(void)state;
	assert_int_equal(store_setattr(s, file, STORE_SET_MTIME, &attr, &attr), 0);
	assert_int_equal(store_ahead_new(s, &a), 0);
	add(a, file, 1, 'b');
	assert_int_equal(store_ahead_write(a), 0);
	store_hold_begin(s);
	assert_int_equal(store_ahead_place(a, file, STORE_WRITE_KEEP_TIMES), 0);
	store_hold_end(s);
	store_ahead_free(a);
	assert_int_equal(mtime().tv_sec, 1000);
	assert_int_equal(
		store_fallocate(s, file, hole | STORE_FALLOCATE_KEEP_TIMES, 2 * PAGE, PAGE), 0);
	assert_int_equal(mtime().tv_sec, 1000);
	assert_int_equal(mtime().tv_nsec, 5);
	assert_int_equal(get(2), 0);
	assert_int_equal(store_fallocate(s, file, hole, 3 * PAGE, PAGE), 0);
	assert_true(mtime().tv_sec > 1000);
	store_close(s);
}

/* Checksums are not in the log: such a commit goes into the metadata, and reads verify it. */
static void test_checksums(void **state)
{
	struct store_info before = info();

	(void)state;
	ahead(PAGES, 'b');
	commit();
	assert_int_equal(info().commit, before.commit + 1);
	crash();
	open_with(false);
	expect(PAGES, 'b', 'a');
	store_close(s);
	fixture_check_sound();
}

/* Memory that cannot be read is the caller's fault, not the store's. */
static void test_bad_memory(void **state)
{
	char *hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct store_ahead *a;

	(void)state;
	assert_ptr_not_equal(hole, MAP_FAILED);
	assert_int_equal(store_ahead_new(s, &a), 0);
	add(a, file, 0, 'b');
	assert_int_equal(store_ahead_add(a, file, 1, hole), 0);
	assert_int_equal(store_ahead_write(a), -EFAULT);
	store_ahead_free(a);
	munmap(hole, PAGE);
	assert_false(info().failed);
	expect(PAGES, 'a', 'a');
	fill(0, 2, 'c');
	commit();
	store_close(s);
	fixture_check_sound();
}

/* A full store says so before anything has changed. */
static void test_full(void **state)
{
	struct store_ahead *a;
	uint64_t n = 0;
	int r = 0;

	(void)state;
	fill(PAGES, info().avail_pages - 100, 'z');
	assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	assert_int_equal(store_ahead_new(s, &a), 0);
	for (; n < 150 && r == 0; n++)
		add(a, file, n, 'b');
	assert_int_equal(store_ahead_write(a), -ENOSPC);
	store_ahead_free(a);
	expect(150, 'a', 'a');
	ahead(40, 'c');
	commit();
	expect(40, 'c', 'a');
	store_close(s);
	fixture_check_sound();
}

/*
 * Pages that a commit by bytes had, and that are free again, get their places from a later one: a replay
 * needs both at once. In a nearly full store it would find no room.
 */
static void test_replay_needs_no_room(void **state)
{
	(void)state;
	fill(PAGES, info().avail_pages - 100, 'z');
	for (int k = 0; k < 4; k++)
		assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	/* Behind the end of the file there is nothing to be replaced. */
	for (unsigned round = 0; round < 6; round++) {
		struct store_attr attr;
		uint64_t end;

		assert_int_equal(store_getattr(s, file, &attr), 0);
		end = attr.size / PAGE;
		for (uint64_t n = 0; n < 60; n += 10)
			fill(end + n, 10, 'b'); /* small enough to be buffered */
		commit();
		attr.size = end * PAGE;
		assert_int_equal(store_setattr(s, file, STORE_SET_SIZE, &attr, &attr), 0);
		commit();
		for (unsigned k = 0; k < 3; k++) { /* the quarantine */
			fill(0, 1, 'a');
			commit();
		}
		ahead(120, 'c');
		commit();
		crash();
		open_with(false);
		expect(120, 'c', 'a');
		fill(0, 1, 'a');
		commit();
	}
	store_close(s);
	fixture_check_sound();
}

/* Some 30 pages are free; 60 more, those of 'b', wait for the log to begin anew. */
static void leave_little_room(void)
{
	fill(PAGES, info().avail_pages - 150, 'z');
	for (int k = 0; k < 4; k++)
		assert_int_equal(store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING), 0);
	ahead(120, 'b');
	commit();
	ahead(120, 'c');
	commit();
}

/* What the log names is not there for who needs room in a hold: a commit before it gives it back. */
static void test_room_for_a_hold(void **state)
{
	(void)state;
	leave_little_room();
	fill(0, 1, 'd');
	assert_int_equal(store_make_room(s, 60), 0);
	store_hold_begin(s);
	for (uint64_t n = 0; n < 60; n += 10)
		fill(130 + n, 10, 'e');
	store_hold_end(s);
	commit();
	crash();
	open_with(false);
	assert_int_equal(get(0), 'd');
	assert_int_equal(get(2), 'c');
	assert_int_equal(get(189), 'e');
	/* Nobody's data are committed by it. */
	fill(0, 1, 'f');
	assert_int_equal(store_make_room(s, info().avail_pages + 1), 0);
	crash();
	open_with(false);
	assert_int_equal(get(0), 'd');
	store_close(s);
	fixture_check_sound();
}

static sem_t held;

static void *hold_a_while(void *unused)
{
	(void)unused;
	store_hold_begin(s);
	sem_post(&held);
	sleep(1);
	store_hold_end(s);
	return NULL;
}

/* Pages written ahead find that room also while others hold the store. */
static void test_room_in_others_hold(void **state)
{
	pthread_t thread;

	(void)state;
	leave_little_room();
	sem_init(&held, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, hold_a_while, NULL), 0);
	sem_wait(&held);
	ahead(120, 'd');
	pthread_join(thread, NULL);
	sem_destroy(&held);
	commit();
	expect(120, 'd', 'a');
	store_close(s);
	fixture_check_sound();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given_up, setup_small, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_logged, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_large_write, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_not_used_again, setup_small, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_keeps_times, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_checksums, setup_checksum, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_bad_memory, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_full, setup_small, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_replay_needs_no_room, setup_small,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room_for_a_hold, setup_small,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room_in_others_hold, setup_small,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
