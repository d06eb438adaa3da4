/* SPDX-License-Identifier: MIT */
/* symlink.c - symlink(), readlink() and how paths go through symlinks. */
#include <sys/syscall.h>

#include "posix.h"

enum { NOBODY = 65534 };

static void basic(void)
{
	struct stat st;
	char got[16];

	write_file("a", "text");
	OK(symlink("a", "s"));
	st = stat_of("s");
	TRUE(S_ISLNK(st.st_mode));
	EQUAL(st.st_mode & 07777, 0777);
	EQUAL(st.st_size, 1);
	EQUAL(st.st_nlink, 1);
	EQUAL(st.st_uid, geteuid());
	EQUAL(readlink("s", got, sizeof(got)), 1);
	TRUE(got[0] == 'a');
	expect_content("s", "text");
	OK(stat("s", &st));
	EQUAL(st.st_ino, stat_of("a").st_ino);
}

static void lengths(void)
{
	static const size_t sizes[] = { 1, 2, 59, 60, 255, 256, 1023, 1024, 4000, 4094, 4095 };
	char target[4097], got[5000], name[32];

	for (size_t n = 0; n < sizeof(sizes) / sizeof(*sizes); n++) {
		size_t size = sizes[n];

		for (size_t i = 0; i < size; i++)
			target[i] = (char)('a' + i % 26);
		target[size] = 0;
		snprintf(name, sizeof(name), "s%zu", size);
		OK(symlink(target, name));
		EQUAL(stat_of(name).st_size, size);
		EQUAL(readlink(name, got, sizeof(got)), size);
		TRUE(memcmp(got, target, size) == 0);
	}
}

static void too_long(void)
{
	char target[5000];

	memset(target, 'x', sizeof(target));
	target[4096] = 0;
	FAILS(symlink(target, "s"), ENAMETOOLONG);
	TRUE(!exists("s"));
	OK(symlink("x", name_of_length(255)));
	FAILS(symlink("x", name_of_length(256)), ENAMETOOLONG);
	FAILS(symlink("x", path_of_length(4096)), ENAMETOOLONG);
}

static void errors(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	OK(symlink("nowhere", "dangling"));
	FAILS(symlink("x", "f"), EEXIST);
	FAILS(symlink("x", "d"), EEXIST);
	FAILS(symlink("x", "."), EEXIST);
	FAILS(symlink("x", "dangling"), EEXIST);
	FAILS(symlink("x", "f/s"), ENOTDIR);
	FAILS(symlink("x", "none/s"), ENOENT);
	FAILS(symlink("x", ""), ENOENT);
	FAILS(symlink("", "s"), ENOENT);
	FAILS(symlink("x", "s/"), ENOENT);
	FAILS(syscall(SYS_symlink, -1L, "s"), EFAULT);
	FAILS(syscall(SYS_symlink, "x", -1L), EFAULT);
	TRUE(!exists("s"));
}

static void reading(void)
{
	char got[8] = "########";

	OK(symlink("target", "s"));
	make_file("f", 0644);
	make_dir("d", 0755);
	EQUAL(readlink("s", got, 3), 3); /* cut off, no NUL */
	TRUE(memcmp(got, "tar#####", 8) == 0);
	FAILS(readlink("f", got, 8), EINVAL);
	FAILS(readlink("d", got, 8), EINVAL);
	FAILS(readlink("none", got, 8), ENOENT);
	FAILS(readlink("f/a", got, 8), ENOTDIR);
	FAILS(readlink("", got, 8), ENOENT);
	FAILS(readlink(name_of_length(256), got, 8), ENAMETOOLONG);
	FAILS(syscall(SYS_readlink, "s", got, 0), EINVAL);
	FAILS(syscall(SYS_readlink, "s", -1L, 8), EFAULT);
	EQUAL(readlink("s", got, 8), 6);
}

