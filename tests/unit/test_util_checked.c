/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/checked.h"

static void sums_fit_or_leave_the_result_alone(void **state)
{
	uint64_t r = 7;

	assert_true(zu_add_u64(UINT64_MAX - 1, 1, &r));
	assert_true(r == UINT64_MAX);
	r = 7;
	assert_false(zu_add_u64(UINT64_MAX, 1, &r));
	assert_true(r == 7);
}

static void differences_do_not_go_below_zero(void **state)
{
	uint64_t r = 7;

	assert_true(zu_sub_u64(5, 5, &r));
	assert_true(r == 0);
	r = 7;
	assert_false(zu_sub_u64(5, 6, &r));
	assert_true(r == 7);
}

static void products_fit_or_leave_the_result_alone(void **state)
{
	uint64_t r = 7;

	assert_true(zu_mul_u64(1ull << 32, (1ull << 32) - 1, &r));
	assert_true(r == 0xffffffff00000000);
	r = 7;
	assert_false(zu_mul_u64(1ull << 32, 1ull << 32, &r));
	assert_true(r == 7);
}

static void a_range_ends_at_its_limit_at_most(void **state)
{
	uint64_t end = 7;

	assert_true(zu_range_end(4096, 4096, 8192, &end));
	assert_true(end == 8192);
	assert_true(zu_range_end(8192, 0, 8192, &end));
	end = 7;
	assert_false(zu_range_end(4096, 4097, 8192, &end));
	assert_false(zu_range_end(UINT64_MAX, 1, UINT64_MAX, &end));
	assert_true(end == 7);
}

static void rounding_up_stays_within_64_bits(void **state)
{
	uint64_t r = 7;

	assert_true(zu_round_up_u64(0, 4096, &r));
	assert_true(r == 0);
	assert_true(zu_round_up_u64(1, 4096, &r));
	assert_true(r == 4096);
	assert_true(zu_round_up_u64(4096, 4096, &r));
	assert_true(r == 4096);
	r = 7;
	assert_false(zu_round_up_u64(UINT64_MAX - 4094, 4096, &r));
	assert_true(r == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_fit_or_leave_the_result_alone),
		cmocka_unit_test(differences_do_not_go_below_zero),
		cmocka_unit_test(products_fit_or_leave_the_result_alone),
		cmocka_unit_test(a_range_ends_at_its_limit_at_most),
		cmocka_unit_test(rounding_up_stays_within_64_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
