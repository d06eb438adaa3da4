/* SPDX-License-Identifier: MIT */
/*
 * Many threads with the same live files: they attach, store, write, commit, leave or die. Each owns a
 * page, and what it stored before a commit of any file is in the store after it. Meanwhile others cut,
 * extend, roll back and fill a second file, whose content nobody knows; it must do no harm. To be run
 * under the thread sanitizer, too.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "live_fixture.h"
#include "store/store.h"
#include "store_fixture.h"

enum { OWNERS = 4, VANDALS = 2, PAGE = 4096, SECONDS = 4 };

static const struct store_cred cred = { 0 };
static struct store *s;
static struct live *live;
static uint64_t good, wild;
static _Atomic bool stop;
static _Atomic unsigned commits, lost, errors;

static int deliver(void *arg, uint64_t ino)
{
	return 0;
}

struct actor {
	pthread_t thread;
	unsigned number;
	uint64_t random;
};

static unsigned rnd(struct actor *a, unsigned n)
{
	a->random = a->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(a->random >> 33) % n;
}

static void put_request(uint64_t ino, uint64_t offset, const void *buf, size_t length)
{
	const struct store_source source = { .buf = buf, .pipe_fd = -1 };
	ssize_t n = -ENOENT;

	while (n == -ENOENT) {
		if (live_enter(live, ino)) {
			n = store_write(s, ino, offset, length, &source, 0);
			live_leave(live, ino);
		} else {
			n = live_write(live, ino, buf, length, offset, LIVE_WAIT);
		}
	}
	errors += n != (ssize_t)length;
}

static void look(struct actor *a, uint64_t offset, uint64_t want)
{
	uint64_t got = 0;

	if (store_pread(s, good, &got, 8, offset) != 8 || got < want)
		lost++;
	commits++;
}

/* Its counter only grows; a commit by anybody covers it. */
static void *own(void *arg)
{
	struct actor *a = arg;
	uint64_t offset = (uint64_t)a->number * PAGE + 16, counter = 0;
	struct fixture_client c = { 0 };

	while (!stop) {
		if (!c.client && rnd(a, 2))
			errors += fixture_attach(live, good, true, rnd(a, 4) != 0, &c) < 0;
		for (unsigned i = 0; i < 8; i++) {
			counter++;
			if (c.client && rnd(a, 4))
				__atomic_store_n((uint64_t *)(c.map + offset), counter,
						 __ATOMIC_RELAXED);
			else
				put_request(good, offset, &counter, 8);
		}
		if (c.client && rnd(a, 4) == 0)
			fixture_detach(&c, rnd(a, 2));
		if (live_commit(live, &good, 1, 0, NULL) == 0)
			look(a, offset, counter);
		else
			errors++;
	}
	if (c.client)
		fixture_detach(&c, true);
	return NULL;
}

static void wild_request(struct actor *a)
{
	struct store_attr attr = { .size = rnd(a, 200000) };
	char buf[100];
	ssize_t n;

	switch (rnd(a, 6)) {
	case 0:
		n = live_truncate(live, wild, attr.size);
		break;
	case 1:
		n = live_fallocate(live, wild, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   rnd(a, 200000), 30000);
		break;
	case 2:
		n = live_rollback(live, wild, &attr);
		break;
	case 3:
		n = live_commit(live, (uint64_t[]){ wild, good }, 2, 0, NULL);
		break;
	case 4:
		n = live_read(live, wild, buf, sizeof(buf), rnd(a, 200000), true);
		break;
	default:
		n = live_flush_all(live, rnd(a, 2));
	}
	errors += n < 0 && n != -ENOENT;
}

static void *vandalise(void *arg)
{
	struct actor *a = arg;
	struct fixture_client c = { 0 };

	while (!stop) {
		if (!c.client)
			errors += fixture_attach(live, wild, true, rnd(a, 2), &c) < 0;
		for (unsigned i = 0; i < 20; i++)
			__atomic_store_n(c.map + rnd(a, 300000), 1, __ATOMIC_RELAXED);
		wild_request(a);
		put_request(wild, rnd(a, 200000), "written", 7);
		if (rnd(a, 3) == 0)
			fixture_detach(&c, rnd(a, 2));
	}
	if (c.client)
		fixture_detach(&c, false);
	return NULL;
}

static bool count_image(void *arg, const struct live_info *info)
{
	++*(unsigned *)arg;
	return true;
}

static void watch(void)
{
	const struct timespec step = { .tv_nsec = 50000000 };
	struct live_stats stats;
	unsigned images;

	for (unsigned i = 0; i < SECONDS * 20; i++) {
		images = 0;
		live_list(live, count_image, &images);
		assert_true(images <= 2);
		live_get_stats(live, &stats);
		nanosleep(&step, NULL);
	}
}

static void test_threads(void **state)
{
	const struct store_options options = { .commit_seconds = 1, .log = fixture_log };
	struct live_options o = {
		.limit = 1 << 30, .commit_seconds = 1, .owner = (uid_t)-1, .deliver = deliver
	};
	struct actor actors[OWNERS + VANDALS] = { 0 };
	struct zu_err err = { 0 };
	struct store_attr a;

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
	o.store = s;
	assert_int_equal(live_new(&o, &live), 0);
	assert_int_equal(store_mknod(s, 1, "good", S_IFREG | 0600, 0, &cred, &a), 0);
	good = a.ino;
	assert_int_equal(store_mknod(s, 1, "wild", S_IFREG | 0600, 0, &cred, &a), 0);
	wild = a.ino;
	a.size = OWNERS * PAGE;
	assert_int_equal(store_setattr(s, good, STORE_SET_SIZE, &a, &a), 0);
	for (unsigned i = 0; i < OWNERS + VANDALS; i++) {
		actors[i] = (struct actor){ .number = i, .random = i + 1 };
		assert_int_equal(pthread_create(&actors[i].thread, NULL,
						i < OWNERS ? own : vandalise, &actors[i]),
				 0);
	}
	watch();
	stop = true;
	for (unsigned i = 0; i < OWNERS + VANDALS; i++)
		pthread_join(actors[i].thread, NULL);
	live_free(live);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
	print_message("%u commits\n", commits);
	assert_true(commits > 0);
	assert_int_equal(lost, 0);
	assert_int_equal(errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
