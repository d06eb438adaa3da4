/* SPDX-License-Identifier: MIT */
/* test_zc_bad.c - libzc in bad company: refusals, lies, an end of the daemon, sockets out of reach. */
#include <sys/socket.h>
#include <sys/un.h>

#include "zc_fixture.h"

/* ---- refusals ------------------------------------------------------------------------------- */

static void refusals(void **state)
{
	static const int codes[] = { EBUSY, ENOSPC, ESTALE, EROFS, ENOMEM };
	void *map = NULL;
	zc_file *f = opened(ZC_RDWR);

	fake.refuse_type = ZC_CTL_ATTACH;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		fake.refuse_status = codes[i];
		refused(zc_map(f, 0, &map), codes[i], "the fake refuses it");
	}
	fake.refuse_status = ENOSYS;
	refused(zc_map(f, 0, &map), EOPNOTSUPP, "knows no live files");
	fake.refuse_status = EDQUOT;
	refused(zc_map(f, 0, &map), ENOSPC, "the fake refuses it (Disk quota exceeded)");
	fake.refuse_type = ZC_CTL_TRACK; /* What is documented nowhere is EIO. */
	fake.refuse_status = EINVAL;
	refused(zc_map(f, 0, &map), EIO, "the fake refuses it (Invalid argument)");
	assert_true(fake_wait_detached());
	fake.refuse_type = -1;
	fake.no_place = 2;
	assert_int_equal(zc_map(f, 0, &map), 0);
	fake.refuse_type = ZC_CTL_LIVE_COMMIT;
	fake.refuse_status = ENOSPC;
	refused(zc_commit(f), ENOSPC, "the fake refuses it (No space left on device)");
	fake.refuse_type = -1;
	/* The text of the call that failed outlives a close that finds the daemon dead. */
	fake.refuse_type = ZC_CTL_LIVE_COMMIT;
	refused(zc_commit(f), ENOSPC, "the fake refuses it");
	fake.hang_up = true;
	fake.refuse_type = ZC_CTL_DETACH;
	zc_close(f);
	assert_non_null(strstr(zc_error(), "the fake refuses it"));
}

/* A ticket that has become too old, or was pushed out by others, is asked for once more. */
static void stale_tickets(void **state)
{
	void *map = NULL;
	zc_file *f = opened(ZC_RDWR);

	fake.stale = 2;
	assert_int_equal(zc_map(f, 0, &map), 0);
	fake.stale = 2;
	assert_int_equal(zc_commit_many(&f, 1), 0);
	assert_int_equal(fake.asked[ZC_CTL_COMMIT], 3);
	fake.stale = 1000;
	refused(zc_commit_many(&f, 1), ESTALE, "the fake refuses it");
	zc_close(f);
}

/* Whatever fails on the way, and wherever the daemon ends: all is closed and unmapped again. */
static void nothing_left(void **state)
{
	static const int types[] = { ZC_CTL_ATTACH, ZC_CTL_TRACK,	  ZC_CTL_LIVE_COMMIT,
				     ZC_CTL_COMMIT, ZC_CTL_LIVE_ROLLBACK, ZC_CTL_LIVE_STATUS,
				     ZC_CTL_DETACH };
	enum { TYPES = sizeof(types) / sizeof(*types), CASES = 2 * TYPES + 4 };
	int before;

	assert_true(fake_wait_detached());
	before = descriptors();
	for (int i = 0; i < CASES; i++) {
		struct zc_status s;
		void *map = NULL;
		zc_file *f = opened(ZC_RDWR | (i % 3 ? 0 : ZC_AUTO));

		fake.refuse_type = i < 2 * TYPES ? types[i / 2] : -1;
		fake.refuse_status = i % 4 == 1 ? ENOSPC : EIO;
		fake.hang_up = i % 2;
		fake.unsealed = i == 2 * TYPES;
		fake.extra_fds = i == 2 * TYPES + 1;
		fake.size = i == 2 * TYPES + 2 ? fake.capacity + 1 : 100000;
		fake.stale = i == 2 * TYPES + 3 ? 1000 : 0;
		zc_map(f, 0, &map);
		zc_commit(f);
		zc_commit_many(&f, 1);
		zc_rollback(f);
		zc_status(f, &s);
		zc_close(f);
		assert_true(fake_wait_detached());
		fake_reset();
		/* (The fake takes a moment to see that a connection has ended.) */
		for (int t = 0; descriptors() != before && t < 3000; t++)
			usleep(1000);
		assert_int_equal(descriptors(), before);
	}
}

/* Answers that are changed at random: an error, or none, but nothing worse, and nothing is left. */
static void lies(void **state)
{
	int before;

	assert_true(fake_wait_detached());
	before = descriptors();
	for (uint32_t seed = 1; seed <= 300; seed++) {
		struct zc_status s;
		void *map = NULL;
		zc_file *f = opened(ZC_RDWR);

		fake.lies = seed * 2654435761u;
		if (zc_map(f, 0, &map) == 0)
			zc_msync(map, page, MS_SYNC);
		zc_commit(f);
		zc_commit_many(&f, 1);
		zc_status(f, &s);
		zc_rollback(f);
		zc_resize(f, 8192);
		zc_close(f);
		fake.lies = 0;
		assert_true(fake_wait_detached());
	}
	fake_reset();
	for (int t = 0; descriptors() != before && t < 3000; t++)
		usleep(1000);
	assert_int_equal(descriptors(), before);
}

