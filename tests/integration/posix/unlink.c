/* SPDX-License-Identifier: MIT */
/* unlink.c - unlink() and unlinkat() of files. */
#include <sys/syscall.h>

#include "posix.h"

enum { NOBODY = 65534, OTHER = 65533 };

static void kinds(void)
{
	make_file("file", 0);
	OK(mkfifo("fifo", 0600));
	OK(mknod("sock", S_IFSOCK | 0600, 0));
	OK(symlink("nowhere", "link"));
	OK(unlink("file"));
	OK(unlink("fifo"));
	OK(unlink("sock"));
	OK(unlink("link"));
	TRUE(!exists("file") && !exists("fifo") && !exists("sock") && !exists("link"));
	FAILS(unlink("file"), ENOENT);
}

static void devices(void)
{
	OK(mknod("char", S_IFCHR | 0600, 0x103));
	OK(mknod("block", S_IFBLK | 0600, 0x103));
	OK(unlink("char"));
	OK(unlink("block"));
	TRUE(!exists("char") && !exists("block"));
}

static void keeps_target(void)
{
	write_file("a", "text");
	OK(symlink("a", "s"));
	OK(unlink("s"));
	expect_content("a", "text");
}

static void directories(void)
{
	make_dir("d", 0755);
	FAILS(unlink("d"), EISDIR);
	FAILS(unlink("."), EISDIR);
	FAILS(unlink(".."), EISDIR);
	FAILS(unlink("d/"), EISDIR);
	TRUE(exists("d"));
	OK(symlink("d", "s"));
	FAILS(unlink("s/"), ENOTDIR);
	OK(unlink("s"));
}

