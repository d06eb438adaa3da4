/* SPDX-License-Identifier: MIT */
/* test_zc.c - libzc against a daemon that is a thread of this program (zc_fake.h). */
#include "zc_fixture.h"

/* ---- opening -------------------------------------------------------------------------------- */

static void opening(void **state)
{
	zc_file *f = NULL;
	char fifo[80];

	refused(zc_open(path, 0x100, &f), EINVAL, "flags 0x100");
	refused(zc_open(path, ZC_PAGED | ZC_AUTO, &f), EINVAL, "not together");
	refused(zc_open(path, ZC_EXCL, &f), EINVAL, "flags");
	refused(zc_open("/no/such", ZC_RDWR, &f), ENOENT, "/no/such: No such file");
	refused(zc_open("/tmp", ZC_RDONLY, &f), EINVAL, "not a regular file");
	refused(zc_open("/tmp", ZC_RDWR, &f), EISDIR, "/tmp");
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	refused(zc_open(fifo, ZC_RDONLY, &f), EINVAL, "not a regular file");
	unlink(fifo);
	fake.off = true;
	refused(zc_open(path, ZC_RDWR, &f), ENOTTY, "not a file of a mounted zcfs");
	assert_null(f);
	zc_close(NULL);
}

static void creating(void **state)
{
	struct stat st;
	zc_file *f = NULL;

	refused(zc_create(path, ZC_RDONLY, 0600, 0, &f), EINVAL, "ZC_RDWR");
	refused(zc_create(path, ZC_RDWR | ZC_EXCL, 0600, 0, &f), EEXIST, "exists");
	unlink(path);
	assert_int_equal(zc_create(path, ZC_RDWR | ZC_EXCL, 0640, 5000, &f), 0);
	assert_int_equal(fstat(zc_fd(f), &st), 0);
	assert_int_equal(st.st_size, 5000);
	assert_int_equal(st.st_mode & 0777, 0640);
	zc_close(f);
	assert_int_equal(zc_create(path, ZC_RDWR, 0640, 100, &f), 0);
	assert_int_equal(fstat(zc_fd(f), &st), 0);
	assert_int_equal(st.st_size, 5000);
	zc_close(f);
}

/* ---- mapping -------------------------------------------------------------------------------- */

static void mapping(void **state)
{
	struct zc_status s;
	void *again = NULL;
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);

	assert_int_equal((uintptr_t)map % page, 0);
	assert_int_equal(zc_map(f, 0, &again), 0);
	assert_ptr_equal(again, map);
	assert_int_equal(fake.asked[ZC_CTL_ATTACH], 1);
	assert_int_equal(fake.attach_flags, 0);
	assert_int_equal(zc_status(f, &s), 0);
	assert_int_equal(s.size, fake.size);
	assert_int_equal(s.capacity, fake.capacity);
	assert_int_equal(s.generation, 7);
	assert_true(s.flags & ZC_STATUS_LIVE && s.flags & ZC_STATUS_MAPPED);
	map[fake.capacity - 1] = 'x'; /* to the end, without a fault */
	assert_int_equal(pwrite(fake.memfd, "seen", 4, 10), 4);
	assert_memory_equal(map + 10, "seen", 4);
	zc_close(f);
	assert_true(fake_wait_detached());
	assert_int_equal(fake.asked[ZC_CTL_DETACH], 1);
}

static void reading_only(void **state)
{
	char *map;
	zc_file *f = mapped(ZC_RDONLY, &map);

	assert_int_equal(fake.attach_flags, ZC_CTL_ATTACH_READ_ONLY);
	assert_int_equal(fake.asked[ZC_CTL_TRACK], 0);
	assert_false(flags_of(f) & ZC_STATUS_WRITABLE);
	assert_int_equal(zc_commit(f), 0);
	refused(zc_resize(f, 1), EACCES, "not open for writing");
	refused(zc_rollback(f), EACCES, "not open for writing");
	assert_int_equal(mprotect(map, page, PROT_READ), 0);
	zc_close(f);
}

/* The daemon finds exactly the pages that were stored to, each time. */
static void tracking(void **state)
{
	uint64_t pages[8];
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);

	if (!fake.tracks_with_fd) {
		zc_close(f);
		print_message("no userfaultfd here: not tested\n");
		skip();
	}
	assert_true(flags_of(f) & ZC_STATUS_TRACKED);
	assert_int_equal(fake.track_address, (uintptr_t)map);
	assert_int_equal(fake.track_length, fake.capacity);
	assert_int_equal(fake_scan(pages, 8), 0);
	map[5 * page + 7] = 1;
	map[1000 * page] = 2;
	assert_int_equal(fake_scan(pages, 8), 2);
	assert_int_equal(pages[0], 5);
	assert_int_equal(pages[1], 1000);
	assert_int_equal(fake_scan(pages, 8), 0);
	map[5 * page + 8] = 3; /* the same page once more; and one by the kernel */
	assert_int_equal(pread(fake.memfd, map + 6 * page, 100, 0), 100);
	assert_int_equal(fake_scan(pages, 8), 2);
	assert_int_equal(pages[1], 6);
	zc_close(f);
}

