/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/fdio.h"

/* More than a pipe holds, so that a transfer through one is short many times. */
#define BIG (4u << 20)

struct writer {
	int fd;
	const void *data;
	ssize_t result;
};

static void *write_big(void *arg)
{
	struct writer *w = arg;

	w->result = zu_write_full(w->fd, w->data, BIG);
	close(w->fd);
	return NULL;
}

static void on_signal(int number)
{
}

static char *new_pattern(void)
{
	char *data = malloc(BIG);

	assert_non_null(data);
	for (size_t i = 0; i < BIG; i++)
		data[i] = (char)(i * 2654435761u >> 24);
	return data;
}

/* The reader takes small pieces and interrupts the writer after each: both sides see short counts,
 * the writer EINTR as well. */
static void a_pipe_carries_everything_despite_signals(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	zu_cleanup_free char *sent = new_pattern(), *got = malloc(BIG + 1);
	struct writer w = { .data = sent };
	pthread_t thread;
	int ends[2];
	size_t done = 0;

	assert_non_null(got);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	w.fd = ends[1];
	assert_int_equal(pthread_create(&thread, NULL, write_big, &w), 0);
	while (done < BIG / 2) {
		ssize_t n = zu_read_full(ends[0], got + done, 10007);

		assert_int_equal(n, 10007);
		done += (size_t)n;
		pthread_kill(thread, SIGUSR1);
	}
	/* Asks for one byte more than there is: the end of the file ends it. */
	assert_int_equal(zu_read_full(ends[0], got + done, BIG + 1 - done), BIG - done);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(w.result, BIG);
	assert_memory_equal(sent, got, BIG);
	close(ends[0]);
}

static void files_are_read_and_written_at_offsets(void **state)
{
	zu_cleanup_close int fd = memfd_create("fdio", MFD_CLOEXEC);
	char got[16] = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(zu_pwrite_full(fd, "world", 5, 6), 5);
	assert_int_equal(zu_pwrite_full(fd, "hello ", 6, 0), 6);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(zu_pread_full(fd, got, sizeof(got), 0), 11);
	assert_memory_equal(got, "hello world", 11);
	assert_int_equal(zu_pread_full(fd, got, 4, 6), 4);
	assert_memory_equal(got, "worl", 4);
	assert_int_equal(zu_pread_full(fd, got, 4, 11), 0);
	assert_int_equal(zu_read_full(fd, got, 0), 0);
}

static void failures_are_negative_errno(void **state)
{
	zu_cleanup_close int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	zu_cleanup_close int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	zu_cleanup_close int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char byte = 0;

	assert_true(in >= 0 && out >= 0 && full >= 0);
	assert_int_equal(zu_read_full(out, &byte, 1), -EBADF);
	assert_int_equal(zu_pread_full(out, &byte, 1, 0), -EBADF);
	assert_int_equal(zu_write_full(in, &byte, 1), -EBADF);
	assert_int_equal(zu_pwrite_full(in, &byte, 1, 0), -EBADF);
	assert_int_equal(zu_write_full(full, &byte, 1), -ENOSPC);
}

/* A sealed memfd takes the first part of a write only: the short count is followed up, and the reason
 * comes out. */
static void an_error_in_the_middle_is_reported(void **state)
{
	zu_cleanup_close int fd = memfd_create("fdio", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char data[64] = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(zu_pwrite_full(fd, data, sizeof(data), 4096 - 32), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_carries_everything_despite_signals),
		cmocka_unit_test(files_are_read_and_written_at_offsets),
		cmocka_unit_test(failures_are_negative_errno),
		cmocka_unit_test(an_error_in_the_middle_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
