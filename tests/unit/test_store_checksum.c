/* SPDX-License-Identifier: MIT */
/* A store with checksums: damage is seen by reads, by changes of a part of a page, and by scrub. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store_fixture.h"

#define SIZE (1u << 20)

static const struct store_options options = { .log = fixture_log };
static const struct store_cred cred = { 0 };
static uint8_t bytes[SIZE], got[SIZE];
static char told[4096];
static struct store *s;

static int setup(void **state)
{
	(void)state;
	for (size_t n = 0; n < SIZE; n++)
		bytes[n] = (uint8_t)(n * 7 + n / 4096);
	return fixture_make_with(&(struct store_create_options){ .mode = 0755, .checksum = true });
}

static void open_store(void)
{
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
}

/* A committed file /d/f of 256 pages; page 100 of it is damaged when it says so. */
static uint64_t make(bool damage)
{
	const struct store_source source = { .buf = bytes };
	struct store_attr d, a;
	struct store_read read;
	char path[5000];
	FILE *f;

	open_store();
	assert_int_equal(store_mkdir(s, 1, "d", 0755, &cred, &d), 0);
	assert_int_equal(store_mknod(s, d.ino, "f", S_IFREG | 0600, 0, &cred, &a), 0);
	assert_int_equal(store_write(s, a.ino, 0, SIZE, &source, 0), SIZE);
	assert_int_equal(store_commit(s, &a.ino, 1, 0), 0);
	assert_int_equal(store_read_begin(s, a.ino, 100 * 4096, 4096, &read), 0);
	assert_int_equal(read.segments[0].where, STORE_PAGES);
	snprintf(path, sizeof(path), "%s/pages", fixture_path());
	f = damage ? fopen(path, "r+") : NULL;
	if (f) {
		assert_int_equal(fseek(f, (long)read.segments[0].pos + 17, SEEK_SET), 0);
		assert_int_equal(fputc(bytes[100 * 4096 + 17] ^ 1, f), bytes[100 * 4096 + 17] ^ 1);
		fclose(f);
	}
	store_read_end(s, &read);
	return a.ino;
}

static void tell(void *arg, const char *text)
{
	(void)arg;
	strncat(told, text, sizeof(told) - strlen(told) - 1);
}

static struct store_scrub_result scrub(void)
{
	const struct store_scrub_options o = { .finding = tell };
	struct store_scrub_result r;

	told[0] = 0;
	assert_int_equal(store_scrub(s, &o, &r), 0);
	return r;
}

static void test_sound(void **state)
{
	uint64_t ino = make(false);
	struct store_scrub_result r = scrub();

	(void)state;
	assert_true(r.checksums);
	assert_int_equal(r.damaged_pages, 0);
	assert_int_equal(r.pages, 256);
	assert_int_equal(store_pread(s, ino, got, 5000, 4000), 5000);
	assert_memory_equal(got, bytes + 4000, 5000);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

static bool stop_at_once(void *arg, uint64_t done)
{
	(void)arg;
	(void)done;
	return false;
}

/* In steps, each going on where the last one stopped. */
static void test_in_steps(void **state)
{
	struct store_scrub_options o = { .progress = stop_at_once };
	const struct store_source source = { .buf = bytes };
	struct store_scrub_result r;
	uint64_t ino = make(true), pages = 0, damaged = 0;
	unsigned steps = 0;

	(void)state;
	assert_int_equal(store_write(s, ino, 8 * SIZE, SIZE, &source, 0), SIZE);
	assert_int_equal(store_commit(s, &ino, 1, 0), 0);
	do {
		assert_int_equal(store_scrub(s, &o, &r), 0);
		pages += r.pages;
		damaged += r.damaged_pages;
		steps++;
		o.from_ino = r.next_ino;
		o.from_chunk = r.next_chunk;
	} while (r.next_ino);
	assert_int_equal(pages, 512);
	assert_int_equal(damaged, 1);
	assert_int_equal(steps, 3);
	assert_int_equal(store_close(s), 0);
}

static void test_damaged(void **state)
{
	const struct store_source source = { .buf = "x" };
	uint64_t ino = make(true);
	struct store_scrub_result r;

	(void)state;
	assert_int_equal(store_pread(s, ino, got, SIZE, 0), -EIO);
	assert_int_equal(store_pread(s, ino, got, 10, 100 * 4096 + 4000), -EIO);
	assert_int_equal(store_pread(s, ino, got, 4096, 99 * 4096), 4096);
	assert_int_equal(store_pread(s, ino, got, 4096, 101 * 4096), 4096);
	/* Changing a part of it would make the damage look right. */
	assert_int_equal(store_write(s, ino, 100 * 4096 + 50, 1, &source, 0), -EIO);
	r = scrub();
	assert_int_equal(r.damaged_pages, 1);
	assert_int_equal(r.damaged_files, 1);
	assert_non_null(strstr(told, "/d/f: inode "));
	assert_non_null(strstr(told, "bytes 409600 to 413695: damaged"));
	/* Overwritten whole it is good again. */
	memcpy(got, bytes, 4096);
	assert_int_equal(store_write(s, ino, 100 * 4096, 4096, &(struct store_source){ .buf = got },
				     0),
			 4096);
	assert_int_equal(store_commit(s, &ino, 1, 0), 0);
	assert_int_equal(scrub().damaged_pages, 0);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
	open_store();
	assert_int_equal(scrub().damaged_pages, 0);
	assert_int_equal(store_close(s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sound, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_in_steps, setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