static void not_a_directory(void)
{
	make_file("f", 0644);
	FAILS(unlink("f/a"), ENOTDIR);
	FAILS(unlink("f/"), ENOTDIR);
	FAILS(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	TRUE(exists("f"));
}

static void no_entry(void)
{
	FAILS(unlink("none"), ENOENT);
	FAILS(unlink("none/a"), ENOENT);
	FAILS(unlink(""), ENOENT);
}

static void long_names(void)
{
	make_file("x", 0644);
	make_file(name_of_length(255), 0644);
	OK(unlink(name_of_length(255)));
	FAILS(unlink(name_of_length(256)), ENAMETOOLONG);
	FAILS(unlink(path_of_length(4096)), ENAMETOOLONG);
	OK(unlink(path_of_length(4095)));
	TRUE(!exists("x"));
}

static void loops(void)
{
	OK(symlink("l2", "l1"));
	OK(symlink("l1", "l2"));
	FAILS(unlink("l1/a"), ELOOP);
	OK(unlink("l1"));
	OK(unlink("l2"));
}

static void times(void)
{
	struct stat file, dir;

	make_dir("d", 0755);
	make_file("d/a", 0644);
	OK(link("d/a", "b"));
	file = stat_of("b");
	dir = stat_of("d");
	tick();
	OK(unlink("d/a"));
	TRUE(strcmp(changed_times(&dir, "d"), "mc") == 0);
	TRUE(strcmp(changed_times(&file, "b"), "c") == 0);
	EQUAL(stat_of("b").st_nlink, 1);
}

static void failure_changes_nothing(void)
{
	struct stat dir;

	make_dir("d", 0755);
	dir = stat_of("d");
	tick();
	FAILS(unlink("d/none"), ENOENT);
	TRUE(strcmp(changed_times(&dir, "d"), "") == 0);
}

static void open_file_lives_on(void)
{
	char got[8] = "";
	struct stat st;
	int fd;

	write_file("a", "text");
	fd = (int)OK(open("a", O_RDWR));
	OK(fstat(fd, &st));
	EQUAL(st.st_nlink, 1);
	OK(unlink("a"));
	OK(fstat(fd, &st));
	EQUAL(st.st_nlink, 0);
	EQUAL(st.st_size, 4);
	EQUAL(pread(fd, got, 8, 0), 4);
	TRUE(memcmp(got, "text", 4) == 0);
	EQUAL(pwrite(fd, "more", 4, 4), 4);
	OK(fsync(fd));
	OK(fstat(fd, &st));
	EQUAL(st.st_size, 8);
	EQUAL(pread(fd, got, 8, 0), 8);
	TRUE(memcmp(got, "textmore", 8) == 0);
	OK(ftruncate(fd, 2));
	OK(fchmod(fd, 0600));
	OK(fstat(fd, &st));
	EQUAL(st.st_size, 2);
	EQUAL(st.st_mode & 07777, 0600);
	OK(close(fd));
}

static void open_file_ctime(void)
{
	struct stat before, after;
	int fd;

	make_file("a", 0644);
	fd = (int)OK(open("a", O_RDONLY));
	OK(fstat(fd, &before));
	tick();
	OK(unlink("a"));
	OK(fstat(fd, &after));
	TRUE(later(after.st_ctim, before.st_ctim));
	TRUE(!later(after.st_mtim, before.st_mtim));
	OK(close(fd));
}

/* A new file of the same name is another file. */
static void name_used_again(void)
{
	char got[8];
	int fd;

	write_file("a", "old");
	fd = (int)OK(open("a", O_RDONLY));
	OK(unlink("a"));
	write_file("a", "newer");
	EQUAL(pread(fd, got, 8, 0), 3);
	TRUE(memcmp(got, "old", 3) == 0);
	expect_content("a", "newer");
	OK(close(fd));
}

static void two_descriptors(void)
{
	char got[8];
	int one, two;

	write_file("a", "text");
	one = (int)OK(open("a", O_RDWR));
	two = (int)OK(open("a", O_RDONLY));
	OK(unlink("a"));
	EQUAL(pwrite(one, "next", 4, 0), 4);
	OK(close(one));
	EQUAL(pread(two, got, 8, 0), 4);
	TRUE(memcmp(got, "next", 4) == 0);
	OK(close(two));
}

static void by_descriptor(void)
{
	int dir, file;

	make_dir("d", 0755);
	make_file("d/a", 0644);
	make_file("b", 0644);
	dir = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	file = (int)OK(open("b", O_RDONLY));
	FAILS(unlinkat(file, "a", 0), ENOTDIR);
	FAILS(unlinkat(99, "a", 0), EBADF);
	FAILS(unlinkat(dir, "a", 0x4000), EINVAL);
	OK(unlinkat(dir, "a", 0));
	TRUE(!exists("d/a"));
}

static void bad_pointers(void)
{
	FAILS(syscall(SYS_unlink, -1L), EFAULT);
	FAILS(syscall(SYS_unlinkat, AT_FDCWD, -1L, 0), EFAULT);
}

static void permissions(void)
{
	make_dir("closed", 0700);
	make_file("closed/a", 0666);
	make_dir("readonly", 0755);
	make_file("readonly/a", 0666);
	make_dir("open", 0777);
	make_file("open/a", 0); /* not the file's mode decides */
	make_dir("nosearch", 0776);
	make_file("nosearch/a", 0666);
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(unlink("closed/a"), EACCES);
		FAILS(unlink("readonly/a"), EACCES);
		FAILS(unlink("nosearch/a"), EACCES);
		OK(unlink("open/a"));
	}
	TRUE(exists("closed/a") && exists("readonly/a") && exists("nosearch/a"));
}

static void sticky(void)
{
	make_dir("d", 01777);
	make_file("d/roots", 0666);
	make_file("d/others", 0666);
	OK(chown("d/others", OTHER, OTHER));
	make_file("d/mine", 0);
	OK(chown("d/mine", NOBODY, NOBODY));
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(unlink("d/roots"), EPERM);
		FAILS(unlink("d/others"), EPERM);
		OK(unlink("d/mine"));
	}
	OK(chown("d", NOBODY, NOBODY)); /* the directory's owner may */
	AS_USER(NOBODY, NOBODY, 0)
	{
		OK(unlink("d/others"));
		OK(unlink("d/roots"));
	}
}

const struct test_case unlink_cases[] = {
	{ "kinds", kinds, false },
	{ "devices", devices, true },
	{ "keeps_target", keeps_target, false },
	{ "directories", directories, false },
	{ "not_a_directory", not_a_directory, false },
	{ "no_entry", no_entry, false },
	{ "long_names", long_names, false },
	{ "loops", loops, false },
	{ "times", times, false },
	{ "failure_changes_nothing", failure_changes_nothing, false },
	{ "open_file_lives_on", open_file_lives_on, false },
	{ "open_file_ctime", open_file_ctime, false },
	{ "name_used_again", name_used_again, false },
	{ "two_descriptors", two_descriptors, false },
	{ "by_descriptor", by_descriptor, false },
	{ "bad_pointers", bad_pointers, false },
	{ "permissions", permissions, true },
	{ "sticky", sticky, true },
	{ 0 },
};