static void by_descriptor(void)
{
	char got[8];
	int dir, fd;

	make_dir("d", 0755);
	dir = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	OK(symlinkat("tgt", dir, "s"));
	EQUAL(readlinkat(dir, "s", got, 8), 3);
	fd = (int)OK(openat(dir, "s", O_PATH | O_NOFOLLOW));
	EQUAL(readlinkat(fd, "", got, 8), 3);
	FAILS(openat(dir, "s", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(openat(dir, "s", O_RDONLY), ENOENT);
	OK(close(fd));
	OK(close(dir));
}

static void dangling(void)
{
	int fd;

	OK(symlink("nowhere", "s"));
	FAILS(open("s", O_RDONLY), ENOENT);
	FAILS(open("s", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	FAILS(mkdir("s", 0755), EEXIST);
	FAILS(truncate("s", 0), ENOENT);
	FAILS(chmod("s", 0600), ENOENT);
	fd = (int)OK(open("s", O_CREAT | O_WRONLY, 0644)); /* creates the target */
	OK(close(fd));
	TRUE(S_ISREG(stat_of("nowhere").st_mode));
	TRUE(S_ISLNK(stat_of("s").st_mode));
}

static void loops(void)
{
	char from[16], to[16];
	struct stat st;

	OK(symlink("self", "self"));
	FAILS(open("self", O_RDONLY), ELOOP);
	FAILS(stat("self", &st), ELOOP);
	FAILS(open("self/a", O_RDONLY), ELOOP);
	OK(readlink("self", to, sizeof(to)));
	/* The kernel follows 40. */
	make_file("l0", 0644);
	for (int n = 1; n <= 41; n++) {
		snprintf(from, sizeof(from), "l%d", n);
		snprintf(to, sizeof(to), "l%d", n - 1);
		OK(symlink(to, from));
	}
	OK(stat("l40", &st));
	FAILS(stat("l41", &st), ELOOP);
}

static void through_directories(void)
{
	make_dir("d", 0755);
	make_dir("d/e", 0755);
	write_file("d/e/a", "text");
	OK(symlink("d/e", "s"));
	OK(symlink("../d", "d/up"));
	expect_content("s/a", "text");
	expect_content("d/up/up/e/a", "text");
	OK(symlink("s/a", "t"));
	expect_content("t", "text");
	OK(rename("d/e/a", "s/b"));
	TRUE(exists("d/e/b"));
	make_dir("s/made", 0755);
	TRUE(exists("d/e/made"));
}

static void times(void)
{
	struct stat dir, target;
	char got[8];

	make_dir("d", 0755);
	make_file("a", 0644);
	dir = stat_of("d");
	target = stat_of("a");
	tick();
	OK(symlink("../a", "d/s"));
	TRUE(strcmp(changed_times(&dir, "d"), "mc") == 0);
	TRUE(strcmp(changed_times(&target, "a"), "") == 0);
	dir = stat_of("d/s");
	tick();
	EQUAL(readlink("d/s", got, 8), 4);
	TRUE(!strchr(changed_times(&dir, "d/s"), 'm'));
	TRUE(!strchr(changed_times(&dir, "d/s"), 'c'));
}

static void any_bytes(void)
{
	char target[256], got[300];

	for (int n = 1; n < 256; n++)
		target[n - 1] = (char)n;
	target[255] = 0;
	OK(symlink(target, "s"));
	EQUAL(readlink("s", got, sizeof(got)), 255);
	TRUE(memcmp(got, target, 255) == 0);
}

static void own_attributes(void)
{
	OK(symlink("nowhere", "s"));
	OK(lchown("s", NOBODY, 1234));
	EQUAL(stat_of("s").st_uid, NOBODY);
	EQUAL(stat_of("s").st_gid, 1234);
	EQUAL(stat_of("s").st_mode & 07777, 0777);
}

static void permissions(void)
{
	make_dir("readonly", 0755);
	make_dir("closed", 0700);
	make_dir("open", 0777);
	OK(symlink("x", "closed/s"));
	make_file("secret", 0600);
	OK(symlink("../secret", "open/secret"));
	AS_USER(NOBODY, NOBODY, 0)
	{
		char got[16];

		FAILS(symlink("x", "readonly/s"), EACCES);
		FAILS(symlink("x", "closed/t"), EACCES);
		FAILS(readlink("closed/s", got, sizeof(got)), EACCES);
		FAILS(open("open/secret", O_RDONLY), EACCES);
		EQUAL(readlink("open/secret", got, sizeof(got)), 9);
		OK(symlink("x", "open/s"));
		EQUAL(stat_of("open/s").st_uid, NOBODY);
	}
}

const struct test_case symlink_cases[] = {
	{ "basic", basic, false },
	{ "lengths", lengths, false },
	{ "too_long", too_long, false },
	{ "errors", errors, false },
	{ "reading", reading, false },
	{ "by_descriptor", by_descriptor, false },
	{ "dangling", dangling, false },
	{ "loops", loops, false },
	{ "through_directories", through_directories, false },
	{ "times", times, false },
	{ "any_bytes", any_bytes, false },
	{ "own_attributes", own_attributes, true },
	{ "permissions", permissions, true },
	{ 0 },
};
