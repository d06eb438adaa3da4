/* SPDX-License-Identifier: MIT */
/*
 * No reader sees what a page of the page file held before: two threads rewrite a file each, large pieces
 * out of pipes and single pages, while one keeps all of the page file in the host's page cache by its
 * mapping, and one reads the files through that. Each page says which round wrote it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_i.h"
#include "store_fixture.h"

#define WRITERS 2
#define PAGES 128u
#define ROUNDS 120u
#define STEP 1000003u /* between the numbers of rounds */

static const struct store_cred cred = { 0 };
static struct store *s;
static struct writer {
	uint64_t ino;
	_Atomic uint64_t done; /* the round that all of the file has at least */
	int ends[2];
	uint64_t data[PAGES][PAGE / 8];
} * writers;
static atomic_bool over;
static atomic_uint bad, looks;

static void fill(struct writer *w, uint64_t round)
{
	for (unsigned n = 0; n < PAGES; n++)
		for (unsigned k = 0; k < PAGE / 8; k++)
			w->data[n][k] = round * STEP + n;
}

static bool must(bool good)
{
	if (!good)
		atomic_fetch_add(&bad, 1);
	return good;
}

static void look_at(const uint64_t *page, uint64_t n, uint64_t least)
{
	uint64_t first = page[0];
	bool same = true;

	for (unsigned k = 1; k < PAGE / 8; k++)
		same = same && page[k] == first;
	if (!must(same && first % STEP == n && first / STEP >= least))
		fprintf(stderr, "page %llu: %s, round %llu, at least %llu is due\n",
			(unsigned long long)n, same ? "whole" : "torn",
			(unsigned long long)(first / STEP), (unsigned long long)least);
}

/* All of the file, as replies are made: from the mapping and by pread. */
static void look(struct writer *w)
{
	static __thread uint64_t copy[PAGE / 8];
	uint64_t least = atomic_load(&w->done);
	struct store_read read;
	uint64_t n = 0;

	if (!must(store_read_begin(s, w->ino, 0, PAGES * PAGE, &read) == 0))
		return;
	for (unsigned i = 0; i < read.count; i++) {
		const struct store_segment *g = &read.segments[i];

		for (uint64_t at = 0; at < g->length; at += PAGE, n++) {
			const uint8_t *from = g->where == STORE_MEMORY
						      ? (const uint8_t *)g->mem + at
						      : store_page_map(s, g->pos + at, PAGE);

			if (!must(g->where != STORE_ZEROS && from))
				continue;
			look_at((const uint64_t *)(const void *)from, n, least);
			if (g->where == STORE_PAGES &&
			    must(pread(store_page_fd(s), copy, PAGE, (off_t)(g->pos + at)) == PAGE))
				look_at(copy, n, least);
		}
	}
	must(n == PAGES);
	store_read_end(s, &read);
	atomic_fetch_add(&looks, 1);
}

static bool write_large(struct writer *w)
{
	const struct store_source source = { .pipe_fd = w->ends[0] };

	return write(w->ends[1], w->data, sizeof(w->data)) == sizeof(w->data) &&
	       store_write(s, w->ino, 0, sizeof(w->data), &source, 0) == sizeof(w->data);
}

/* Every third page: they are put down as scattered runs. */
static bool write_small(struct writer *w)
{
	for (unsigned k = 0; k < 3; k++)
		for (unsigned n = k; n < PAGES; n += 3) {
			const struct store_source source = { .buf = w->data[n], .pipe_fd = -1 };

			if (store_write(s, w->ino, (uint64_t)n * PAGE, PAGE, &source, 0) != PAGE)
				return false;
		}
	return true;
}

static void *run_writer(void *arg)
{
	struct writer *w = arg;

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		fill(w, round);
		if (!must(round % 4 ? write_large(w) : write_small(w)))
			break;
		atomic_store(&w->done, round);
		look(w);
		if (round % 4 == 0)
			must(store_commit(s, &w->ino, 1, 0) == 0);
	}
	return NULL;
}

/* Everything is in the page cache, also what is free, and mapped. */
static void *run_toucher(void *arg)
{
	struct store_info info;
	unsigned sum = 0;

	(void)arg;
	while (!atomic_load(&over)) {
		store_get_info(s, &info);
		posix_fadvise(store_page_fd(s), 0, 0, POSIX_FADV_WILLNEED);
		for (uint64_t n = 0; n < info.pages && n < 4096; n++)
			sum += *(const volatile uint8_t *)store_page_map(s, n * PAGE, PAGE);
	}
	return (void *)(uintptr_t)(sum & 1);
}

static void *run_reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		for (unsigned i = 0; i < WRITERS; i++)
			look(&writers[i]);
	return NULL;
}

static void stress(bool no_direct_io)
{
	struct store_options options = { .log = fixture_log, .no_direct_io = no_direct_io };
	pthread_t threads[WRITERS], others[2];
	struct zu_err err = { 0 };
	struct store_attr a;

	atomic_store(&over, false);
	atomic_store(&bad, 0);
	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < WRITERS; i++) {
		char name[] = { 'f', (char)('0' + i), '\0' };

		assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
		writers[i].ino = a.ino;
		fill(&writers[i], 0);
		assert_true(write_large(&writers[i]));
		atomic_store(&writers[i].done, 0);
	}
	pthread_create(&others[0], NULL, run_toucher, NULL);
	pthread_create(&others[1], NULL, run_reader, NULL);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, run_writer, &writers[i]);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&over, true);
	pthread_join(others[0], NULL);
	pthread_join(others[1], NULL);
	assert_int_equal(atomic_load(&bad), 0);
	assert_true(atomic_load(&looks) >= WRITERS * ROUNDS);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

static void test_direct(void **state)
{
	(void)state;
	stress(false);
}

static void test_not_direct(void **state)
{
	(void)state;
	stress(true);
}

static int setup(void **state)
{
	(void)state;
	writers = calloc(WRITERS, sizeof(*writers));
	for (unsigned i = 0; i < WRITERS; i++)
		if (pipe(writers[i].ends) < 0 ||
		    fcntl(writers[i].ends[0], F_SETPIPE_SZ, sizeof(writers[i].data)) < 0)
			return -1;
	return fixture_make(64u << 20);
}

/* As on a host that is a tmpfs. */
static int setup_memory(void **state)
{
	setenv("TMPDIR", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", 1);
	return setup(state);
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		close(writers[i].ends[0]);
		close(writers[i].ends[1]);
	}
	free(writers);
	return fixture_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(test_direct, setup_memory, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
