/* SPDX-License-Identifier: MIT */
/* The account of the memory of images: the limit, a user's share, and what grows beyond both. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "live/live.h"

enum { LIMIT = 1000, ONE = 4711, TWO };

static struct live_room *room;

static int setup(void **state)
{
	return live_room_new(LIMIT, &room);
}

static int teardown(void **state)
{
	live_room_free(room);
	return 0;
}

static uint64_t used(void)
{
	uint64_t limit, n;

	live_room_get(room, &limit, &n);
	assert_int_equal(limit, LIMIT);
	return n;
}

static void one_user_has_half(void **state)
{
	assert_int_equal(live_room_take(room, ONE, 501), -EDQUOT);
	assert_int_equal(live_room_take(room, ONE, 500), 0);
	assert_int_equal(live_room_take(room, ONE, 1), -EDQUOT);
	assert_int_equal(live_room_take(room, ONE, 0), 0);
	assert_int_equal(live_room_take(room, TWO, 400), 0);
	assert_int_equal(used(), 900);
	live_room_change(room, ONE, 500, 0);
	assert_int_equal(live_room_take(room, ONE, 500), 0);
	assert_int_equal(used(), 900);
}

static void root_and_the_daemon_have_all(void **state)
{
	assert_int_equal(live_room_take(room, 0, 900), 0);
	assert_int_equal(live_room_take(room, geteuid(), 100), 0);
	assert_int_equal(live_room_take(room, 0, 1), -ENOSPC);
	assert_int_equal(live_room_take(room, ONE, 1), -ENOSPC);
	assert_int_equal(live_room_take(room, 0, UINT64_MAX), -ENOSPC);
	live_room_change(room, 0, 900, 0);
	assert_int_equal(live_room_take(room, ONE, 500), 0);
}

/* Files grow without being asked for. */
static void what_grows_is_counted(void **state)
{
	assert_int_equal(live_room_take(room, ONE, 100), 0);
	live_room_change(room, ONE, 100, 5000);
	assert_int_equal(used(), 5000);
	assert_int_equal(live_room_take(room, ONE, 1), -ENOSPC);
	assert_int_equal(live_room_take(room, 0, 1), -ENOSPC);
	live_room_change(room, ONE, 5000, 600);
	assert_int_equal(live_room_take(room, ONE, 1), -EDQUOT);
	assert_int_equal(live_room_take(room, TWO, 400), 0);
	live_room_change(room, ONE, 600, 0);
	live_room_change(room, TWO, 400, 0);
	assert_int_equal(used(), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_user_has_half),
		TEST(root_and_the_daemon_have_all),
		TEST(what_grows_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
