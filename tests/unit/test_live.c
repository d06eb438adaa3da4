/* SPDX-License-Identifier: MIT */
/*
 * Images of live files, one behaviour each: what a client may do with what it gets, when an image
 * ends, what a commit covers. test_live_model.c has the rest.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include <cmocka.h>

#include "live_fixture.h"
#include "store/store.h"
#include "store_fixture.h"

enum { LIMIT = 64 << 20, PAGE = 4096 };

static const struct store_cred cred = { 0 };
static struct store *s;
static struct live *live;
static _Atomic unsigned delivered;
static _Atomic bool writers;

static _Atomic unsigned delivered_paged; /* of files that counted as not live */

static int deliver(void *arg, uint64_t ino)
{
	delivered_paged += !live_is(live, ino);
	delivered++;
	return 0;
}

static bool cached_writers(void *arg, uint64_t ino, bool own)
{
	return writers && !own;
}

/* What fails in the hold of a commit, in the thread that wants it. */
static _Thread_local bool fails;

static int others_begin(void *arg, const uint64_t *inos, size_t n, void **ret_others)
{
	*ret_others = &live;
	return 0;
}

static int others_store(void *others)
{
	return fails ? -ENOSPC : 0;
}

static void others_end(void *others)
{
}

static unsigned others_taken_back(void *arg, const uint64_t *inos, size_t n)
{
	return 0;
}

static void begin(unsigned seconds)
{
	const struct store_options options = { .commit_seconds = seconds,
					       .log_bytes = 1 << 20,
					       .log = fixture_log };
	struct live_options o = {
		.limit = LIMIT,
		.commit_seconds = seconds,
		.owner = (uid_t)-1,
		.deliver = deliver,
		.cached_writers = cached_writers,
		.others_begin = others_begin,
		.others_store = others_store,
		.others_end = others_end,
		.others_taken_back = others_taken_back,
	};
	struct zu_err err = { 0 };

	if (store_open(fixture_path(), &options, &s, &err) < 0)
		fail_msg("%s", err.text);
	o.store = s;
	assert_int_equal(live_new(&o, &live), 0);
	delivered = delivered_paged = 0;
	writers = false;
}

static void end(void)
{
	live_free(live);
	assert_int_equal(store_close(s), 0);
	fixture_check_sound();
}

static uint64_t make(const char *name, uint64_t size, const char *policy)
{
	struct store_attr a, to = { .size = size };

	assert_int_equal(store_mknod(s, 1, name, S_IFREG | 0600, 0, &cred, &a), 0);
	if (policy)
		assert_int_equal(
			store_setxattr(s, a.ino, STORE_XATTR_POLICY, policy, strlen(policy), 0), 0);
	assert_int_equal(store_setattr(s, a.ino, STORE_SET_SIZE, &to, &a), 0);
	return a.ino;
}

static void expect(uint64_t ino, uint64_t offset, const char *text)
{
	char got[64] = "";

	assert_int_equal(store_pread(s, ino, got, strlen(text), offset), strlen(text));
	assert_string_equal(got, text);
}

static void attach(uint64_t ino, bool writable, bool track, struct fixture_client *c)
{
	assert_int_equal(fixture_attach(live, ino, writable, track, c), 0);
}

