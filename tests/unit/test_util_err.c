/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "util/err.h"

static void set_gives_the_negative_code_and_keeps_the_text(void **state)
{
	struct zu_err err = { 0 };

	errno = EXDEV;
	assert_int_equal(zu_err_set(&err, EINVAL, "store %s: not a store", "/x"), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	assert_string_equal(err.text, "store /x: not a store");
	assert_int_equal(errno, EXDEV);
}

static void nobody_needs_to_listen(void **state)
{
	assert_int_equal(zu_err_set(NULL, EIO, "page %d", 1), -EIO);
	assert_int_equal(zu_err_prefix(NULL, "x: "), 0);
}

static void a_later_text_replaces_and_may_quote_the_former(void **state)
{
	struct zu_err err = { 0 };

	zu_err_set(&err, EIO, "page 7 is damaged");
	assert_int_equal(zu_err_set(&err, EBADMSG, "store /x: %s", err.text), -EBADMSG);
	assert_string_equal(err.text, "store /x: page 7 is damaged");
}

static void a_prefix_comes_first_and_keeps_the_code(void **state)
{
	struct zu_err err = { 0 };

	assert_int_equal(zu_err_prefix(&err, "store /x: "), 0);
	assert_string_equal(err.text, "");
	zu_err_set(&err, EBUSY, "in use");
	assert_int_equal(zu_err_prefix(&err, "store %s: ", "/x"), -EBUSY);
	assert_string_equal(err.text, "store /x: in use");
	assert_int_equal(err.code, EBUSY);
}

static void a_text_that_is_too_long_is_marked_as_cut(void **state)
{
	struct zu_err err = { 0 };
	char fits[sizeof(err.text)], longer[sizeof(err.text) + 1];

	memset(fits, 'a', sizeof(fits));
	fits[sizeof(fits) - 1] = '\0';
	zu_err_set(&err, EIO, "%s", fits);
	assert_string_equal(err.text, fits);

	zu_err_prefix(&err, "b");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "baaa", 4);
	assert_string_equal(err.text + sizeof(err.text) - 5, "a...");

	memset(longer, 'c', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	zu_err_set(&err, EIO, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_string_equal(err.text + sizeof(err.text) - 5, "c...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_gives_the_negative_code_and_keeps_the_text),
		cmocka_unit_test(nobody_needs_to_listen),
		cmocka_unit_test(a_later_text_replaces_and_may_quote_the_former),
		cmocka_unit_test(a_prefix_comes_first_and_keeps_the_code),
		cmocka_unit_test(a_text_that_is_too_long_is_marked_as_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
