/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/bytes.h"

static void little_endian_has_the_lowest_byte_first(void **state)
{
	unsigned char b[9];

	zu_put_le16(b + 1, 0x0102);
	assert_int_equal(b[1], 0x02);
	assert_int_equal(zu_get_le16(b + 1), 0x0102);
	zu_put_le32(b + 1, 0x01020304);
	assert_int_equal(b[1], 0x04);
	assert_int_equal(b[4], 0x01);
	assert_int_equal(zu_get_le32(b + 1), 0x01020304);
	zu_put_le64(b + 1, 0x0102030405060708);
	assert_int_equal(b[1], 0x08);
	assert_int_equal(b[8], 0x01);
	assert_true(zu_get_le64(b + 1) == 0x0102030405060708);
}

static void big_endian_has_the_highest_byte_first(void **state)
{
	unsigned char b[9];

	zu_put_be16(b + 1, 0x0102);
	assert_int_equal(b[1], 0x01);
	assert_int_equal(zu_get_be16(b + 1), 0x0102);
	zu_put_be32(b + 1, 0x01020304);
	assert_int_equal(b[1], 0x01);
	assert_int_equal(zu_get_be32(b + 1), 0x01020304);
	zu_put_be64(b + 1, 0x0102030405060708);
	assert_int_equal(b[1], 0x01);
	assert_int_equal(b[8], 0x08);
	assert_true(zu_get_be64(b + 1) == 0x0102030405060708);
}

static void big_endian_sorts_as_bytes(void **state)
{
	static const uint64_t rising[] = { 0, 1, 255, 256, 1ull << 32, UINT64_MAX - 1, UINT64_MAX };
	unsigned char a[8], b[8];

	for (size_t i = 1; i < sizeof(rising) / sizeof(rising[0]); i++) {
		zu_put_be64(a, rising[i - 1]);
		zu_put_be64(b, rising[i]);
		assert_true(memcmp(a, b, sizeof(a)) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(little_endian_has_the_lowest_byte_first),
		cmocka_unit_test(big_endian_has_the_highest_byte_first),
		cmocka_unit_test(big_endian_sorts_as_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