static void tracking_refused(void **state)
{
	char *map;
	zc_file *f;

	setenv("ZC_NO_TRACKING", "1", 1);
	f = mapped(ZC_RDWR, &map);
	unsetenv("ZC_NO_TRACKING");
	assert_int_equal(fake.asked[ZC_CTL_TRACK], 1);
	assert_int_equal(fake.tracks_with_fd, 0);
	assert_int_equal(fake.track_length, 0);
	assert_false(flags_of(f) & ZC_STATUS_TRACKED);
	map[0] = 1;
	zc_close(f);

	fake.cannot_track = true;
	f = mapped(ZC_RDWR, &map);
	assert_false(flags_of(f) & ZC_STATUS_TRACKED);
	zc_close(f);
}

static void capacities(void **state)
{
	void *map = NULL;
	zc_file *f = opened(ZC_RDWR);

	refused(zc_map(f, fake.capacity + 1, &map), EFBIG, "first client decides");
	assert_true(fake_wait_detached());
	assert_int_equal(fake.wanted, fake.capacity + 1);
	refused(zc_resize(f, (uint64_t)1 << 63), EFBIG, "too many");
	assert_int_equal(zc_map(f, 5000, &map), 0);
	assert_int_equal(zc_map(f, fake.capacity, &map), 0);
	refused(zc_map(f, fake.capacity + 1, &map), EFBIG, "mapped already");
	refused(zc_resize(f, fake.capacity + 1), EFBIG, "capacity");
	assert_int_equal(zc_resize(f, 12345), 0);
	zc_close(f);
}

static void bad_images(void **state)
{
	void *map = NULL;
	zc_file *f = opened(ZC_RDWR);

	fake.unsealed = true;
	refused(zc_map(f, 0, &map), EIO, "makes no sense");
	fake_reset();
	fake.size = fake.capacity + 1;
	refused(zc_map(f, 0, &map), EIO, "makes no sense");
	fake_reset();
	assert_null(map);
	assert_int_equal(zc_map(f, 0, &map), 0);
	zc_close(f);
}

/* More descriptors than are due are an error, and are closed. */
static void surplus_descriptors(void **state)
{
	void *map = NULL;
	zc_file *f = opened(ZC_RDWR);
	int before;

	assert_true(fake_wait_detached());
	before = descriptors();
	for (fake.extra_fds = 1; fake.extra_fds < 4; fake.extra_fds++) {
		refused(zc_map(f, 0, &map), EIO, "Protocol error");
		assert_true(fake_wait_detached());
		/* One is the fake's own memfd. */
		assert_int_equal(descriptors(), before + 1);
	}
	zc_close(f);
}

static int no_number_free(zc_file *f, char *map)
{
	void *address = NULL;
	int next = dup(0);
	struct rlimit limit = { (rlim_t)next + 2, (rlim_t)next + 2 };
	zc_file *own = NULL;

	(void)f;
	(void)map;
	/* One for the file, one for the connection, none for the image */
	close(next);
	if (next < 0 || zc_open(path, ZC_RDWR, &own) < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	if (zc_map(own, 0, &address) != -EMFILE || !strstr(zc_error(), "Too many open files"))
		return 2;
	limit.rlim_cur--;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || zc_map(own, 0, &address) != -EMFILE)
		return 3;
	zc_close(own);
	return 0;
}

static void descriptors_used_up(void **state)
{
	assert_int_equal(in_child(no_number_free, NULL, NULL), 0);
	assert_true(fake_wait_detached());
}

static void passthrough(void **state)
{
	struct zc_status s;
	char *map;
	zc_file *f;

	fake.passthrough = true;
	f = mapped(ZC_RDWR, &map);
	assert_int_equal(zc_status(f, &s), 0);
	assert_int_equal(s.capacity, 16 << 20); /* more than the image has now */
	assert_true(s.flags & ZC_STATUS_PASSTHROUGH);
	assert_int_equal(fake.track_length, 0);
	map[fake.size - 1] = 1;
	zc_close(f);
}

/* ---- commits -------------------------------------------------------------------------------- */

