/* SPDX-License-Identifier: MIT */
/* zc_fixture.h - what the tests of libzc share: a file that the fake daemon (zc_fake.h) serves. */
#ifndef ZC_FIXTURE_H
#define ZC_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/zc_ctl.h"
#include "zc/map.h"
#include "zc_fake.h"

static char path[64];
static const size_t page = 4096;

static inline void refused(int r, int code, const char *text)
{
	assert_int_equal(r, -code);
	if (!strstr(zc_error(), text))
		fail_msg("'%s' does not say '%s'", zc_error(), text);
}

static inline zc_file *opened(unsigned flags)
{
	zc_file *f = NULL;

	assert_int_equal(zc_open(path, flags, &f), 0);
	assert_non_null(f);
	return f;
}

static inline zc_file *mapped(unsigned flags, char **ret)
{
	zc_file *f = opened(flags);
	void *map = NULL;

	assert_int_equal(zc_map(f, 0, &map), 0);
	assert_non_null(map);
	*ret = map;
	return f;
}

static inline uint32_t flags_of(zc_file *f)
{
	struct zc_status s;

	assert_int_equal(zc_status(f, &s), 0);
	return s.flags;
}

/* A child of fork that gives what `body` gives, or 128 + the signal that ended it */
static inline int in_child(int (*body)(zc_file *, char *), zc_file *f, char *map)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		_exit(body(f, map));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* How many descriptors this process has */
static inline int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static inline void wait_asked(int type, int n)
{
	for (int i = 0; __atomic_load_n(&fake.asked[type], __ATOMIC_SEQ_CST) < n; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
}

static inline void let_go(void)
{
	__atomic_store_n(&fake.hold_type, -1, __ATOMIC_SEQ_CST);
}

/* ---- set up ------------------------------------------------------------------------------ */

static inline int each(void **state)
{
	FILE *f = fopen(path, "w");

	fake_reset();
	return !f || ftruncate(fileno(f), 8192) < 0 || fclose(f) != 0;
}

static inline int all(void **state)
{
	snprintf(path, sizeof(path), "/tmp/zc-test.%d", (int)getpid());
	fake_start();
	return 0;
}

static inline int end(void **state)
{
	fake_stop();
	return unlink(path);
}

#endif
