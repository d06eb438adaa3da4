/* SPDX-License-Identifier: MIT */
/*
 * A live file against a model: random stores of tracked and untracked clients, requests of the mount,
 * commits, rollbacks, clients that leave or die, and a crash at the end. The file always reads as the
 * model says, live or not, and after the crash it is as of its last commit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "live_fixture.h"
#include "store/store.h"
#include "store_fixture.h"

enum { MOST = 300000, CLIENTS = 3, STEPS = 400 };

static const struct store_cred cred = { 0 };

struct model {
	struct store *store;
	struct live *live;
	uint64_t ino, random;
	uint8_t now[MOST], committed[MOST];
	uint64_t size, committed_size;
	struct fixture_client clients[CLIENTS];
};

static uint64_t rnd(struct model *m, uint64_t n)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return (m->random >> 33) % n;
}

/* ---- the file, live or not ---------------------------------------------------------------- */

static ssize_t file_read(struct model *m, uint8_t *buf)
{
	ssize_t n = live_read(m->live, m->ino, buf, MOST, 0, true);

	return n == -ENOENT ? store_pread(m->store, m->ino, buf, MOST, 0) : n;
}

static void file_write(struct model *m, const uint8_t *buf, size_t length, uint64_t offset)
{
	const struct store_source source = { .buf = buf, .pipe_fd = -1 };
	ssize_t n = -ENOENT;

	while (n == -ENOENT) {
		if (live_enter(m->live, m->ino)) {
			n = store_write(m->store, m->ino, offset, length, &source, 0);
			live_leave(m->live, m->ino);
		} else {
			n = live_write(m->live, m->ino, buf, length, offset, LIVE_WAIT);
		}
	}
	assert_int_equal(n, length);
}

static void file_truncate(struct model *m, uint64_t size)
{
	struct store_attr attr = { .size = size };
	int r = -ENOENT;

	while (r == -ENOENT) {
		if (live_enter(m->live, m->ino)) {
			r = store_setattr(m->store, m->ino, STORE_SET_SIZE, &attr, &attr);
			live_leave(m->live, m->ino);
		} else {
			r = live_truncate(m->live, m->ino, size);
		}
	}
	assert_int_equal(r, 0);
}

static void file_zero(struct model *m, uint64_t offset, uint64_t length)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int r = -ENOENT;

	while (r == -ENOENT) {
		if (live_enter(m->live, m->ino)) {
			r = store_fallocate(m->store, m->ino, mode, offset, length);
			live_leave(m->live, m->ino);
		} else {
			r = live_fallocate(m->live, m->ino, mode, offset, length);
		}
	}
	assert_int_equal(r, 0);
}

/* ---- steps -------------------------------------------------------------------------------- */

static void verify(struct model *m)
{
	static uint8_t got[MOST];
	struct store_attr attr = { 0 };

	assert_int_equal(file_read(m, got), m->size);
	assert_memory_equal(got, m->now, m->size);
	assert_int_equal(store_getattr(m->store, m->ino, &attr), 0);
	live_fix_attr(m->live, &attr);
	assert_int_equal(attr.size, m->size);
}

static void verify_store(struct model *m)
{
	static uint8_t got[MOST];

	assert_int_equal(store_pread(m->store, m->ino, got, MOST, 0), m->size);
	assert_memory_equal(got, m->now, m->size);
}

static void fill(struct model *m, uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)rnd(m, 256);
}

static void step_store(struct model *m)
{
	struct fixture_client *c = &m->clients[rnd(m, CLIENTS)];
	uint64_t at, n;

	if (!c->client || !c->status.writable || m->size == 0)
		return;
	at = rnd(m, m->size);
	n = rnd(m, rnd(m, 4) ? 100 : 40000);
	n = n < m->size - at ? n : m->size - at;
	fill(m, m->now + at, n);
	memcpy(c->map + at, m->now + at, n);
	/* What lies behind the end is nobody's. */
	if (rnd(m, 4) == 0)
		c->map[m->size + rnd(m, 9000)] = 7;
}

static void step_client(struct model *m)
{
	struct fixture_client *c = &m->clients[rnd(m, CLIENTS)];
	unsigned kind = (unsigned)rnd(m, 8);

	if (c->client)
		fixture_detach(c, rnd(m, 3) != 0);
	else
		assert_int_equal(fixture_attach(m->live, m->ino, kind != 0, kind > 1, c), 0);
}

