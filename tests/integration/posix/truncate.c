/* SPDX-License-Identifier: MIT */
/* truncate.c - truncate and ftruncate: sizes, zeros, errors, limits, set-id bits, times. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "posix.h"

enum { USER = 65534, PAGE = 4096 };

static void expect_range(const char *name, off_t from, off_t to, int byte)
{
	static unsigned char got[64 * 1024];
	int fd = (int)OK(open(name, O_RDONLY));

	while (from < to) {
		size_t want = sizeof(got);
		ssize_t n;

		if ((off_t)want > to - from)
			want = (size_t)(to - from);
		n = OK(pread(fd, got, want, from));
		EQUAL(n, want);
		for (ssize_t k = 0; k < n; k++)
			if (got[k] != byte)
				failed(__FILE__, __LINE__, "byte %lld is %d instead of %d",
				       (long long)from + k, got[k], byte);
		from += n;
	}
	OK(close(fd));
}

static void make_filled(const char *name, size_t size)
{
	char *data = malloc(size);
	int fd = (int)OK(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644));

	TRUE(data);
	memset(data, 'd', size);
	EQUAL(write(fd, data, size), size);
	OK(close(fd));
	free(data);
}

static void to_zero_and_up(void)
{
	make_filled("f", 10000);
	OK(truncate("f", 0));
	EQUAL(stat_of("f").st_size, 0);
	OK(truncate("f", 1234567));
	EQUAL(stat_of("f").st_size, 1234567);
	expect_range("f", 0, 1234567, 0);
}

static void by_descriptor(void)
{
	struct stat st;
	char c;
	int fd;

	make_filled("f", 5000);
	fd = (int)OK(open("f", O_RDWR));
	EQUAL(lseek(fd, 4000, SEEK_SET), 4000);
	OK(ftruncate(fd, 100));
	EQUAL(stat_of("f").st_size, 100);
	EQUAL(lseek(fd, 0, SEEK_CUR), 4000); /* the offset stays */
	EQUAL(read(fd, &c, 1), 0);
	OK(unlink("f"));
	OK(ftruncate(fd, 777));
	OK(fstat(fd, &st));
	EQUAL(st.st_size, 777);
}

/* What was cut off is zero after growing again, at odd places of a page as at its borders. */
static void cut_bytes_are_zero(void)
{
	static const off_t cuts[] = { 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 12345 };

	for (size_t n = 0; n < sizeof(cuts) / sizeof(*cuts); n++) {
		make_filled("f", 20000);
		OK(truncate("f", cuts[n]));
		EQUAL(stat_of("f").st_size, cuts[n]);
		OK(truncate("f", 30000));
		expect_range("f", 0, cuts[n], 'd');
		expect_range("f", cuts[n], 30000, 0);
		OK(unlink("f"));
	}
}

static void cut_then_write_beyond(void)
{
	int fd;

	make_filled("f", 10000);
	fd = (int)OK(open("f", O_RDWR));
	OK(ftruncate(fd, 10));
	EQUAL(pwrite(fd, "d", 1, 9000), 1);
	EQUAL(stat_of("f").st_size, 9001);
	expect_range("f", 0, 10, 'd');
	expect_range("f", 10, 9000, 0);
	expect_range("f", 9000, 9001, 'd');
}

static void holes_take_no_blocks(void)
{
	make_file("f", 0644);
	OK(truncate("f", 1 << 30));
	EQUAL(stat_of("f").st_size, 1 << 30);
	TRUE(stat_of("f").st_blocks < 64);
	expect_range("f", (1 << 30) - PAGE, 1 << 30, 0);
}

static void blocks_are_given_back(void)
{
	int fd;

	make_filled("f", 1 << 20);
	fd = (int)OK(open("f", O_RDWR));
	OK(fsync(fd));
	TRUE(stat_of("f").st_blocks >= (1 << 20) / 512);
	OK(ftruncate(fd, 0));
	OK(fsync(fd));
	TRUE(stat_of("f").st_blocks <= 16);
}

static void errors_of_paths(void)
{
	make_file("f", 0644);
	make_file("x", 0644);
	FAILS(truncate("f/x", 0), ENOTDIR);
	FAILS(truncate("none", 0), ENOENT);
	FAILS(truncate("none/x", 0), ENOENT);
	FAILS(truncate("", 0), ENOENT);
	FAILS(truncate(name_of_length(256), 0), ENAMETOOLONG);
	OK(truncate(path_of_length(4095), 7));
	EQUAL(stat_of("x").st_size, 7);
	FAILS(truncate(path_of_length(4096), 0), ENAMETOOLONG);
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(truncate("a", 0), ELOOP);
	FAILS(syscall(SYS_truncate, (void *)-1, 0L), EFAULT);
	OK(symlink("f", "l"));
	OK(truncate("l", 5));
	EQUAL(stat_of("f").st_size, 5);
}

