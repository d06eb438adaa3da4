/* SPDX-License-Identifier: MIT */
/* utimensat.c - utimensat, futimens: values, special values, range, permissions, errors. */
#include <sys/syscall.h>

#include "posix.h"

enum { USER = 65534, OTHER = 65533 };

static const struct timespec NOW = { 0, UTIME_NOW }, OMIT = { 0, UTIME_OMIT };

static int set(const char *name, struct timespec a, struct timespec m)
{
	const struct timespec ts[2] = { a, m };

	return utimensat(AT_FDCWD, name, ts, 0);
}

static void expect_time(struct timespec t, long long sec, long nsec)
{
	EQUAL(t.tv_sec, sec);
	EQUAL(t.tv_nsec, nsec);
}

static struct timespec at(long long sec, long nsec)
{
	return (struct timespec){ sec, nsec };
}

static void nanoseconds(void)
{
	make_file("f", 0644);
	OK(set("f", at(1000000000, 123456789), at(1234567890, 987654321)));
	expect_time(stat_of("f").st_atim, 1000000000, 123456789);
	expect_time(stat_of("f").st_mtim, 1234567890, 987654321);
	OK(set("f", at(5, 999999999), at(6, 1)));
	expect_time(stat_of("f").st_atim, 5, 999999999);
	expect_time(stat_of("f").st_mtim, 6, 1);
}

static void all_types(void)
{
	make_dir("d", 0755);
	OK(mkfifo("p", 0644));
	OK(set("d", at(11, 12), at(13, 14)));
	expect_time(stat_of("d").st_atim, 11, 12);
	expect_time(stat_of("d").st_mtim, 13, 14);
	OK(set("p", at(21, 22), at(23, 24)));
	expect_time(stat_of("p").st_atim, 21, 22);
	expect_time(stat_of("p").st_mtim, 23, 24);
}

static void past_2038_and_before_1970(void)
{
	make_file("f", 0644);
	OK(set("f", at(2147483648LL, 7), at(4294967296LL, 8)));
	expect_time(stat_of("f").st_atim, 2147483648LL, 7);
	expect_time(stat_of("f").st_mtim, 4294967296LL, 8);
	OK(set("f", at(-1, 5), at(-1000000000LL, 999999999)));
	expect_time(stat_of("f").st_atim, -1, 5);
	expect_time(stat_of("f").st_mtim, -1000000000LL, 999999999);
	OK(set("f", at(0, 0), at(0, 0)));
	expect_time(stat_of("f").st_atim, 0, 0);
	expect_time(stat_of("f").st_mtim, 0, 0);
}

static void omit(void)
{
	struct stat before;

	make_file("f", 0644);
	OK(set("f", at(100, 1), at(200, 2)));
	OK(set("f", OMIT, at(201, 3)));
	expect_time(stat_of("f").st_atim, 100, 1);
	expect_time(stat_of("f").st_mtim, 201, 3);
	OK(set("f", at(101, 4), OMIT));
	expect_time(stat_of("f").st_atim, 101, 4);
	expect_time(stat_of("f").st_mtim, 201, 3);
	before = stat_of("f");
	tick();
	OK(set("f", OMIT, OMIT)); /* does nothing at all */
	TRUE(!strcmp(changed_times(&before, "f"), ""));
}