static bool soon(bool (*is)(uint64_t), uint64_t arg)
{
	static const struct timespec step = { .tv_nsec = 10000000 };

	for (unsigned i = 0; i < 3000; i++) {
		if (is(arg))
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

static bool is_gone(uint64_t ino)
{
	return !live_is(live, ino);
}

static struct live_stats stats(void)
{
	struct live_stats st;

	live_get_stats(live, &st);
	return st;
}

/* ---- what a client gets ------------------------------------------------------------------- */

static void test_seals(void **state)
{
	uint64_t ino;
	struct fixture_client c;

	begin(0);
	ino = make("f", 10000, NULL);
	attach(ino, true, true, &c);
	assert_int_equal(c.status.size, 10000);
	assert_int_equal(c.status.capacity, 16 << 20);
	assert_int_equal(ftruncate(c.fd, 4096), -1);
	assert_int_equal(ftruncate(c.fd, 1 << 30), -1);
	/* The daemon's own mapping keeps others from sealing the image against writing. */
	assert_int_equal(fcntl(c.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EBUSY);
	fixture_detach(&c, true);
	end();
}

static void test_read_only(void **state)
{
	struct fixture_client c;
	uint64_t ino;

	begin(0);
	ino = make("f", 10000, NULL);
	attach(ino, false, true, &c);
	assert_int_equal(write(c.fd, "x", 1), -1);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, c.fd, 0), MAP_FAILED);
	assert_int_equal(fcntl(c.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(live_track(c.client, 0, 0, -1), -EACCES);
	fixture_detach(&c, true);
	end();
}

static void test_limit(void **state)
{
	struct live_attach a = { .writable = true, .wanted = LIMIT };
	struct live_client *client, *none;
	struct live_status status;
	const char *why = NULL;
	uint64_t one, two;
	int fd;

	begin(0);
	one = a.ino = make("one", 0, NULL);
	two = make("two", 0, NULL);
	assert_int_equal(live_attach(live, &a, &client, &status, &fd, NULL), 0);
	close(fd);
	a = (struct live_attach){ .ino = two };
	assert_int_equal(live_attach(live, &a, &none, &status, &fd, &why), -ENOSPC);
	assert_non_null(strstr(why, "live_limit"));
	a.wanted = UINT64_MAX - 5;
	assert_int_equal(live_attach(live, &a, &none, &status, &fd, NULL), -EFBIG);
	a = (struct live_attach){ .ino = 1 };
	assert_int_equal(live_attach(live, &a, &none, &status, &fd, NULL), -EINVAL);
	assert_int_equal(stats().used, LIMIT);
	assert_true(live_is(live, one));
	assert_false(live_is(live, two));
	live_detach(client);
	end();
}

/* Nobody but root and the daemon's user has more than half; it is given back. */
static void test_share(void **state)
{
	struct live_attach a = { .writable = true, .uid = 4711, .wanted = LIMIT / 2 + 4096 };
	struct live_client *client, *other, *his;
	struct live_status status;
	const char *why = NULL;
	uint64_t one, two;
	int fd;

	begin(0);
	one = make("one", 0, NULL);
	two = make("two", 0, NULL);
	a.ino = one;
	assert_int_equal(live_attach(live, &a, &client, &status, &fd, &why), -ENOSPC);
	assert_non_null(strstr(why, "this user"));
	assert_int_equal(stats().refused, 1);
	a.wanted = LIMIT / 2;
	assert_int_equal(live_attach(live, &a, &client, &status, &fd, &why), 0);
	close(fd);
	a.ino = two;
	a.wanted = 0;
	assert_int_equal(live_attach(live, &a, &other, &status, &fd, &why), -ENOSPC);
	assert_int_equal(stats().used, LIMIT / 2);
	assert_int_equal(stats().capacity, LIMIT / 2);
	/* Another one's is not his. */
	a.ino = two;
	a.uid = 0;
	assert_int_equal(live_attach(live, &a, &other, &status, &fd, &why), 0);
	close(fd);
	a.uid = 4711;
	assert_int_equal(live_attach(live, &a, &his, &status, &fd, &why), 0);
	close(fd);
	live_detach(his);
	live_detach(other);
	live_detach(client);
	/* It is waited for until they are gone. */
	a.ino = make("three", 0, NULL);
	a.wanted = LIMIT / 2;
	assert_int_equal(live_attach(live, &a, &his, &status, &fd, &why), 0);
	close(fd);
	live_detach(his);
	end();
}

static void test_cached_writer(void **state)
{
	struct live_attach a = { .writable = true };
	struct live_client *client;
	struct live_status status;
	const char *why = NULL;
	int fd;

	begin(0);
	a.ino = make("f", 0, NULL);
	writers = true;
	assert_int_equal(live_attach(live, &a, &client, &status, &fd, &why), -EBUSY);
	assert_non_null(strstr(why, "cache"));
	assert_false(live_is(live, a.ino));
	a.own_cached = true;
	assert_int_equal(live_attach(live, &a, &client, &status, &fd, NULL), 0);
	assert_int_equal(delivered, 1);
	close(fd);
	live_detach(client);
	end();
}

/* ---- commits ------------------------------------------------------------------------------ */

static void test_tracked(void **state)
{
	struct live_commit_result r;
	struct fixture_client a, b;
	uint64_t ino;

	begin(0);
	ino = make("f", 8 << 20, "explicit");
	attach(ino, true, true, &a);
	attach(ino, true, true, &b);
	if (!a.tracked)
		skip();
	for (unsigned i = 0; i < 100; i++)
		a.map[i * 5 * PAGE] = 1;
	strcpy((char *)b.map + 3 * PAGE, "of b");
	assert_int_equal(live_commit(live, &ino, 1, 0, &r), 0);
	assert_int_equal(r.written, 101);
	assert_int_equal(r.compared, 0);
	expect(ino, 3 * PAGE, "of b");
	assert_int_equal(live_commit(live, &ino, 1, 0, &r), 0);
	assert_int_equal(r.written, 0);
	fixture_detach(&a, true);
	b.map[0] = 5;
	assert_int_equal(live_commit(live, &ino, 1, 0, &r), 0);
	assert_int_equal(r.written, 1);
	assert_int_equal(r.compared, 0);
	/* One that dies costs a comparison, no bytes. */
	attach(ino, true, true, &a);
	strcpy((char *)a.map + 70 * PAGE, "of the dead");
	fixture_detach(&a, false);
	assert_int_equal(live_commit(live, &ino, 1, 0, &r), 0);
	assert_int_equal(r.written, 1);
	assert_int_equal(r.compared, 2048);
	expect(ino, 70 * PAGE, "of the dead");
	assert_int_equal(live_commit(live, &ino, 1, 0, &r), 0);
	assert_int_equal(r.compared, 0);
	fixture_detach(&b, true);
	end();
}

/* The client gives memory back that it has stored to, page tables and all: its stores are found. */
static void test_given_back(void **state)
{
	const uint64_t size = 8 << 20;
	struct live_commit_result result = { 0 };
	struct fixture_client c;
	uint8_t page[PAGE];
	uint64_t ino;

	begin(0);
	ino = make("f", size, "explicit");
	attach(ino, true, true, &c);
	if (!c.tracked)
		skip();
	for (int advice = 0; advice < 2; advice++) {
		memset(c.map, 'a' + advice, size);
		assert_int_equal(madvise(c.map, size, advice ? MADV_PAGEOUT : MADV_DONTNEED), 0);
		assert_int_equal(live_commit(live, &ino, 1, 0, &result), 0);
		assert_int_equal(result.compared, 0);
		for (uint64_t at = 0; at < size; at += PAGE) {
			assert_int_equal(store_pread(s, ino, page, PAGE, at), PAGE);
			assert_int_equal(page[0], 'a' + advice);
		}
	}
	fixture_detach(&c, true);
	end();
}

/* A client makes holes where it has stored nothing. */
static void test_hole_of_client(void **state)
{
	const uint64_t size = 8 << 20, from = 2 << 20, length = 1 << 20;
	struct live_commit_result result = { 0 };
	struct fixture_client c;
	uint64_t ino;

	begin(0);
	ino = make("f", size, "explicit");
	attach(ino, true, true, &c);
	memset(c.map, 'a', size);
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	assert_int_equal(madvise(c.map + from, length, MADV_REMOVE), 0);
	c.map[0] = 'b';
	assert_int_equal(live_commit(live, &ino, 1, 0, &result), 0);
	assert_int_equal(result.written, length / PAGE + 1);
	/* Those of the mount are known: no comparison. */
	assert_int_equal(live_fallocate(live, ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					size / 2, length),
			 0);
	assert_int_equal(live_commit(live, &ino, 1, 0, &result), 0);
	assert_int_equal(result.written, length / PAGE);
	if (c.tracked)
		assert_int_equal(result.compared, 0);
	fixture_detach(&c, true);
	end();
}

static void test_untracked(void **state)
{
	struct live_commit_result r;
	struct fixture_client c;
	uint64_t ino;

	begin(0);
	ino = make("f", 1 << 20, NULL);
	attach(ino, true, false, &c);
	assert_int_equal(live_track(c.client, 0, 0, -1), 0);
	assert_int_equal(live_track(c.client, 0, 0, -1), -EALREADY);
	strcpy((char *)c.map + 9000, "found");
	assert_int_equal(live_commit(live, &ino, 1, 0, &r), 0);
	assert_int_equal(r.written, 1);
	assert_int_equal(r.compared, 256);
	expect(ino, 9000, "found");
	fixture_detach(&c, true);
	end();
}

static void test_lying_tracker(void **state)
{
	struct fixture_client c;
	uint64_t ino, address;
	int fd;

	begin(0);
	ino = make("f", 1 << 20, NULL);
	attach(ino, true, false, &c);
	address = (uintptr_t)c.map;
	assert_int_equal(live_track(c.client, address + 1, PAGE, -1), -EINVAL);
	assert_int_equal(live_track(c.client, address, PAGE + 1, -1), -EINVAL);
	assert_int_equal(live_track(c.client, address, 1ull << 40, -1), -EINVAL);
	assert_int_equal(live_track(c.client, UINT64_MAX - PAGE + 1, PAGE, -1), -EINVAL);
	/* Not protected, or no page map at all: compared. */
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(live_track(c.client, address, c.status.capacity, fd), 0);
	strcpy((char *)c.map + 9000, "found");
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	expect(ino, 9000, "found");
	fixture_detach(&c, true);
	end();
}

static void test_several(void **state)
{
	struct fixture_client a, b;
	uint64_t inos[3];

	begin(0);
	inos[0] = make("a", 10000, "explicit");
	inos[1] = make("b", 10000, "explicit");
	inos[2] = inos[0];
	attach(inos[0], true, true, &a);
	attach(inos[1], true, true, &b);
	strcpy((char *)a.map, "one");
	strcpy((char *)b.map, "two");
	assert_int_equal(live_commit(live, inos, 3, 0, NULL), 0);
	expect(inos[0], 0, "one");
	expect(inos[1], 0, "two");
	fixture_detach(&a, true);
	fixture_detach(&b, true);
	end();
}

static void test_rollback(void **state)
{
	struct fixture_client c;
	struct store_attr attr;
	uint64_t ino;

	begin(0);
	ino = make("f", 3 * PAGE, "explicit");
	attach(ino, true, true, &c);
	strcpy((char *)c.map, "committed");
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	strcpy((char *)c.map, "later");
	assert_int_equal(live_truncate(live, ino, 5 * PAGE), 0);
	strcpy((char *)c.map + 4 * PAGE, "behind");
	assert_int_equal(live_flush(live, &ino, 1), 0); /* also what the store has already */
	assert_int_equal(live_rollback(live, ino, &attr), 0);
	assert_int_equal(attr.size, 3 * PAGE);
	assert_string_equal((char *)c.map, "committed");
	assert_int_equal(c.map[4 * PAGE], 0);
	fixture_detach(&c, true);
	end();
}

struct failing {
	uint64_t ino;
	uint8_t *map;
	_Atomic bool over;
};

static void *fail_to_flush(void *arg)
{
	static const struct timespec step = { .tv_nsec = 100000 };
	struct failing *f = arg;

	fails = true;
	while (!f->over) {
		f->map[PAGE]++;
		if (live_flush(live, &f->ino, 1) != -ENOSPC)
			return "it did not fail";
		nanosleep(&step, NULL); /* for the other one to get the lock */
	}
	return NULL;
}

/* Another's flush that fails, between the store and the commit of one that does not. */
static void test_taken_back(void **state)
{
	struct fixture_client c;
	struct failing f = { 0 };
	struct store_attr attr;
	pthread_t thread;
	void *why;

	begin(0);
	f.ino = make("f", 3 * PAGE, "explicit");
	attach(f.ino, true, true, &c);
	f.map = c.map;
	assert_int_equal(pthread_create(&thread, NULL, fail_to_flush, &f), 0);
	for (uint32_t i = 1; i <= 200; i++) {
		memcpy(c.map, &i, sizeof(i));
		assert_int_equal(live_commit(live, &f.ino, 1, 0, NULL), 0);
		assert_int_equal(live_rollback(live, f.ino, &attr), 0);
		assert_memory_equal(c.map, &i, sizeof(i));
	}
	f.over = true;
	assert_int_equal(pthread_join(thread, &why), 0);
	if (why)
		fail_msg("%s", (char *)why);
	fixture_detach(&c, true);
	end();
}

static void test_full(void **state)
{
	struct fixture_client c;
	struct store_attr attr;
	char buf[PAGE];
	uint64_t ino;

	begin(0);
	ino = make("f", 24 << 20, "explicit");
	attach(ino, true, true, &c);
	strcpy((char *)c.map, "before");
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	memset(c.map, 1, 24 << 20);
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), -ENOSPC);
	/* Nothing of it is pending either. */
	expect(ino, 0, "before");
	assert_int_equal(store_pread(s, ino, buf, 1, 11 << 20), 1);
	assert_int_equal(buf[0], 0);
	/* With room again it can be done. */
	assert_int_equal(live_truncate(live, ino, 1 << 20), 0);
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	assert_int_equal(store_getattr(s, ino, &attr), 0);
	assert_int_equal(attr.size, 1 << 20);
	expect(ino, 1000, "\1\1\1\1");
	fixture_detach(&c, true);
	end();
}

static void write_pages(uint64_t ino, uint64_t count)
{
	static const char bytes[PAGE] = "rest";
	const struct store_source source = { .buf = bytes };

	for (uint64_t n = 0; n < count; n++)
		assert_int_equal(store_write(s, ino, n * PAGE, PAGE, &source, 0), PAGE);
}

static uint64_t available(void)
{
	struct store_space space;

	store_get_space(s, &space);
	return space.avail_pages;
}

/* A small image beside a large one, for which there is room only when the log has begun anew. */
static void test_room_for_both(void **state)
{
	struct fixture_client large, small;
	struct store_info info;
	uint64_t inos[2], rest;

	begin(0);
	inos[0] = make("large", 150 * PAGE, "explicit");
	inos[1] = make("small", 20 * PAGE, "explicit");
	rest = make("rest", 0, "explicit");
	do { /* the log is made after the first commit is answered */
		write_pages(rest, 1);
		assert_int_equal(store_commit(s, &rest, 1, 0), 0);
		store_get_info(s, &info);
	} while (!info.logged_commits);
	write_pages(rest, available() - 260);
	for (int k = 0; k < 4; k++)
		assert_int_equal(store_commit(s, &rest, 1, STORE_COMMIT_EVERYTHING), 0);
	/* Their old pages come back with the log's next beginning. */
	write_pages(rest, 100);
	assert_int_equal(store_commit(s, &rest, 1, 0), 0);
	assert_in_range(available(), 150, 169);
	attach(inos[0], true, true, &large);
	attach(inos[1], true, true, &small);
	memset(large.map, 'l', 150 * PAGE);
	memset(small.map, 's', 20 * PAGE);
	assert_int_equal(live_commit(live, inos, 2, 0, NULL), 0);
	expect(inos[0], 149 * PAGE, "llll");
	expect(inos[1], 19 * PAGE, "ssss");
	fixture_detach(&large, true);
	fixture_detach(&small, true);
	end();
}

static bool has_text(uint64_t ino)
{
	char got[8] = "";

	return store_pread(s, ino, got, 5, 0) == 5 && !strcmp(got, "later");
}

static void test_periodic(void **state)
{
	struct fixture_client a, e;
	uint64_t autos, explicits;

	begin(1);
	autos = make("a", 10000, "auto");
	explicits = make("e", 10000, "explicit");
	attach(autos, true, true, &a);
	attach(explicits, true, true, &e);
	strcpy((char *)a.map, "later");
	strcpy((char *)e.map, "later");
	assert_true(soon(has_text, autos));
	assert_false(has_text(explicits));
	fixture_detach(&a, true);
	fixture_detach(&e, true);
	end();
}

/* ---- the end of an image ------------------------------------------------------------------ */

static void test_retired(void **state)
{
	struct fixture_client c;
	uint64_t ino, generation;

	begin(0);
	ino = make("f", 10000, "explicit");
	attach(ino, true, true, &c);
	generation = c.status.generation;
	strcpy((char *)c.map, "stored");
	fixture_detach(&c, true);
	assert_true(soon(is_gone, ino));
	expect(ino, 0, "stored");
	assert_int_equal(stats().used, 0);
	attach(ino, true, true, &c);
	assert_string_equal((char *)c.map, "stored");
	assert_int_not_equal(c.status.generation, generation);
	fixture_detach(&c, false);
	end();
}

/* A mapping that outlives its client keeps the image, and what is stored to it then. */
/* Until the kernel has dropped its pages, whoever opens the file must not write through them. */
static void test_old_pages(void **state)
{
	struct fixture_client c;
	unsigned before;
	char buf[PAGE];
	uint64_t ino;

	begin(0);
	ino = make("f", 3 * PAGE, "explicit");
	for (unsigned track = 0; track < 2; track++) {
		attach(ino, true, track, &c);
		assert_int_equal(live_read(live, ino, buf, PAGE, 0, true), PAGE);
		strcpy((char *)c.map, "newer than what the kernel has");
		before = delivered;
		fixture_detach(&c, track);
		assert_true(soon(is_gone, ino));
		assert_true(delivered > before);
		assert_int_equal(delivered_paged, 0);
		assert_false(live_any(live));
	}
	end();
}

/* A page that somebody holds may still be written to: the image stays. */
static void test_pinned(void **state)
{
	struct fixture_client c;
	struct iovec iov = { .iov_len = PAGE };
	static const struct timespec second = { .tv_sec = 1 };
	char buf[PAGE];
	uint64_t ino;
	int fds[2];

	begin(0);
	ino = make("f", 3 * PAGE, "explicit");
	attach(ino, true, true, &c);
	strcpy((char *)c.map, "pinned");
	assert_int_equal(pipe(fds), 0);
	iov.iov_base = c.map;
	assert_int_equal(vmsplice(fds[1], &iov, 1, 0), PAGE);
	fixture_detach(&c, true);
	nanosleep(&second, NULL);
	assert_true(live_is(live, ino));
	assert_int_equal(live_write(live, ino, "P", 1, 0, LIVE_WAIT), 1);
	assert_int_equal(read(fds[0], buf, PAGE), PAGE);
	close(fds[0]);
	close(fds[1]);
	assert_true(soon(is_gone, ino));
	expect(ino, 0, "Pinned");
	end();
}

static void test_outlived(void **state)
{
	struct fixture_client c;
	struct timespec wait = { .tv_sec = 1, .tv_nsec = 500000000 };
	uint64_t ino;
	char *map;

	begin(0);
	ino = make("f", 10000, "explicit");
	attach(ino, true, true, &c);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c.fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	fixture_detach(&c, true);
	nanosleep(&wait, NULL);
	assert_true(live_is(live, ino));
	strcpy(map, "after the end");
	/* Another client gets the same memory. */
	attach(ino, false, false, &c);
	assert_string_equal((char *)c.map, "after the end");
	fixture_detach(&c, true);
	strcpy(map, "the very last");
	munmap(map, PAGE);
	assert_true(soon(is_gone, ino));
	expect(ino, 0, "the very last");
	end();
}

static void test_foreign_seals(void **state)
{
	struct fixture_client c;
	uint64_t ino;

	begin(0);
	ino = make("f", 10000, "explicit");
	attach(ino, true, true, &c);
	strcpy((char *)c.map, "stored");
	assert_int_equal(fcntl(c.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), 0);
	/* write(2) is refused now; the daemon's mapping is from before. */
	assert_int_equal(live_write(live, ino, "written", 7, 5000, 0), 7);
	fixture_detach(&c, true);
	assert_true(soon(is_gone, ino));
	expect(ino, 0, "stored");
	expect(ino, 5000, "written");
	assert_int_equal(stats().foreign_seals, 1);
	end();
}

/* ---- requests of the mount ---------------------------------------------------------------- */

static void test_requests(void **state)
{
	struct fixture_client c;
	char buf[64];
	uint64_t ino, at;

	begin(0);
	ino = make("f", 100, "explicit");
	assert_int_equal(live_read(live, ino, buf, 10, 0, false), -ENOENT);
	assert_true(live_enter(live, ino));
	live_leave(live, ino);
	attach(ino, true, true, &c);
	assert_false(live_enter(live, ino));
	assert_int_equal(live_write(live, ino, "hello", 5, 98, 0), 5);
	assert_memory_equal(c.map + 98, "hello", 5);
	assert_int_equal(live_read(live, ino, buf, 64, 98, false), 5);
	assert_int_equal(live_write(live, ino, "x", 1, c.status.capacity, 0), -EFBIG);
	assert_int_equal(live_write(live, ino, "x", 1, 0, LIVE_CACHED), -EBUSY);
	assert_int_equal(live_truncate(live, ino, c.status.capacity + 1), -EFBIG);
	/* What was stored behind the end is not part of the file when it grows. */
	c.map[200] = 'x';
	assert_int_equal(live_truncate(live, ino, 300), 0);
	assert_int_equal(c.map[200], 0);
	assert_int_equal(live_seek(live, ino, 50, SEEK_HOLE, &at), 0);
	assert_int_equal(at, 300);
	assert_int_equal(live_seek(live, ino, 300, SEEK_DATA, &at), -ENXIO);
	assert_int_equal(live_fallocate(live, ino, 0, 0, 5000), 0);
	assert_int_equal(live_fallocate(live, ino, FALLOC_FL_INSERT_RANGE, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	expect(ino, 98, "hello");
	fixture_detach(&c, true);
	end();
}

static void test_kernels_pages(void **state)
{
	struct fixture_client c;
	char buf[8];
	uint64_t ino;

	begin(0);
	ino = make("f", 100, "explicit");
	attach(ino, true, true, &c);
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	assert_int_equal(delivered, 2); /* before it was filled, and what was read meanwhile */
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	assert_int_equal(delivered, 2);
	live_read(live, ino, buf, 8, 0, true);
	assert_int_equal(live_commit(live, &ino, 1, 0, NULL), 0);
	assert_int_equal(delivered, 3);
	fixture_detach(&c, true);
	end();
}

static int setup_small(void **state)
{
	return fixture_make(16 << 20);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_seals),
		TEST(test_read_only),
		TEST(test_limit),
		TEST(test_share),
		TEST(test_cached_writer),
		TEST(test_tracked),
		TEST(test_given_back),
		TEST(test_hole_of_client),
		TEST(test_untracked),
		TEST(test_lying_tracker),
		TEST(test_several),
		TEST(test_rollback),
		TEST(test_taken_back),
		cmocka_unit_test_setup_teardown(test_full, setup_small, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_room_for_both, setup_small, fixture_teardown),
		TEST(test_periodic),
		TEST(test_retired),
		TEST(test_old_pages),
		TEST(test_pinned),
		TEST(test_outlived),
		TEST(test_foreign_seals),
		TEST(test_requests),
		TEST(test_kernels_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
