/* SPDX-License-Identifier: MIT */
/* rename.c - rename(), renameat2(). */
#include <sys/syscall.h>

#include "posix.h"

enum { NOBODY = 65534, OTHER = 65533 };

static int rename_flags(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void file(void)
{
	ino_t ino;

	write_file("a", "text");
	ino = stat_of("a").st_ino;
	OK(rename("a", "b"));
	TRUE(!exists("a"));
	EQUAL(stat_of("b").st_ino, ino);
	EQUAL(stat_of("b").st_nlink, 1);
	expect_content("b", "text");
}

static void kinds(void)
{
	OK(mkfifo("fifo", 0600));
	OK(mknod("sock", S_IFSOCK | 0600, 0));
	OK(symlink("nowhere", "link"));
	OK(rename("fifo", "fifo2"));
	OK(rename("sock", "sock2"));
	OK(rename("link", "link2"));
	TRUE(S_ISFIFO(stat_of("fifo2").st_mode));
	TRUE(S_ISSOCK(stat_of("sock2").st_mode));
	TRUE(S_ISLNK(stat_of("link2").st_mode));
}

static void file_over_file(void)
{
	ino_t ino;

	write_file("a", "new");
	write_file("b", "old one");
	ino = stat_of("a").st_ino;
	OK(rename("a", "b"));
	TRUE(!exists("a"));
	EQUAL(stat_of("b").st_ino, ino);
	expect_content("b", "new");
	OK(symlink("b", "s"));
	write_file("c", "third");
	OK(rename("c", "s")); /* replaces the symlink, not its target */
	TRUE(S_ISREG(stat_of("s").st_mode));
	expect_content("b", "new");
}

static void replaced_file_lives_on(void)
{
	struct stat st;
	char got[8];
	int fd;

	write_file("a", "new");
	write_file("b", "old");
	fd = (int)OK(open("b", O_RDONLY));
	OK(rename("a", "b"));
	EQUAL(pread(fd, got, 8, 0), 3);
	TRUE(memcmp(got, "old", 3) == 0);
	OK(fstat(fd, &st));
	EQUAL(st.st_nlink, 0);
	OK(close(fd));
}

static void replaced_link(void)
{
	struct stat before;

	make_file("a", 0644);
	make_file("b", 0644);
	OK(link("b", "c"));
	before = stat_of("c");
	tick();
	OK(rename("a", "b"));
	EQUAL(stat_of("c").st_nlink, 1);
	TRUE(strcmp(changed_times(&before, "c"), "c") == 0);
}

static void open_file_goes_on(void)
{
	int fd;

	write_file("a", "one");
	fd = (int)OK(open("a", O_RDWR | O_APPEND));
	OK(rename("a", "b"));
	EQUAL(write(fd, "two", 3), 3);
	OK(close(fd));
	expect_content("b", "onetwo");
}

/* Two names of one file: nothing happens, both stay. */
static void same_inode(void)
{
	make_file("a", 0644);
	OK(link("a", "b"));
	OK(rename("a", "b"));
	TRUE(exists("a") && exists("b"));
	EQUAL(stat_of("a").st_nlink, 2);
	OK(rename("a", "a"));
	TRUE(exists("a"));
	make_dir("d", 0755);
	OK(rename("d", "d"));
	TRUE(exists("d"));
}

static void times(void)
{
	struct stat a, from, to;

	make_dir("from", 0755);
	make_dir("to", 0755);
	make_file("from/a", 0644);
	a = stat_of("from/a");
	from = stat_of("from");
	to = stat_of("to");
	tick();
	OK(rename("from/a", "to/a"));
	TRUE(strcmp(changed_times(&from, "from"), "mc") == 0);
	TRUE(strcmp(changed_times(&to, "to"), "mc") == 0);
	TRUE(strcmp(changed_times(&a, "to/a"), "c") == 0);
}

static void failure_changes_nothing(void)
{
	struct stat a, dir;

	make_dir("d", 0755);
	make_file("d/a", 0644);
	make_dir("d/e", 0755);
	a = stat_of("d/a");
	dir = stat_of("d");
	tick();
	FAILS(rename("d/a", "d/e"), EISDIR);
	FAILS(rename("d/none", "d/x"), ENOENT);
	TRUE(strcmp(changed_times(&a, "d/a"), "") == 0);
	TRUE(strcmp(changed_times(&dir, "d"), "") == 0);
}

static void file_and_directory(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	FAILS(rename("f", "d"), EISDIR);
	FAILS(rename("d", "f"), ENOTDIR);
	FAILS(rename("f", "g/"), ENOTDIR);
	FAILS(rename("f/", "g"), ENOTDIR);
	TRUE(exists("f") && exists("d"));
	OK(rename("d", "e/")); /* a directory that is to be may have the slash */
	TRUE(exists("e"));
}

static void directory(void)
{
	struct stat st;

	make_dir("from", 0755);
	make_dir("to", 0755);
	make_dir("from/d", 0755);
	make_file("from/d/a", 0644);
	st = stat_of("from/d");
	EQUAL(stat_of("from").st_nlink, 3);
	OK(rename("from/d", "to/e"));
	EQUAL(stat_of("from").st_nlink, 2);
	EQUAL(stat_of("to").st_nlink, 3);
	EQUAL(stat_of("to/e").st_ino, st.st_ino);
	EQUAL(stat_of("to/e/..").st_ino, stat_of("to").st_ino);
	TRUE(exists("to/e/a"));
	TRUE(!exists("from/d"));
}

static void directory_over_directory(void)
{
	ino_t ino;

	make_dir("a", 0755);
	make_dir("b", 0755);
	make_file("b/f", 0644);
	make_dir("full", 0755);
	make_file("full/f", 0644);
	ino = stat_of("b").st_ino;
	FAILS(rename("b", "full"), ENOTEMPTY);
	OK(rename("b", "a"));
	EQUAL(stat_of("a").st_ino, ino);
	TRUE(exists("a/f"));
	TRUE(!exists("b"));
	EQUAL(stat_of(".").st_nlink, 4);
}

static void into_itself(void)
{
	make_dir("a", 0755);
	make_dir("a/b", 0755);
	FAILS(rename("a", "a/b/c"), EINVAL);
	FAILS(rename("a", "a/c"), EINVAL);
	FAILS(rename("a", "a/b"), EINVAL);
	FAILS(rename("a/b", "a"), ENOTEMPTY);
	EQUAL(stat_of("a").st_nlink, 3);
}

static void dots(void)
{
	make_dir("a", 0755);
	FAILS(rename("a/.", "b"), EBUSY);
	FAILS(rename("a/..", "b"), EBUSY);
	FAILS(rename("a", "a/."), EBUSY);
	FAILS(rename("a", "."), EBUSY);
	FAILS(rename("a", ".."), EBUSY);
	TRUE(exists("a"));
}

static void errors(void)
{
	make_file("f", 0644);
	FAILS(rename("none", "b"), ENOENT);
	FAILS(rename("none/a", "b"), ENOENT);
	FAILS(rename("f", "none/b"), ENOENT);
	FAILS(rename("", "b"), ENOENT);
	FAILS(rename("f", ""), ENOENT);
	FAILS(rename("f/a", "b"), ENOTDIR);
	FAILS(rename("f", "f/b"), ENOTDIR);
	OK(symlink("l2", "l1"));
	OK(symlink("l1", "l2"));
	FAILS(rename("l1/a", "b"), ELOOP);
	FAILS(rename("f", "l1/b"), ELOOP);
	FAILS(syscall(SYS_rename, -1L, "b"), EFAULT);
	FAILS(syscall(SYS_rename, "f", -1L), EFAULT);
}

static void long_names(void)
{
	make_file("x", 0644);
	OK(rename("x", name_of_length(255)));
	OK(rename(name_of_length(255), "x"));
	FAILS(rename("x", name_of_length(256)), ENAMETOOLONG);
	FAILS(rename(name_of_length(256), "y"), ENAMETOOLONG);
	FAILS(rename("x", path_of_length(4096)), ENAMETOOLONG);
	FAILS(rename(path_of_length(4096), "y"), ENAMETOOLONG);
	OK(rename(path_of_length(4095), "y"));
	TRUE(exists("y"));
}

static void no_replace(void)
{
	make_file("a", 0644);
	make_file("b", 0644);
	FAILS(rename_flags("a", "b", RENAME_NOREPLACE), EEXIST);
	FAILS(rename_flags("a", "a", RENAME_NOREPLACE), EEXIST);
	FAILS(rename_flags("none", "b", RENAME_NOREPLACE), ENOENT);
	TRUE(exists("a") && exists("b"));
	OK(rename_flags("a", "c", RENAME_NOREPLACE));
	TRUE(!exists("a") && exists("c"));
}

static void bad_flags(void)
{
	make_file("a", 0644);
	make_file("b", 0644);
	FAILS(rename_flags("a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	FAILS(rename_flags("a", "b", RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL);
	FAILS(rename_flags("a", "b", 0x80), EINVAL);
}

static void exchange(void)
{
	struct stat a, b;

	write_file("a", "from a");
	write_file("b", "from b");
	a = stat_of("a");
	b = stat_of("b");
	tick();
	OK(rename_flags("a", "b", RENAME_EXCHANGE));
	EQUAL(stat_of("a").st_ino, b.st_ino);
	EQUAL(stat_of("b").st_ino, a.st_ino);
	TRUE(strcmp(changed_times(&a, "b"), "c") == 0);
	TRUE(strcmp(changed_times(&b, "a"), "c") == 0);
	expect_content("a", "from b");
	FAILS(rename_flags("a", "none", RENAME_EXCHANGE), ENOENT);
	OK(rename_flags("a", "a", RENAME_EXCHANGE));
	expect_content("a", "from b");
}

static void exchange_kinds(void)
{
	make_dir("one", 0755);
	make_dir("two", 0755);
	make_dir("one/d", 0755);
	make_file("one/d/inside", 0644);
	make_file("two/f", 0644);
	OK(rename_flags("one/d", "two/f", RENAME_EXCHANGE));
	TRUE(S_ISREG(stat_of("one/d").st_mode));
	TRUE(S_ISDIR(stat_of("two/f").st_mode));
	TRUE(exists("two/f/inside"));
	EQUAL(stat_of("one").st_nlink, 2);
	EQUAL(stat_of("two").st_nlink, 3);
	EQUAL(stat_of("two/f/..").st_ino, stat_of("two").st_ino);
	FAILS(rename_flags("two", "two/f", RENAME_EXCHANGE), EINVAL);
	FAILS(rename_flags("two/f", "two", RENAME_EXCHANGE), EINVAL);
}

static void exchange_directories(void)
{
	make_dir("one", 0755);
	make_dir("two", 0755);
	make_dir("one/d", 0755);
	make_dir("two/e", 0755);
	make_file("two/e/f", 0644);
	OK(rename_flags("one/d", "two/e", RENAME_EXCHANGE));
	TRUE(exists("one/d/f"));
	EQUAL(stat_of("one").st_nlink, 3);
	EQUAL(stat_of("two").st_nlink, 3);
	EQUAL(stat_of("one/d/..").st_ino, stat_of("one").st_ino);
	EQUAL(stat_of("two/e/..").st_ino, stat_of("two").st_ino);
}

static void permissions(void)
{
	make_dir("closed", 0700);
	make_file("closed/a", 0666);
	make_dir("readonly", 0755);
	make_file("readonly/a", 0666);
	make_dir("open", 0777);
	make_file("open/a", 0);
	make_dir("open/d", 0755);
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(rename("closed/a", "open/b"), EACCES);
		FAILS(rename("open/a", "closed/b"), EACCES);
		FAILS(rename("readonly/a", "open/b"), EACCES);
		FAILS(rename("open/a", "readonly/b"), EACCES);
		OK(rename("open/a", "open/b"));
		OK(rename("open/d", "open/e")); /* '..' does not change: no write permission */
		FAILS(rename("open/e", "readonly/e"), EACCES);
	}
}

/* Moving a directory to another parent writes its '..'. */
static void parent_of_others_directory(void)
{
	make_dir("from", 0777);
	make_dir("to", 0777);
	make_dir("from/d", 0755);
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(rename("from/d", "to/d"), EACCES);
		OK(rename("from/d", "from/e"));
	}
}

static void sticky(void)
{
	make_dir("d", 01777);
	make_dir("open", 0777);
	make_file("d/others", 0666);
	OK(chown("d/others", OTHER, OTHER));
	make_file("d/mine", 0);
	OK(chown("d/mine", NOBODY, NOBODY));
	make_file("open/mine", 0);
	OK(chown("open/mine", NOBODY, NOBODY));
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(rename("d/others", "d/x"), EPERM);
		FAILS(rename("d/others", "open/x"), EPERM);
		FAILS(rename("open/mine", "d/others"), EPERM);
		FAILS(rename_flags("d/mine", "d/others", RENAME_EXCHANGE), EPERM);
		OK(rename("d/mine", "d/x"));
		OK(rename("d/x", "open/x"));
		OK(rename("open/x", "d/x"));
	}
	TRUE(exists("d/others") && exists("d/x") && exists("open/mine"));
}

const struct test_case rename_cases[] = {
	{ "file", file, false },
	{ "kinds", kinds, false },
	{ "file_over_file", file_over_file, false },
	{ "replaced_file_lives_on", replaced_file_lives_on, false },
	{ "replaced_link", replaced_link, false },
	{ "open_file_goes_on", open_file_goes_on, false },
	{ "same_inode", same_inode, false },
	{ "times", times, false },
	{ "failure_changes_nothing", failure_changes_nothing, false },
	{ "file_and_directory", file_and_directory, false },
	{ "directory", directory, false },
	{ "directory_over_directory", directory_over_directory, false },
	{ "into_itself", into_itself, false },
	{ "dots", dots, false },
	{ "errors", errors, false },
	{ "long_names", long_names, false },
	{ "no_replace", no_replace, false },
	{ "bad_flags", bad_flags, false },
	{ "exchange", exchange, false },
	{ "exchange_kinds", exchange_kinds, false },
	{ "exchange_directories", exchange_directories, false },
	{ "permissions", permissions, true },
	{ "parent_of_others_directory", parent_of_others_directory, true },
	{ "sticky", sticky, true },
	{ 0 },
};