static void einval_for_negative(void)
{
	int fd;

	write_file("f", "content");
	FAILS(truncate("f", -1), EINVAL);
	fd = (int)OK(open("f", O_RDWR));
	FAILS(ftruncate(fd, -1), EINVAL);
	FAILS(ftruncate(fd, INT64_MIN), EINVAL);
	expect_content("f", "content");
}

static void wrong_types(void)
{
	int fd;

	make_dir("d", 0755);
	FAILS(truncate("d", 0), EISDIR);
	fd = (int)OK(open("d", O_RDONLY));
	FAILS(ftruncate(fd, 0), EINVAL);
	OK(close(fd));
	OK(mkfifo("p", 0644));
	FAILS(truncate("p", 0), EINVAL);
}

static void wrong_descriptors(void)
{
	int fd;

	write_file("f", "content");
	fd = (int)OK(open("f", O_RDONLY));
	FAILS(ftruncate(fd, 0), EINVAL);
	OK(close(fd));
	FAILS(ftruncate(fd, 0), EBADF);
	fd = (int)OK(open("f", O_PATH));
	FAILS(ftruncate(fd, 0), EBADF);
	expect_content("f", "content");
}

static void eacces(void)
{
	int fd;

	make_file("f", 0644);
	make_dir("d", 0700);
	make_file("d/f", 0666);
	fd = (int)OK(open("f", O_RDWR));
	AS_USER(USER, USER, 0)
	{
		FAILS(truncate("f", 0), EACCES);
		FAILS(truncate("d/f", 0), EACCES);
		OK(ftruncate(fd, 10)); /* the descriptor decides */
	}
	EQUAL(stat_of("f").st_size, 10);
	OK(chmod("f", 0622));
	AS_USER(USER, USER, 0) OK(truncate("f", 20));
	EQUAL(stat_of("f").st_size, 20);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void efbig_over_the_limit(void)
{
	struct rlimit limit = { .rlim_cur = 10000, .rlim_max = RLIM_INFINITY };
	int fd;

	OK(getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = 10000;
	signal(SIGXFSZ, on_signal);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	write_file("f", "content");
	OK(truncate("f", 10000));
	EQUAL(signals, 0);
	FAILS(truncate("f", 10001), EFBIG);
	EQUAL(signals, 1);
	fd = (int)OK(open("f", O_RDWR));
	FAILS(ftruncate(fd, 1 << 20), EFBIG);
	EQUAL(signals, 2);
	EQUAL(pwrite(fd, "ab", 2, 9999), 1); /* a write over the limit is cut at it */
	FAILS(pwrite(fd, "a", 1, 10000), EFBIG);
	EQUAL(signals, 3);
	OK(truncate("f", 3));
	expect_content("f", "con");
}

static void etxtbsy(void)
{
	char *args[] = { "sleep", "1000", NULL };
	char buf[65536], byte;
	int in, out, ready[2];
	ssize_t n;
	pid_t pid;

	in = (int)OK(open("/bin/sleep", O_RDONLY));
	out = (int)OK(open("prog", O_WRONLY | O_CREAT, 0755));
	while ((n = OK(read(in, buf, sizeof(buf)))) > 0)
		EQUAL(write(out, buf, (size_t)n), n);
	OK(close(out));
	OK(pipe2(ready, O_CLOEXEC));
	pid = (pid_t)OK(fork());
	if (!pid) {
		OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
		execv("prog", args);
		_exit(write(ready[1], "x", 1) == 1 ? 126 : 125);
	}
	OK(close(ready[1]));
	EQUAL(read(ready[0], &byte, 1), 0); /* the end of file tells of the exec */
	FAILS(truncate("prog", 0), ETXTBSY);
	FAILS(open("prog", O_WRONLY), ETXTBSY);
	FAILS(open("prog", O_RDWR | O_TRUNC), ETXTBSY);
	OK(kill(pid, SIGKILL));
	TRUE(stat_of("prog").st_size > 0);
}

static void others_clear_setid(void)
{
	int fd;

	make_file("f", 0666);
	OK(chmod("f", 06777));
	AS_USER(USER, USER, 0) OK(truncate("f", 10));
	EQUAL(stat_of("f").st_mode & 07777, 0777);
	OK(chmod("f", 06777));
	AS_USER(USER, USER, 0)
	{
		fd = (int)OK(open("f", O_RDWR));
		OK(ftruncate(fd, 20));
	}
	EQUAL(stat_of("f").st_mode & 07777, 0777);
	OK(chmod("f", 06777));
	OK(truncate("f", 30)); /* but not root */
	EQUAL(stat_of("f").st_mode & 07777, 06777);
}

static void others_clear_setid_by_fallocate(void)
{
	make_file("f", 0666);
	OK(chmod("f", 06777));
	AS_USER(USER, USER, 0)
	{
		int fd = (int)OK(open("f", O_RDWR));

		OK(fallocate(fd, 0, 0, 5000));
		EQUAL(stat_of("f").st_mode & 07777, 0777);
	}
	EQUAL(stat_of("f").st_size, 5000);
	expect_range("f", 0, 5000, 0);
}

static void others_clear_setid_by_copying(void)
{
	make_filled("source", 5000);
	make_file("f", 0666);
	OK(chmod("f", 06777));
	AS_USER(USER, USER, 0)
	{
		int in = (int)OK(open("source", O_RDONLY)), out = (int)OK(open("f", O_RDWR));

		EQUAL(copy_file_range(in, NULL, out, NULL, 5000, 0), 5000);
		EQUAL(stat_of("f").st_mode & 07777, 0777);
	}
	expect_range("f", 0, 5000, 'd');
}

/* O_TRUNC and truncate empty what is still to be written as well. */
static void unwritten_data_is_cut(void)
{
	int fd = (int)OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0644)), other;

	EQUAL(write(fd, "content", 7), 7);
	OK(truncate("f", 3));
	EQUAL(write(fd, "!", 1), 1); /* at 7 */
	EQUAL(stat_of("f").st_size, 8);
	expect_range("f", 3, 7, 0);
	other = (int)OK(open("f", O_WRONLY | O_TRUNC));
	OK(close(other));
	EQUAL(stat_of("f").st_size, 0);
	EQUAL(pwrite(fd, "x", 1, 0), 1);
	OK(fsync(fd));
	expect_content("f", "x");
}

