/* SPDX-License-Identifier: MIT */
/*
 * What the engine leaves on disk is sound at every commit: random calls from fixed seeds; after
 * some commits the store is copied as a crash would leave it, and the copy is checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/acl.h"
#include "store/store.h"
#include "util/cleanup.h"
#include "util/fdio.h"

#define FILES 12u
#define DIRS 4u
#define FILE_MOST (5u << 20)

static char top[64], path[96], image[96];
static struct store *store;
static uint64_t dirs[DIRS + 1]; /* 0: the root */
static uint64_t random_state, held[8];
static const struct store_cred cred = { .umask = 022 };
static const struct store_options options = { .commit_seconds = 0 };

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

static int setup_limit(uint64_t limit)
{
	const struct store_create_options create = { .mode = 0755, .limit = limit };
	struct zu_err err = { 0 };

	snprintf(top, sizeof(top), "/tmp/zcfs-engine-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/store", top);
	snprintf(image, sizeof(image), "%s/image", top);
	memset(dirs, 0, sizeof(dirs));
	memset(held, 0, sizeof(held));
	if (store_create(path, &create, &err) < 0 || store_open(path, &options, &store, &err) < 0)
		fail_msg("%s", err.text);
	dirs[0] = 1;
	return 0;
}

static int setup(void **state)
{
	return setup_limit(64u << 20);
}

static int setup_small(void **state)
{
	return setup_limit(6u << 20);
}

static int teardown(void **state)
{
	store_close(store);
	store = NULL;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* splitmix64 */
static uint64_t random_below(uint64_t n)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % n;
}

/* ---- checking --------------------------------------------------------------------------- */

static void copy_file(const char *name)
{
	char from[160], to[160];
	static uint8_t buf[1 << 20];
	ssize_t n;

	snprintf(from, sizeof(from), "%s/%s", path, name);
	snprintf(to, sizeof(to), "%s/%s", image, name);
	zu_cleanup_close int in = open(from, O_RDONLY | O_CLOEXEC);
	zu_cleanup_close int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(in >= 0 && out >= 0);
	while ((n = zu_read_full(in, buf, sizeof(buf))) > 0)
		assert_int_equal(zu_write_full(out, buf, (size_t)n), n);
	assert_int_equal(n, 0);
}

static void on_finding(void *arg, const char *text)
{
	print_error("%s: %s\n", (const char *)arg, text);
}

static struct store_check_result check_sound(const char *which, const char *when)
{
	const struct store_check_options o = { .finding = on_finding, .arg = (void *)when };
	struct store_check_result result;
	struct zu_err err = { 0 };