static void several(void **state)
{
	zc_file *many[ZC_COMMIT_MAX + 1];
	char *map;
	zc_file *live = mapped(ZC_RDWR, &map), *paged = mapped(ZC_PAGED, &map);
	zc_file *files[] = { paged, live, live };

	assert_int_equal(zc_commit_many(files, 0), 0);
	assert_int_equal(zc_commit_many(files, 3), 0);
	assert_int_equal(fake.asked[ZC_CTL_COMMIT], 1);
	assert_int_equal(fake.tickets_shown, 3);
	assert_int_equal(zc_commit_many(files, 1), 0);
	for (size_t i = 0; i <= ZC_COMMIT_MAX; i++)
		many[i] = live;
	refused(zc_commit_many(many, ZC_COMMIT_MAX + 1), E2BIG, "256 files");
	assert_int_equal(zc_commit_many(many, ZC_COMMIT_MAX), 0);
	assert_int_equal(fake.tickets_shown, ZC_COMMIT_MAX);
	fake.second_mount = true;
	refused(zc_commit_many(files, 3), EXDEV, "different mounts");
	zc_close(live);
	zc_close(paged);
}

static void msync_fails(void *address, size_t length, int flags, int code)
{
	errno = 0;
	assert_int_equal(zc_msync(address, length, flags), -1);
	assert_int_equal(errno, code);
}

static void by_address(void **state)
{
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);
	char *hole = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int *commits = &fake.asked[ZC_CTL_LIVE_COMMIT];

	assert_int_equal(zc_msync(map, 10, MS_SYNC), 0);
	assert_int_equal(*commits, 1);
	assert_int_equal(zc_msync(map + fake.capacity - page, page, MS_SYNC | MS_INVALIDATE), 0);
	assert_int_equal(*commits, 2);
	assert_int_equal(zc_msync(map, fake.capacity, MS_ASYNC), 0);
	assert_int_equal(zc_msync(map, fake.capacity, 0), 0);
	assert_int_equal(zc_msync(map, 0, MS_SYNC), 0);
	assert_int_equal(zc_msync(map + page, 0, MS_SYNC), 0);
	assert_int_equal(zc_msync(hole, page, MS_SYNC), 0);
	assert_int_equal(*commits, 2);
	msync_fails(map + 1, 10, MS_SYNC, EINVAL);
	msync_fails(map, 10, MS_SYNC | MS_ASYNC, EINVAL);
	msync_fails(map, 10, 0x100, EINVAL);
	/* (Sanitizers make mlock() do nothing.) */
	assert_int_equal(syscall(SYS_mlock, map, page), 0);
	msync_fails(map, page, MS_SYNC | MS_INVALIDATE, EBUSY);
	syscall(SYS_munlock, map, page);
	munmap(hole, page);
	msync_fails(hole, page, MS_SYNC, ENOMEM);
	assert_int_equal(*commits, 2);
	fake.refuse_type = ZC_CTL_LIVE_COMMIT;
	fake.refuse_status = EROFS;
	msync_fails(map, 10, MS_SYNC, EIO);
	assert_non_null(strstr(zc_error(), "the fake refuses it (Read-only"));
	fake.refuse_status = ENOSPC;
	msync_fails(map, 10, MS_SYNC, ENOSPC);
	zc_close(f);
}

/* The same answer to all kinds of arguments */
static void as_msync(void **state)
{
	static const size_t lengths[] = {
		0, 1, 4095, 4096, 4097, 1 << 20, (size_t)1 << 40, SIZE_MAX - 4096, SIZE_MAX
	};
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);
	char *two = mmap(NULL, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *starts[] = { NULL, map, map + 1, map + page, two, two + page, (char *)-page };

	munmap(two + page, page);
	for (size_t s = 0; s < sizeof(starts) / sizeof(*starts); s++)
		for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++)
			for (int flags = 0; flags <= 16; flags++) {
				int want, code;

				errno = 0;
				want = msync(starts[s], lengths[l], flags);
				code = errno;
				errno = 0;
				assert_int_equal(zc_msync(starts[s], lengths[l], flags), want);
				assert_int_equal(want ? errno : 0, code);
			}
	munmap(two, page);
	zc_close(f);
}

static void rolling_back(void **state)
{
	struct stat st;
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);

	fake.size = 777;
	assert_int_equal(zc_rollback(f), 0);
	assert_int_equal(fstat(zc_fd(f), &st), 0);
	assert_int_equal(st.st_size, 777);
	assert_int_equal(st.st_mtime, 1000000000);
	zc_close(f);
}

/* ---- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(opening, each),
		cmocka_unit_test_setup(creating, each),
		cmocka_unit_test_setup(mapping, each),
		cmocka_unit_test_setup(reading_only, each),
		cmocka_unit_test_setup(tracking, each),
		cmocka_unit_test_setup(tracking_refused, each),
		cmocka_unit_test_setup(capacities, each),
		cmocka_unit_test_setup(bad_images, each),
		cmocka_unit_test_setup(surplus_descriptors, each),
		cmocka_unit_test_setup(descriptors_used_up, each),
		cmocka_unit_test_setup(passthrough, each),
		cmocka_unit_test_setup(several, each),
		cmocka_unit_test_setup(by_address, each),
		cmocka_unit_test_setup(as_msync, each),
		cmocka_unit_test_setup(rolling_back, each),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, all, end);
}