static void times(void)
{
	struct stat f, dot;
	int fd;

	write_file("f", "content");
	f = stat_of("f");
	dot = stat_of(".");
	tick();
	OK(truncate("f", 3));
	TRUE(!strcmp(changed_times(&f, "f"), "mc"));
	f = stat_of("f");
	fd = (int)OK(open("f", O_RDWR));
	tick();
	OK(ftruncate(fd, 100));
	TRUE(!strcmp(changed_times(&f, "f"), "mc"));
	TRUE(!strcmp(changed_times(&dot, "."), ""));
	f = stat_of("f");
	tick();
	FAILS(truncate("f", -1), EINVAL);
	if (getuid()) {
		OK(chmod("f", 0444));
		f = stat_of("f");
		tick();
		FAILS(truncate("f", 0), EACCES);
	}
	TRUE(!strcmp(changed_times(&f, "f"), ""));
}

const struct test_case truncate_cases[] = {
	{ "to_zero_and_up", to_zero_and_up, false },
	{ "by_descriptor", by_descriptor, false },
	{ "cut_bytes_are_zero", cut_bytes_are_zero, false },
	{ "cut_then_write_beyond", cut_then_write_beyond, false },
	{ "holes_take_no_blocks", holes_take_no_blocks, false },
	{ "blocks_are_given_back", blocks_are_given_back, false },
	{ "errors_of_paths", errors_of_paths, false },
	{ "einval_for_negative", einval_for_negative, false },
	{ "wrong_types", wrong_types, false },
	{ "wrong_descriptors", wrong_descriptors, false },
	{ "eacces", eacces, true },
	{ "efbig_over_the_limit", efbig_over_the_limit, false },
	{ "etxtbsy", etxtbsy, false },
	{ "others_clear_setid", others_clear_setid, true },
	{ "others_clear_setid_by_fallocate", others_clear_setid_by_fallocate, true },
	{ "others_clear_setid_by_copying", others_clear_setid_by_copying, true },
	{ "unwritten_data_is_cut", unwritten_data_is_cut, false },
	{ "times", times, false },
	{ 0 },
};