static void step_write(struct model *m)
{
	uint64_t at = rnd(m, MOST), n = rnd(m, rnd(m, 4) ? 5000 : 60000) + 1;

	n = n < MOST - at ? n : MOST - at;
	if (at > m->size)
		memset(m->now + m->size, 0, at - m->size);
	fill(m, m->now + at, n);
	file_write(m, m->now + at, n, at);
	m->size = at + n > m->size ? at + n : m->size;
}

static void step_truncate(struct model *m)
{
	uint64_t size = rnd(m, 5) ? rnd(m, MOST) : 0;

	if (size > m->size)
		memset(m->now + m->size, 0, size - m->size);
	file_truncate(m, size);
	m->size = size;
}

static void step_zero(struct model *m)
{
	uint64_t at = rnd(m, MOST), n = rnd(m, 30000) + 1;

	file_zero(m, at, n);
	if (at < m->size)
		memset(m->now + at, 0, n < m->size - at ? n : m->size - at);
}

static void step_commit(struct model *m)
{
	assert_int_equal(live_commit(m->live, &m->ino, 1, 0, NULL), 0);
	memcpy(m->committed, m->now, m->size);
	m->committed_size = m->size;
	verify_store(m);
}

static void step_flush(struct model *m)
{
	assert_int_equal(live_flush(m->live, &m->ino, 1), 0);
	verify_store(m);
}

static void step_rollback(struct model *m)
{
	struct store_attr attr;

	assert_int_equal(live_rollback(m->live, m->ino, &attr), 0);
	assert_int_equal(attr.size, m->committed_size);
	m->size = m->committed_size;
	memcpy(m->now, m->committed, m->size);
}

static void step(struct model *m)
{
	static void (*const steps[])(struct model * m) = {
		step_store, step_store,	 step_store, step_store,    step_store,
		step_store, step_client, step_write, step_write,    step_truncate,
		step_zero,  step_commit, step_flush, step_rollback,
	};

	steps[rnd(m, sizeof(steps) / sizeof(steps[0]))](m);
	verify(m);
}

/* ---- runs --------------------------------------------------------------------------------- */

static void begin(struct model *m)
{
	static const struct store_options options = { .explicit_policy = true, .log = fixture_log };
	struct live_options live = { .limit = 1 << 30, .owner = (uid_t)-1 };
	struct zu_err err = { 0 };
	struct store_attr attr;

	if (store_open(fixture_path(), &options, &m->store, &err) < 0)
		fail_msg("%s", err.text);
	live.store = m->store;
	assert_int_equal(live_new(&live, &m->live), 0);
	assert_int_equal(store_mknod(m->store, 1, "f", S_IFREG | 0600, 0, &cred, &attr), 0);
	m->ino = attr.ino;
}

static void leave(struct model *m)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (m->clients[i].client)
			fixture_detach(&m->clients[i], rnd(m, 2));
}

static void expect_committed(struct model *m)
{
	static const struct store_options options = { .log = fixture_log };
	static uint8_t got[MOST];
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), &options, &m->store, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_pread(m->store, m->ino, got, MOST, 0), m->committed_size);
	assert_memory_equal(got, m->committed, m->committed_size);
	assert_int_equal(store_close(m->store), 0);
}

static void run(uint64_t seed, bool checksum, bool crash)
{
	const struct store_create_options create = { .mode = 0755, .checksum = checksum };
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	assert_int_equal(fixture_make_with(&create), 0);
	m->random = seed;
	begin(m);
	for (unsigned i = 0; i < STEPS; i++)
		step(m);
	leave(m);
	live_free(m->live);
	verify_store(m);
	if (crash)
		fixture_crash(m->store);
	else
		assert_int_equal(store_close(m->store), 0);
	fixture_check_sound();
	if (!crash) { /* a clean end commits all */
		memcpy(m->committed, m->now, m->size);
		m->committed_size = m->size;
	}
	expect_committed(m);
	fixture_teardown(NULL);
	free(m);
}

static void test_crash(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run(seed, false, true);
}

static void test_clean_end(void **state)
{
	for (uint64_t seed = 11; seed <= 13; seed++)
		run(seed, false, false);
}

static void test_checksums(void **state)
{
	for (uint64_t seed = 21; seed <= 23; seed++)
		run(seed, true, true);
}

int main(void)
{
	const char *seed = getenv("ZC_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_clean_end),
		cmocka_unit_test(test_checksums),
	};

	if (seed) {
		run(strtoull(seed, NULL, 0), false, true);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