/* Of an ordinary user: the socket lies where he may not look. */
static int forbidden(zc_file *f, char *map)
{
	void *address = NULL;

	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	if (zc_open(path, ZC_RDONLY, &f) < 0 || zc_map(f, 0, &address) != -EACCES ||
	    !strstr(zc_error(), "Permission denied"))
		return 2;
	zc_close(f);
	if (zc_open(path, ZC_RDONLY | ZC_AUTO, &f) < 0 || zc_map(f, 0, &address) < 0)
		return 3;
	zc_close(f);
	return 0;
}

static void socket_out_of_bounds(void **state)
{
	char dir[80], name[100];

	snprintf(dir, sizeof(dir), "%s.dir", path);
	snprintf(name, sizeof(name), "%s/socket", dir);
	assert_int_equal(mkdir(dir, 0), 0);
	assert_int_equal(chmod(path, 0644), 0);
	fake.elsewhere = name;
	assert_int_equal(in_child(forbidden, NULL, NULL), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* The daemon lives, but its socket is not to be reached, as from another mount namespace. */
static void socket_out_of_reach(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	zc_file *f = opened(ZC_RDWR);
	void *map = NULL;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	fake.elsewhere = "/no/such/socket";
	refused(zc_map(f, 0, &map), ENXIO, "not to be reached from here");
	refused(zc_rollback(f), ENXIO, "not to be reached");
	refused(zc_commit_many(&f, 1), ENXIO, "not to be reached");
	assert_int_equal(zc_commit(f), 0);
	zc_close(f);
	f = opened(ZC_RDWR | ZC_AUTO);
	assert_int_equal(zc_map(f, 0, &map), 0);
	assert_int_equal(flags_of(f), ZC_STATUS_MAPPED | ZC_STATUS_WRITABLE);
	assert_int_equal(zc_commit(f), 0);
	zc_close(f);

	/* There, but nobody listens any more */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s.sock", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	fake.elsewhere = address.sun_path;
	f = opened(ZC_RDWR);
	refused(zc_map(f, 0, &map), ESTALE, "the daemon has ended");
	zc_close(f);
	unlink(address.sun_path);
}

static void staying_paged(void **state)
{
	char *map, byte;
	zc_file *f;

	fake.refuse_type = ZC_CTL_ATTACH;
	fake.refuse_status = EBUSY;
	f = mapped(ZC_RDWR | ZC_AUTO, &map);
	assert_int_equal(flags_of(f), ZC_STATUS_MAPPED | ZC_STATUS_WRITABLE);
	map[3] = 'p';
	assert_int_equal(pread(zc_fd(f), &byte, 1, 3), 1);
	assert_int_equal(byte, 'p');
	assert_int_equal(zc_commit(f), 0);
	assert_int_equal(fake.asked[ZC_CTL_COMMIT], 0); /* fsync */
	assert_int_equal(fcntl(zc_fd(f), F_GETFL) & O_DIRECT, 0);
	zc_close(f);
	fake.refuse_type = -1;

	f = mapped(ZC_PAGED | ZC_RDWR, &map);
	assert_int_equal(fake.asked[ZC_CTL_ATTACH], 1);
	assert_int_equal(map[3], 'p');
	assert_int_equal(zc_resize(f, 4 * page), 0);
	map[4 * page - 1] = 1;
	refused(zc_resize(f, 32 << 20), EFBIG, "capacity");
	zc_close(f);
}

static void ended_daemon(void **state)
{
	struct zc_status s = { 0 };
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);

	fake.generation = 8;
	refused(zc_status(f, &s), ESTALE, "another image");
	refused(zc_resize(f, 5), ESTALE, "another image");
	fake.generation = 7;
	assert_int_equal(zc_status(f, &s), 0);
	fake.hang_up = true;
	fake.refuse_type = ZC_CTL_LIVE_COMMIT;
	refused(zc_commit(f), ESTALE, "hung up");
	refused(zc_commit(f), ESTALE, "hung up");
	refused(zc_rollback(f), ESTALE, "hung up");
	refused(zc_status(f, &s), ESTALE, "hung up");
	map[0] = 1; /* goes nowhere, harms nobody */
	zc_close(f);
}

/* ---- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(refusals, each),
		cmocka_unit_test_setup(stale_tickets, each),
		cmocka_unit_test_setup(nothing_left, each),
		cmocka_unit_test_setup(lies, each),
		cmocka_unit_test_setup(socket_out_of_reach, each),
		cmocka_unit_test_setup(socket_out_of_bounds, each),
		cmocka_unit_test_setup(staying_paged, each),
		cmocka_unit_test_setup(ended_daemon, each),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, all, end);
}
