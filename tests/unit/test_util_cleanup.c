/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "util/cleanup.h"

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void a_descriptor_ends_with_its_scope(void **state)
{
	int seen;

	{
		zu_cleanup_close int fd = open_null();

		seen = fd;
		assert_true(is_open(seen));
	}
	assert_false(is_open(seen));
}

static void a_taken_descriptor_outlives_its_scope(void **state)
{
	int seen;

	{
		zu_cleanup_close int fd = open_null();

		seen = TAKE_FD(fd);
		assert_int_equal(fd, -1);
	}
	assert_true(is_open(seen));
	assert_int_equal(close(seen), 0);
}

static void a_taken_pointer_outlives_its_scope(void **state)
{
	char *seen;

	{
		zu_cleanup_free char *text = strdup("kept");

		assert_non_null(text);
		seen = TAKE_PTR(text);
		assert_null(text);
	}
	assert_string_equal(seen, "kept");
	free(seen);
}

static void streams_end_with_their_scope(void **state)
{
	int file_fd, dir_fd;

	{
		zu_cleanup_file FILE *file = fopen("/dev/null", "re");
		zu_cleanup_dir DIR *dir = opendir("/");

		assert_non_null(file);
		assert_non_null(dir);
		file_fd = fileno(file);
		dir_fd = dirfd(dir);
	}
	assert_false(is_open(file_fd));
	assert_false(is_open(dir_fd));
}

static void empty_variables_are_left_alone_and_errno_survives(void **state)
{
	errno = ENOTDIR;
	{
		zu_cleanup_close int fd = -1;
		/* Not open: close() fails with EBADF, which must not show. */
		zu_cleanup_close int stale = 1 << 20;
		zu_cleanup_free void *pointer = NULL;
		zu_cleanup_file FILE *file = NULL;
		zu_cleanup_dir DIR *dir = NULL;

		(void)fd, (void)stale, (void)pointer, (void)file, (void)dir;
	}
	assert_int_equal(errno, ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_ends_with_its_scope),
		cmocka_unit_test(a_taken_descriptor_outlives_its_scope),
		cmocka_unit_test(a_taken_pointer_outlives_its_scope),
		cmocka_unit_test(streams_end_with_their_scope),
		cmocka_unit_test(empty_variables_are_left_alone_and_errno_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
