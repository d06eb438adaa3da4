/* SPDX-License-Identifier: MIT */
/* data.c - reading and writing, holes; mappings and copies are in data_map.c. */
#include <linux/falloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "data.h"

int new_file(const char *name)
{
	return (int)OK(open(name, O_RDWR | O_CREAT | O_EXCL, 0644));
}

void put(int fd, off_t at, size_t size, int seed)
{
	char *buf = malloc(size);

	for (size_t n = 0; n < size; n++)
		buf[n] = (char)((((size_t)at + n) * 7 + (size_t)seed) % 251 + 1);
	EQUAL(pwrite(fd, buf, size, at), size);
	free(buf);
}

void expect_put(int fd, off_t at, size_t size, off_t place, int seed)
{
	char *buf = malloc(size);

	EQUAL(pread(fd, buf, size, at), size);
	for (size_t n = 0; n < size; n++)
		EQUAL(buf[n], (char)((((size_t)place + n) * 7 + (size_t)seed) % 251 + 1));
	free(buf);
}

void expect_zeros(int fd, off_t at, size_t size)
{
	char *buf = malloc(size);

	EQUAL(pread(fd, buf, size, at), size);
	for (size_t n = 0; n < size; n++)
		EQUAL(buf[n], 0);
	free(buf);
}

struct stat stat_fd(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st;
}

static void end_of_file(void)
{
	char buf[16];
	int fd = new_file("f");

	EQUAL(read(fd, buf, 16), 0);
	EQUAL(write(fd, "text", 4), 4);
	EQUAL(read(fd, buf, 16), 0);
	EQUAL(pread(fd, buf, 16, 2), 2);
	EQUAL(pread(fd, buf, 16, 4), 0);
	EQUAL(pread(fd, buf, 16, 1LL << 40), 0);
	EQUAL(pread(fd, buf, 0, 0), 0);
	EQUAL(pwrite(fd, buf, 0, 100), 0); /* writes nothing: the size stays */
	EQUAL(stat_fd(fd).st_size, 4);
}

static void seeking(void)
{
	int fd = new_file("f"), ends[2];

	put(fd, 0, 100, 1);
	EQUAL(lseek(fd, 10, SEEK_SET), 10);
	EQUAL(lseek(fd, 5, SEEK_CUR), 15);
	EQUAL(lseek(fd, -1, SEEK_END), 99);
	EQUAL(lseek(fd, 1000, SEEK_END), 1100);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, 0, 77), EINVAL);
	FAILS(lseek(99, 0, SEEK_SET), EBADF);
	OK(pipe(ends));
	FAILS(lseek(ends[0], 0, SEEK_SET), ESPIPE);
	EQUAL(lseek(fd, 0, SEEK_CUR), 1100);
}

static void wrong_descriptor(void)
{
	char buf[4];
	int ro, wo;

	write_file("f", "text");
	ro = (int)OK(open("f", O_RDONLY));
	wo = (int)OK(open("f", O_WRONLY));
	FAILS(write(ro, "x", 1), EBADF);
	FAILS(pwrite(ro, "x", 1, 0), EBADF);
	FAILS(read(wo, buf, 4), EBADF);
	FAILS(ftruncate(ro, 0), EINVAL);
	FAILS(fallocate(ro, 0, 0, 10), EBADF);
	FAILS(pread(ro, buf, 4, -1), EINVAL);
	FAILS(pwrite(wo, buf, 4, -1), EINVAL);
	FAILS(syscall(SYS_read, ro, -1L, 4), EFAULT);
	FAILS(syscall(SYS_write, wo, -1L, 4), EFAULT);
	expect_content("f", "text");
}

static void gap_of_zeros(void)
{
	int fd = new_file("f");

	put(fd, 0, 10, 1);
	put(fd, 100000, 10, 2);
	EQUAL(stat_fd(fd).st_size, 100010);
	expect_zeros(fd, 10, 100000 - 10);
	expect_put(fd, 100000, 10, 100000, 2);
	OK(ftruncate(fd, 5)); /* what was cut off does not come back */
	OK(ftruncate(fd, 100010));
	expect_zeros(fd, 5, 100005);
	expect_put(fd, 0, 5, 0, 1);
}

static void overwriting(void)
{
	int fd = new_file("f");

	put(fd, 0, 3 * MIB, 1);
	put(fd, MIB - 3, 7, 2);
	put(fd, 2 * MIB, PAGE, 3);
	expect_put(fd, 0, MIB - 3, 0, 1);
	expect_put(fd, MIB - 3, 7, MIB - 3, 2);
	expect_put(fd, 2 * MIB, PAGE, 2 * MIB, 3);
	expect_put(fd, 2 * MIB + PAGE, MIB - PAGE, 2 * MIB + PAGE, 1);
	EQUAL(stat_fd(fd).st_size, 3 * MIB);
}