static void now(void)
{
	struct stat old, st;

	make_file("f", 0644);
	old = stat_of("f");
	tick();
	OK(set("f", at(100, 1), NOW));
	expect_time(stat_of("f").st_atim, 100, 1);
	TRUE(later(stat_of("f").st_mtim, old.st_mtim));
	OK(set("f", NOW, at(100, 1)));
	expect_time(stat_of("f").st_mtim, 100, 1);
	TRUE(later(stat_of("f").st_atim, old.st_atim));
	OK(set("f", at(1, 1), at(1, 1)));
	OK(set("f", NOW, NOW));
	st = stat_of("f");
	TRUE(later(st.st_atim, old.st_atim) && later(st.st_mtim, old.st_mtim));
	expect_time(st.st_atim, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	OK(set("f", at(1, 1), at(1, 1)));
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	st = stat_of("f");
	TRUE(later(st.st_atim, old.st_atim) && later(st.st_mtim, old.st_mtim));
}

static void by_descriptor(void)
{
	const struct timespec ts[2] = { { 50, 51 }, { 52, 53 } };
	struct stat st;
	int fd;

	make_file("f", 0644);
	fd = (int)OK(open("f", O_RDONLY));
	OK(futimens(fd, ts));
	expect_time(stat_of("f").st_atim, 50, 51);
	expect_time(stat_of("f").st_mtim, 52, 53);
	OK(unlink("f"));
	OK(futimens(fd, (const struct timespec[]){ OMIT, { 62, 63 } }));
	OK(fstat(fd, &st));
	expect_time(st.st_atim, 50, 51);
	expect_time(st.st_mtim, 62, 63);
	OK(close(fd));
	FAILS(futimens(fd, ts), EBADF);
}

static void links(void)
{
	const struct timespec ts[2] = { { 70, 71 }, { 72, 73 } };

	make_file("f", 0644);
	OK(symlink("f", "l"));
	OK(utimensat(AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW));
	expect_time(stat_of("l").st_mtim, 72, 73);
	expect_time(stat_of("l").st_atim, 70, 71);
	TRUE(stat_of("f").st_mtim.tv_sec > 1000000);
	OK(set("l", at(80, 81), at(82, 83)));
	expect_time(stat_of("f").st_atim, 80, 81);
	expect_time(stat_of("f").st_mtim, 82, 83);
	expect_time(stat_of("l").st_mtim, 72, 73);
	OK(symlink("none", "dangling"));
	FAILS(set("dangling", NOW, NOW), ENOENT);
	OK(utimensat(AT_FDCWD, "dangling", ts, AT_SYMLINK_NOFOLLOW));
}

static void relative_to_directory(void)
{
	const struct timespec ts[2] = { { 90, 91 }, { 92, 93 } };
	int d, f;

	make_dir("d", 0755);
	make_file("d/f", 0644);
	d = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	f = (int)OK(open("d/f", O_RDONLY));
	OK(utimensat(d, "f", ts, 0));
	expect_time(stat_of("d/f").st_mtim, 92, 93);
	FAILS(utimensat(f, "f", ts, 0), ENOTDIR);
	FAILS(utimensat(-1, "f", ts, 0), EBADF);
}

static void errors_of_paths(void)
{
	const struct timespec *bad = (const struct timespec *)-1;

	make_file("f", 0644);
	make_file("x", 0644);
	FAILS(set("f/x", NOW, NOW), ENOTDIR);
	FAILS(set("none", NOW, NOW), ENOENT);
	FAILS(set("", NOW, NOW), ENOENT);
	FAILS(set(name_of_length(256), NOW, NOW), ENAMETOOLONG);
	OK(set(path_of_length(4095), NOW, NOW));
	FAILS(set(path_of_length(4096), NOW, NOW), ENAMETOOLONG);
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(set("a", NOW, NOW), ELOOP);
	FAILS(syscall(SYS_utimensat, AT_FDCWD, (void *)-1, NULL, 0), EFAULT);
	FAILS(syscall(SYS_utimensat, AT_FDCWD, "f", bad, 0), EFAULT);
}

static void einval(void)
{
	const struct timespec ok[2] = { { 1, 1 }, { 2, 2 } };

	make_file("f", 0644);
	FAILS(set("f", at(1, -1), at(1, 1)), EINVAL);
	FAILS(set("f", at(1, 1), at(1, 1000000000)), EINVAL);
	FAILS(utimensat(AT_FDCWD, "f", ok, 0x800000), EINVAL);
	TRUE(stat_of("f").st_mtim.tv_sec > 1000000);
}

static void owner_without_write(void)
{
	make_file("f", 0000);
	OK(set("f", at(1, 2), at(3, 4)));
	OK(set("f", NOW, NOW));
	TRUE(stat_of("f").st_mtim.tv_sec > 1000000);
}

static void writer_only_now(void)
{
	make_file("f", 0666);
	OK(set("f", at(1, 2), at(3, 4)));
	AS_USER(USER, USER, 0)
	{
		FAILS(set("f", at(5, 5), at(5, 5)), EPERM);
		FAILS(set("f", NOW, OMIT), EPERM);
		FAILS(set("f", OMIT, NOW), EPERM);
		FAILS(set("f", OMIT, at(5, 5)), EPERM);
		OK(set("f", OMIT, OMIT));
	}
	expect_time(stat_of("f").st_atim, 1, 2);
	expect_time(stat_of("f").st_mtim, 3, 4);
	AS_USER(USER, USER, 0) OK(set("f", NOW, NOW));
	TRUE(stat_of("f").st_atim.tv_sec > 1000000);
	TRUE(stat_of("f").st_mtim.tv_sec > 1000000);
	AS_USER(OTHER, USER, 0) OK(utimensat(AT_FDCWD, "f", NULL, 0));
}

static void others(void)
{
	int fd;

	make_file("f", 0644);
	make_dir("d", 0700);
	make_file("d/f", 0666);
	OK(set("f", at(1, 2), at(3, 4)));
	fd = (int)OK(open("f", O_RDWR));
	AS_USER(USER, USER, 0)
	{
		FAILS(set("f", NOW, NOW), EACCES);
		FAILS(utimensat(AT_FDCWD, "f", NULL, 0), EACCES);
		FAILS(set("f", at(5, 5), at(5, 5)), EPERM);
		FAILS(set("d/f", NOW, NOW), EACCES);
		FAILS(futimens(fd, NULL), EACCES); /* the descriptor's mode gives no right */
	}
	expect_time(stat_of("f").st_atim, 1, 2);
	expect_time(stat_of("f").st_mtim, 3, 4);
	OK(chown("f", USER, USER));
	AS_USER(USER, OTHER, 0) OK(set("f", at(5, 6), at(7, 8)));
	expect_time(stat_of("f").st_mtim, 7, 8);
}

static void ctime_of_success(void)
{
	struct stat before, dot;

	make_file("f", 0644);
	OK(set("f", at(1, 1), at(1, 1)));
	before = stat_of("f");
	dot = stat_of(".");
	tick();
	OK(set("f", at(1, 1), at(1, 1)));
	TRUE(!strcmp(changed_times(&before, "f"), "c"));
	TRUE(!strcmp(changed_times(&dot, "."), ""));
	before = stat_of("f");
	tick();
	FAILS(set("f", at(1, -1), at(1, 1)), EINVAL);
	TRUE(!strcmp(changed_times(&before, "f"), ""));
}

static void setid_bits_stay(void)
{
	make_file("f", 0644);
	OK(chmod("f", 06777));
	OK(set("f", at(1, 2), at(3, 4)));
	EQUAL(stat_of("f").st_mode & 07777, 06777);
	AS_USER(USER, USER, 0) OK(set("f", NOW, NOW));
	EQUAL(stat_of("f").st_mode & 07777, 06777);
}

static void times_stay_with_other_changes(void)
{
	make_file("f", 0644);
	OK(set("f", at(1, 2), at(3, 4)));
	OK(chmod("f", 0600));
	OK(chown("f", getuid(), getgid()));
	OK(link("f", "g"));
	OK(rename("g", "h"));
	expect_time(stat_of("f").st_atim, 1, 2);
	expect_time(stat_of("h").st_mtim, 3, 4);
	OK(unlink("f"));
	expect_time(stat_of("h").st_atim, 1, 2);
	expect_time(stat_of("h").st_mtim, 3, 4);
}

/* Times set by hand stay, even when data was written just before and is still to be flushed. */
static void set_after_write(void)
{
	int fd = (int)OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));

	EQUAL(write(fd, "data", 4), 4);
	OK(set("f", at(41, 42), at(43, 44)));
	OK(fsync(fd));
	OK(close(fd));
	expect_time(stat_of("f").st_mtim, 43, 44);
	fd = (int)OK(open("f", O_RDWR));
	EQUAL(write(fd, "DATA", 4), 4);
	OK(futimens(fd, (const struct timespec[]){ { 51, 52 }, { 53, 54 } }));
	OK(close(fd));
	expect_time(stat_of("f").st_atim, 51, 52);
	expect_time(stat_of("f").st_mtim, 53, 54);
	expect_content("f", "DATA");
}

const struct test_case utimensat_cases[] = {
	{ "nanoseconds", nanoseconds, false },
	{ "all_types", all_types, false },
	{ "past_2038_and_before_1970", past_2038_and_before_1970, false },
	{ "omit", omit, false },
	{ "now", now, false },
	{ "by_descriptor", by_descriptor, false },
	{ "links", links, false },
	{ "relative_to_directory", relative_to_directory, false },
	{ "errors_of_paths", errors_of_paths, false },
	{ "einval", einval, false },
	{ "owner_without_write", owner_without_write, false },
	{ "writer_only_now", writer_only_now, true },
	{ "others", others, true },
	{ "ctime_of_success", ctime_of_success, false },
	{ "setid_bits_stay", setid_bits_stay, true },
	{ "times_stay_with_other_changes", times_stay_with_other_changes, false },
	{ "set_after_write", set_after_write, false },
	{ 0 },
};
