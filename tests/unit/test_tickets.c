/* SPDX-License-Identifier: MIT */
/* The table of tickets: used once, by whom they were given, in time, and not too many. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../fs/tickets.h"

enum { END = ZC_TICKET_SECONDS * 1000 };

static const struct ticket mine = { .ino = 7, .writable = true, .uid = 100, .pid = 10 };

static int teardown(void **state)
{
	(void)state;
	tickets_clear();
	return tickets_count() == 0 ? 0 : -1;
}

static void issue(const struct ticket *t, int64_t now, uint8_t *id)
{
	assert_int_equal(tickets_issue(t, now, id), 0);
}

static int take(const uint8_t *id, int64_t now)
{
	struct ticket t;

	return tickets_take(id, mine.uid, mine.pid, now, &t);
}

static void test_used_once(void **state)
{
	uint8_t id[16], other[16];
	struct ticket t = { 0 };

	(void)state;
	issue(&mine, 0, id);
	issue(&mine, 0, other);
	assert_memory_not_equal(id, other, sizeof(id));
	assert_int_equal(tickets_take(id, 100, 10, 1, &t), 0);
	assert_int_equal(t.ino, 7);
	assert_true(t.writable);
	assert_int_equal(take(id, 1), -ESTALE);
	assert_int_equal(take(other, 1), 0);
	assert_int_equal(tickets_count(), 0);
}

static void test_made_up(void **state)
{
	uint8_t id[16];

	(void)state;
	issue(&mine, 0, id);
	for (unsigned bit = 0; bit < 128; bit++) {
		id[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(take(id, 1), -ESTALE);
		id[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(take(id, 1), 0);
}

static void test_foreign(void **state)
{
	struct ticket t = { .ino = 1 };
	uint8_t id[16];

	(void)state;
	issue(&mine, 0, id);
	assert_int_equal(tickets_take(id, 101, 10, 1, &t), -EPERM);
	assert_int_equal(tickets_take(id, 100, 11, 1, &t), -EPERM);
	assert_int_equal(tickets_take(id, 0, 10, 1, &t), -EPERM);
	assert_int_equal(t.ino, 1); /* outputs are untouched on failure */
	assert_int_equal(take(id, 1), 0);
}

static void test_too_old(void **state)
{
	uint8_t id[16], later[16];

	(void)state;
	issue(&mine, 0, id);
	issue(&mine, 10, later);
	assert_int_equal(take(id, END), -ESTALE);
	assert_int_equal(tickets_count(), 1);
	assert_int_equal(take(later, END), 0);
	issue(&mine, 100, id);
	assert_int_equal(take(id, 100 + END - 1), 0);
	/* Issuing drops them, too. */
	issue(&mine, 100, id);
	issue(&mine, 100 + END, later);
	assert_int_equal(tickets_count(), 1);
}

static void test_many_of_one_user(void **state)
{
	static uint8_t ids[ZC_TICKETS_MAX + 1][16];
	struct ticket other = mine;
	uint8_t his[16];

	(void)state;
	other.uid = 200;
	issue(&other, 0, his);
	for (unsigned i = 0; i <= ZC_TICKETS_MAX; i++)
		issue(&mine, 0, ids[i]);
	assert_int_equal(tickets_count(), ZC_TICKETS_MAX + 1);
	assert_int_equal(take(ids[0], 1), -ESTALE);
	for (unsigned i = 1; i <= ZC_TICKETS_MAX; i++)
		assert_int_equal(take(ids[i], 1), 0);
	assert_int_equal(tickets_take(his, 200, 10, 1, &other), 0);
}

/* The table is full: who has the most pays. */
static void test_many_users(void **state)
{
	struct ticket t = mine;
	uint8_t first[16], id[16], small[16];

	(void)state;
	t.uid = 5000;
	issue(&t, 0, small);
	for (unsigned u = 0; u < 16; u++)
		for (unsigned i = 0; i < ZC_TICKETS_MAX - (u > 0); i++) {
			t.uid = 1000 + u;
			issue(&t, 0, u == 0 && i == 0 ? first : id);
		}
	while (tickets_count() < TICKETS_ALL) {
		t.uid = 6000;
		issue(&t, 0, id);
	}
	t.uid = 7000;
	issue(&t, 0, id);
	assert_int_equal(tickets_count(), TICKETS_ALL);
	assert_int_equal(tickets_take(first, 1000, mine.pid, 1, &t), -ESTALE);
	assert_int_equal(tickets_take(small, 5000, mine.pid, 1, &t), 0);
	assert_int_equal(tickets_take(id, 7000, mine.pid, 1, &t), 0);
}

#define CASE(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_used_once), CASE(test_made_up),	   CASE(test_foreign),
		CASE(test_too_old),   CASE(test_many_of_one_user), CASE(test_many_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