static void sparse_terabyte(void)
{
	const off_t size = 1LL << 40;
	struct stat st;
	int fd = new_file("f");

	OK(ftruncate(fd, size));
	EQUAL(stat_fd(fd).st_size, size);
	put(fd, size - 100, 100, 1);
	put(fd, size / 2 + 123, 5000, 2);
	OK(fsync(fd));
	st = stat_fd(fd);
	EQUAL(st.st_size, size);
	TRUE(st.st_blocks > 0 && st.st_blocks < 10 * MIB / 512);
	expect_put(fd, size - 100, 100, size - 100, 1);
	expect_put(fd, size / 2 + 123, 5000, size / 2 + 123, 2);
	expect_zeros(fd, size / 4, MIB);
	EQUAL(lseek(fd, 0, SEEK_END), size);
	OK(ftruncate(fd, 10));
	EQUAL(stat_fd(fd).st_size, 10);
}

static void over_the_limit(void)
{
	struct rlimit limit = { 1000, 1000 };
	int fd = new_file("f");

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	FAILS(pwrite(fd, "x", 1, 1000), EFBIG);
	EQUAL(pwrite(fd, "xxxx", 4, 998), 2);
	FAILS(ftruncate(fd, 1001), EFBIG);
	EQUAL(stat_fd(fd).st_size, 1000);
}

static void append_by_two(void)
{
	enum { EACH = 300, SIZE = 50 };
	char line[SIZE], got[SIZE];
	int fd, status, counts[2] = { 0, 0 };
	pid_t pids[2];

	fd = new_file("f");
	for (int who = 0; who < 2; who++) {
		pids[who] = (pid_t)OK(fork());
		if (pids[who])
			continue;
		fd = (int)OK(open("f", O_WRONLY | O_APPEND));
		memset(line, 'A' + who, SIZE);
		for (int n = 0; n < EACH; n++)
			EQUAL(write(fd, line, SIZE), SIZE);
		_exit(0);
	}
	for (int who = 0; who < 2; who++) {
		OK(waitpid(pids[who], &status, 0));
		EQUAL(status, 0);
	}
	EQUAL(stat_fd(fd).st_size, 2 * EACH * SIZE);
	for (int n = 0; n < 2 * EACH; n++) {
		EQUAL(pread(fd, got, SIZE, n * SIZE), SIZE);
		memset(line, got[0], SIZE);
		TRUE(memcmp(line, got, SIZE) == 0);
		TRUE(got[0] == 'A' || got[0] == 'B');
		counts[got[0] - 'A']++;
	}
	EQUAL(counts[0], EACH);
	EQUAL(counts[1], EACH);
}

static void vectors(void)
{
	char a[3], b[5];
	struct iovec out[] = { { (char *)"abc", 3 }, { NULL, 0 }, { (char *)"defgh", 5 } };
	struct iovec in[] = { { a, 3 }, { b, 5 } };
	int fd = new_file("f");

	EQUAL(writev(fd, out, 3), 8);
	EQUAL(pwritev(fd, out, 1, 8), 3);
	expect_content("f", "abcdefghabc");
	EQUAL(preadv(fd, in, 2, 1), 8);
	TRUE(memcmp(a, "bcd", 3) == 0 && memcmp(b, "efgha", 5) == 0);
	EQUAL(preadv(fd, in, 2, 9), 2);
	FAILS(syscall(SYS_writev, fd, out, -1L), EINVAL);
	EQUAL(lseek(fd, 0, SEEK_CUR), 8);
}

static void syncing(void)
{
	int fd = new_file("f"), dir = (int)OK(open(".", O_RDONLY | O_DIRECTORY));

	put(fd, 0, 100000, 1);
	EQUAL(fdatasync(fd), 0);
	put(fd, 50000, 100000, 2);
	EQUAL(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE), 0);
	EQUAL(fsync(fd), 0);
	EQUAL(fsync(dir), 0);
	EQUAL(fdatasync(dir), 0);
	EQUAL(syncfs(dir), 0);
	FAILS(fsync(99), EBADF);
	expect_put(fd, 50000, 100000, 50000, 2);
}

static void blocks(void)
{
	struct stat st;
	int fd = new_file("f");

	EQUAL(stat_fd(fd).st_blocks, 0);
	put(fd, 0, MIB, 1);
	OK(fsync(fd));
	OK(close(fd));
	st = stat_of("f");
	TRUE(st.st_blocks >= MIB / 512 && st.st_blocks <= 2 * MIB / 512);
	TRUE(st.st_blksize >= 512);
	OK(truncate("f", 0));
	TRUE(stat_of("f").st_blocks <= 8);
}