	if (store_check(which, &o, &result, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(result.findings, 0);
	return result;
}

static void crash_and_check(const char *when)
{
	char meta[128];
	struct stat st;

	snprintf(meta, sizeof(meta), "%s/meta", image);
	if (stat(image, &st) < 0)
		assert_int_equal(mkdir(image, 0700) | mkdir(meta, 0700), 0);
	copy_file("meta/data.mdb");
	copy_file("format");
	copy_file("lock");
	/* Its length counts, not its bytes. */
	snprintf(meta, sizeof(meta), "%s/pages", path);
	assert_int_equal(stat(meta, &st), 0);
	snprintf(meta, sizeof(meta), "%s/pages", image);
	zu_cleanup_close int fd = open(meta, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	check_sound(image, when);
}

/* The next one to open it takes the orphans away. */
static void recover_and_check(const char *when)
{
	struct store *again = NULL;
	struct zu_err err = { 0 };

	if (store_open(image, &options, &again, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_close(again), 0);
	assert_int_equal(check_sound(image, when).orphans, 0);
}

/* ---- calls ------------------------------------------------------------------------------ */

/* What a random call may answer on a small store. */
static void expect_usual(ssize_t r)
{
	static const int usual[] = { ENOENT, EEXIST, ENOTEMPTY, ENOTDIR, EISDIR, ENOSPC,
				     EINVAL, EFBIG,  ENODATA,	EPERM,	 EMLINK };

	if (r >= 0)
		return;
	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		if (usual[i] == -r)
			return;
	fail_msg("unexpected: %s", strerror((int)-r));
}

static uint64_t some_dir(void)
{
	uint64_t dir = dirs[random_below(DIRS + 1)];

	return dir ? dir : 1;
}

static const char *some_name(char name[32])
{
	snprintf(name, 32, "f%u", (unsigned)random_below(FILES));
	return name;
}

static void forget(uint64_t ino)
{
	if (ino > 1)
		store_forget(store, ino, 1);
}

/* A file, made where it is missing, with a reference; 0: none to be had. */
static uint64_t some_file(void)
{
	struct store_attr attr;
	uint64_t dir = some_dir();
	char name[32];
	int r = store_lookup(store, dir, some_name(name), &attr);

	if (r == -ENOENT)
		r = store_mknod(store, dir, name, S_IFREG | 0644, 0, &cred, &attr);
	expect_usual(r);
	if (r < 0)
		return 0;
	if (S_ISREG(attr.mode))
		return attr.ino;
	forget(attr.ino);
	return 0;
}

static void change_data(uint64_t ino)
{
	static uint8_t bytes[1 << 20];
	const struct store_source source = { .buf = bytes, .pipe_fd = -1 };
	uint64_t offset = random_below(FILE_MOST);
	uint64_t length = 1 + random_below(random_below(4) ? 9000 : sizeof(bytes));
	struct store_attr attr = { .size = offset };
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };

	switch (random_below(4)) {
	case 0:
		expect_usual(store_setattr(store, ino, STORE_SET_SIZE, &attr, &attr));
		break;
	case 1:
		expect_usual(store_fallocate(store, ino, modes[random_below(5)], offset, length));
		break;
	default:
		memset(bytes, (int)random_below(256), (size_t)length);
		expect_usual(store_write(store, ino, offset, length, &source, 0));
	}
}

static void clone_data(uint64_t in)
{
	uint64_t out = some_file(), page = 4096;

	if (!out)
		return;
	expect_usual(store_copy_range(store, in, random_below(1000) * page, out,
				      random_below(1000) * page, (1 + random_below(500)) * page));
	forget(out);
}

static void change_xattrs(uint64_t ino)
{
	static const char acl[] = "\2\0\0\0\1\0\6\0\0\0\0\0\2\0\7\0\5\0\0\0\4\0\4\0\0\0\0\0"
				  "\x10\0\6\0\0\0\0\0\x20\0\4\0\0\0\0\0";
	struct store_attr attr = { .mode = (mode_t)random_below(0777) };

	switch (random_below(4)) {
	case 0:
		expect_usual(store_removexattr(store, ino, "user.x"));
		break;
	case 1:
		expect_usual(store_setxattr(store, ino, ACL_ACCESS, acl, sizeof(acl) - 1, 0));
		break;
	case 2:
		expect_usual(store_setattr(store, ino, STORE_SET_MODE, &attr, &attr));
		break;
	default:
		expect_usual(store_setxattr(store, ino, "user.x", acl, random_below(40), 0));
	}
}

static void change_file(void)
{
	uint64_t ino = some_file();

	if (!ino)
		return;
	switch (random_below(8)) {
	case 0:
		clone_data(ino);
		break;
	case 1:
		change_xattrs(ino);
		break;
	default:
		change_data(ino);
	}
	/* Some stay in use, so that what is unlinked becomes an orphan. */
	if (random_below(10) == 0) {
		uint64_t *slot = &held[random_below(8)], old = *slot;

		*slot = ino;
		ino = old;
	}
	forget(ino);
}

static void change_dirs(void)
{
	unsigned n = 1 + (unsigned)random_below(DIRS);
	struct store_attr attr;
	char name[32];
	uint64_t parent = dirs[random_below(n)];
	int r;

	snprintf(name, sizeof(name), "d%u", n);
	if (dirs[n]) {
		r = store_parent(store, dirs[n], &parent);
		assert_int_equal(r, 0);
		r = store_rmdir(store, parent, name);
		if (r == 0) {
			forget(dirs[n]);
			dirs[n] = 0;
		}
	} else {
		r = store_mkdir(store, parent ? parent : 1, name, 0755, &cred, &attr);
		if (r == 0)
			dirs[n] = attr.ino;
	}
	expect_usual(r);
}

static void change_names(void)
{
	struct store_attr attr;
	uint64_t dir = some_dir(), to = some_dir(), ino;
	char name[32], other[32];

	some_name(name);
	some_name(other);
	switch (random_below(6)) {
	case 0:
		change_dirs();
		break;
	case 1:
		expect_usual(store_rename(store, dir, name, to, other, 0));
		break;
	case 2:
		expect_usual(store_rename(store, dir, name, to, other, RENAME_EXCHANGE));
		break;
	case 3:
		ino = some_file();
		if (ino && store_link(store, ino, to, other, &attr) == 0)
			forget(ino);
		forget(ino);
		break;
	case 4:
		if (store_symlink(store, dir, name, "where/to", &cred, &attr) == 0)
			forget(attr.ino);
		break;
	default:
		expect_usual(store_unlink(store, dir, name));
	}
}

static void commit(void)
{
	static const unsigned flags[] = { 0, 0, STORE_COMMIT_ALL, STORE_COMMIT_EVERYTHING };
	uint64_t ino = some_file();

	assert_int_equal(store_commit(store, &ino, ino ? 1 : 0, flags[random_below(4)]), 0);
	forget(ino);
}

static void drop_references(void)
{
	for (unsigned n = 0; n < 8; n++) {
		forget(held[n]);
		held[n] = 0;
	}
	for (unsigned n = 1; n <= DIRS; n++) {
		forget(dirs[n]);
		dirs[n] = 0;
	}
}

static void reopen(const char *when)
{
	struct zu_err err = { 0 };

	drop_references();
	assert_int_equal(store_close(store), 0);
	store = NULL;
	assert_int_equal(check_sound(path, when).orphans, 0);
	if (store_open(path, &options, &store, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned n = 1; n <= DIRS; n++) {
		struct store_attr attr;
		char name[32];

		snprintf(name, sizeof(name), "d%u", n);
		for (unsigned p = 0; p < n && !dirs[n]; p++)
			if (dirs[p] && store_lookup(store, dirs[p], name, &attr) == 0)
				dirs[n] = attr.ino;
	}
}

static void run(uint64_t seed, unsigned calls)
{
	char when[64];

	random_state = seed;
	for (unsigned n = 0; n < calls; n++) {
		snprintf(when, sizeof(when), "seed %llu, call %u", (unsigned long long)seed, n);
		if (random_below(3))
			change_file();
		else
			change_names();
		if (random_below(40) == 0) {
			commit();
			crash_and_check(when);
			if (random_below(4) == 0)
				recover_and_check(when);
		}
		if (random_below(400) == 0)
			reopen(when);
	}
	reopen("at the end");
}

static void random_calls(void **state)
{
	run(1, 3000);
}

static void other_random_calls(void **state)
{
	run(20, 3000);
}

static void random_calls_where_space_is_short(void **state)
{
	run(3, 3000);
}

static void orphans_are_seen_and_reaped(void **state)
{
	struct store_attr attr;
	const struct store_source source = { .buf = top, .pipe_fd = -1 };

	assert_int_equal(store_mknod(store, 1, "gone", S_IFREG | 0600, 0, &cred, &attr), 0);
	assert_int_equal(store_write(store, attr.ino, 0, 10, &source, 0), 10);
	assert_int_equal(store_commit(store, &attr.ino, 1, 0), 0);
	assert_int_equal(store_unlink(store, 1, "gone"), 0);
	assert_int_equal(store_commit(store, NULL, 0, 0), 0);
	crash_and_check("after unlink");
	assert_int_equal(check_sound(image, "after unlink").orphans, 1);
	recover_and_check("after reaping");
	forget(attr.ino);
	assert_int_equal(store_close(store), 0);
	store = NULL;
	assert_int_equal(check_sound(path, "after close").orphans, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(orphans_are_seen_and_reaped),
		TEST(random_calls),
		TEST(other_random_calls),
		cmocka_unit_test_setup_teardown(random_calls_where_space_is_short, setup_small,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
