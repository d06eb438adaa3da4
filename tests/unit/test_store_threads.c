/* SPDX-License-Identifier: MIT */
/*
 * Many threads on one store: writers that commit, readers, clones, renames over open files. Every
 * page of a file carries the file's number and one version: a mixture, or another file's bytes, is
 * seen at once. Meant for TSan and ASan as much as for its own checks.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define FILES 4
#define PAGES 64u
#define ROUNDS 150
#define THREADS 8

static const struct store_options options = { .commit_seconds = 1, .log = fixture_log };
static const struct store_cred cred = { 0 };
static struct store *s;
static uint64_t inos[FILES];
static atomic_int failures;

static void check(bool ok, const char *what)
{
	if (!ok && atomic_fetch_add(&failures, 1) < 10)
		fprintf(stderr, "failed: %s\n", what);
}

static void fill(uint64_t *buf, unsigned pages, uint64_t file, uint64_t version)
{
	for (unsigned n = 0; n < pages * 512; n++)
		buf[n] = file << 32 | version;
}

/* One writer per file: whole rewrites and single pages, with commits. */
static void writer(unsigned file, uint64_t *buf)
{
	const struct store_source source = { .buf = buf };

	for (uint64_t v = 1; v < ROUNDS; v++) {
		unsigned pages = v % 3 ? 1 : PAGES;
		uint64_t at = v % 3 ? v * 7 % PAGES * 4096 : 0;

		fill(buf, pages, file, v);
		check(store_write(s, inos[file], at, pages * 4096, &source, 0) ==
			      (ssize_t)pages * 4096,
		      "write");
		if (v % 5 == 0)
			check(store_commit(s, &inos[file], 1, 0) == 0, "commit");
	}
}

static void reader(uint64_t *buf)
{
	for (unsigned k = 0; k < ROUNDS * 4; k++) {
		unsigned file = k % FILES;
		ssize_t n = store_pread(s, inos[file], buf, PAGES * 4096, 0);

		check(n >= 0 && n % 4096 == 0, "read");
		for (ssize_t p = 0; p < n / 4096; p++) {
			check(buf[p * 512] == buf[p * 512 + 511], "a page is of one version");
			check(buf[p * 512] >> 32 == file || !buf[p * 512], "a page is of its file");
		}
	}
}

static void cloner(unsigned id, uint64_t *buf)
{
	for (unsigned k = 0; k < ROUNDS; k++) {
		struct store_attr a, b;
		char name[32], other[32];
		ssize_t n;

		snprintf(name, sizeof(name), "c%u", id);
		snprintf(other, sizeof(other), "t%u", id);
		check(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a) == 0, "create");
		n = store_copy_range(s, inos[k % FILES], 0, a.ino, 0, PAGES * 4096);
		check(n >= 0, "copy");
		check(store_pread(s, a.ino, buf, PAGES * 4096, 0) == n, "read a copy");
		for (ssize_t p = 0; p < n / 4096; p++)
			check(buf[p * 512] >> 32 == k % FILES || !buf[p * 512], "a copied page");
		check(store_rename(s, 1, name, 1, other, 0) == 0, "rename");
		check(store_peek(s, 1, name, &b) == -ENOENT, "the old name is gone at once");
		check(store_peek(s, 1, other, &b) == 0 && a.ino == b.ino, "the new name is there");
		if (k % 8 == 0)
			check(store_commit(s, &a.ino, 1, 0) == 0, "commit of a copy");
		store_forget(s, a.ino, 1);
	}
}

static void *thread_main(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	uint64_t *buf = aligned_alloc(4096, PAGES * 4096);

	if (id < FILES)
		writer(id, buf);
	else if (id < FILES + 2)
		reader(buf);
	else
		cloner(id, buf);
	free(buf);
	return NULL;
}

static void test_threads(void **state)
{
	struct zu_err err = { 0 };
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(store_open(fixture_path(), &options, &s, &err), 0);
	for (unsigned k = 0; k < FILES; k++) {
		struct store_attr a;
		char name[16];

		snprintf(name, sizeof(name), "f%u", k);
		assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
		inos[k] = a.ino;
	}
	for (unsigned k = 0; k < THREADS; k++)
		assert_int_equal(
			pthread_create(&threads[k], NULL, thread_main, (void *)(uintptr_t)k), 0);
	for (unsigned k = 0; k < THREADS; k++)
		pthread_join(threads[k], NULL);
	assert_int_equal(failures, 0);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