static void filesystem_facts(void)
{
	struct statvfs fs;

	OK(statvfs(".", &fs));
	TRUE(fs.f_bsize >= 512 && fs.f_frsize >= 512);
	TRUE(fs.f_blocks > 0);
	TRUE(fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
	TRUE(fs.f_bavail > 0);
	EQUAL(fs.f_namemax, 255);
}

/* ---- holes ---- */

static void seek_data_and_hole(void)
{
	int fd = new_file("f");
	off_t hole;

	FAILS(lseek(fd, 0, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 0, SEEK_HOLE), ENXIO);
	put(fd, 0, MIB, 1);
	put(fd, 8 * MIB, MIB, 2); /* not yet anywhere but in the cache */
	for (int round = 0; round < 2; round++) {
		EQUAL(lseek(fd, 0, SEEK_DATA), 0);
		hole = OK(lseek(fd, 0, SEEK_HOLE));
		TRUE(hole >= MIB && (hole <= 8 * MIB || hole == 9 * MIB));
		TRUE(OK(lseek(fd, 2 * MIB, SEEK_DATA)) <= 8 * MIB);
		EQUAL(lseek(fd, 8 * MIB + 17, SEEK_DATA), 8 * MIB + 17);
		EQUAL(lseek(fd, 8 * MIB, SEEK_HOLE), 9 * MIB); /* the one at the end */
		FAILS(lseek(fd, 9 * MIB, SEEK_DATA), ENXIO);
		FAILS(lseek(fd, 10 * MIB, SEEK_HOLE), ENXIO);
		OK(fsync(fd));
	}
	OK(ftruncate(fd, 20 * MIB));
	TRUE(OK(lseek(fd, 9 * MIB, SEEK_HOLE)) >= 9 * MIB);
	EQUAL(lseek(fd, 0, SEEK_END), 20 * MIB);
}

static void allocate(void)
{
	int fd = new_file("f");

	put(fd, 0, 10, 1);
	OK(fallocate(fd, 0, 0, MIB));
	EQUAL(stat_fd(fd).st_size, MIB);
	expect_put(fd, 0, 10, 0, 1);
	expect_zeros(fd, 10, MIB - 10);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * MIB));
	EQUAL(stat_fd(fd).st_size, MIB);
	put(fd, MIB, 10, 2);
	EQUAL(stat_fd(fd).st_size, MIB + 10);
	EQUAL(posix_fallocate(fd, 0, 3 * MIB), 0);
	EQUAL(stat_fd(fd).st_size, 3 * MIB);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(fd, 0, -1, 10), EINVAL);
}

static void punch(void)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int fd = new_file("f");

	put(fd, 0, MIB, 1);
	OK(fallocate(fd, mode, 1000, 200000));
	expect_put(fd, 0, 1000, 0, 1);
	expect_zeros(fd, 1000, 200000);
	expect_put(fd, 201000, MIB - 201000, 201000, 1);
	OK(fallocate(fd, mode, MIB - 100, 10 * MIB)); /* over the end: the size stays */
	EQUAL(stat_fd(fd).st_size, MIB);
	expect_zeros(fd, MIB - 100, 100);
	OK(fallocate(fd, mode, 0, MIB));
	OK(fsync(fd));
	expect_zeros(fd, 0, MIB);
	TRUE(stat_fd(fd).st_blocks < MIB / 512);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
}

static void zero_range(void)
{
	int fd = new_file("f");

	put(fd, 0, MIB, 1);
	if (fallocate(fd, FALLOC_FL_ZERO_RANGE, 1000, 10000) < 0 && errno == EOPNOTSUPP)
		skip("no FALLOC_FL_ZERO_RANGE");
	expect_put(fd, 0, 1000, 0, 1);
	expect_zeros(fd, 1000, 10000);
	expect_put(fd, 11000, 10000, 11000, 1);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, MIB - 100, 1000));
	EQUAL(stat_fd(fd).st_size, MIB);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, MIB - 100, 1000));
	EQUAL(stat_fd(fd).st_size, MIB + 900);
	expect_zeros(fd, MIB - 100, 1000);
}

const struct test_case data_cases[] = {
	{ "end_of_file", end_of_file, false },
	{ "seeking", seeking, false },
	{ "wrong_descriptor", wrong_descriptor, false },
	{ "gap_of_zeros", gap_of_zeros, false },
	{ "overwriting", overwriting, false },
	{ "sparse_terabyte", sparse_terabyte, false },
	{ "over_the_limit", over_the_limit, false },
	{ "append_by_two", append_by_two, false },
	{ "vectors", vectors, false },
	{ "syncing", syncing, false },
	{ "blocks", blocks, false },
	{ "filesystem_facts", filesystem_facts, false },
	{ "seek_data_and_hole", seek_data_and_hole, false },
	{ "allocate", allocate, false },
	{ "punch", punch, false },
	{ "zero_range", zero_range, false },
	{ "map_tail", map_tail, false },
	{ "map_shared", map_shared, false },
	{ "map_outlives_descriptor", map_outlives_descriptor, false },
	{ "map_and_truncate", map_and_truncate, false },
	{ "map_beyond_end", map_beyond_end, false },
	{ "copy_range", copy_range, false },
	{ "copy_range_in_place", copy_range_in_place, false },
	{ "copy_range_errors", copy_range_errors, false },
	{ "send_file", send_file, false },
	{ "by_splice", by_splice, false },
	{ 0 },
};
