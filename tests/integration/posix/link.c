/* SPDX-License-Identifier: MIT */
/* link.c - link() and linkat(). */
#include <sys/syscall.h>

#include "posix.h"

enum { NOBODY = 65534, OTHER = 65533 };

static void basic(void)
{
	struct stat a, b;

	write_file("a", "text");
	OK(link("a", "b"));
	a = stat_of("a");
	b = stat_of("b");
	EQUAL(a.st_ino, b.st_ino);
	EQUAL(a.st_nlink, 2);
	EQUAL(b.st_nlink, 2);
	expect_content("b", "text");
	OK(chmod("b", 0601));
	EQUAL(stat_of("a").st_mode & 07777, 0601);
	OK(unlink("a"));
	EQUAL(stat_of("b").st_nlink, 1);
	expect_content("b", "text");
}

static void write_through_other_name(void)
{
	int fd;

	write_file("a", "one");
	OK(link("a", "b"));
	fd = (int)OK(open("b", O_WRONLY | O_APPEND));
	EQUAL(write(fd, " two", 4), 4);
	EQUAL(stat_of("a").st_size, 7);
	OK(close(fd));
	expect_content("a", "one two");
}

static void times(void)
{
	struct stat file, dir, from;

	make_file("a", 0644);
	make_dir("d", 0755);
	file = stat_of("a");
	dir = stat_of("d");
	from = stat_of(".");
	tick();
	OK(link("a", "d/b"));
	TRUE(strcmp(changed_times(&file, "a"), "c") == 0);
	TRUE(strcmp(changed_times(&dir, "d"), "mc") == 0);
	TRUE(strcmp(changed_times(&from, "."), "") == 0);
}

static void failure_changes_nothing(void)
{
	struct stat file, dir;

	make_file("a", 0644);
	make_file("b", 0644);
	file = stat_of("a");
	dir = stat_of(".");
	tick();
	FAILS(link("a", "b"), EEXIST);
	TRUE(strcmp(changed_times(&file, "a"), "") == 0);
	TRUE(strcmp(changed_times(&dir, "."), "") == 0);
	EQUAL(stat_of("a").st_nlink, 1);
}

static void exists_already(void)
{
	make_file("a", 0644);
	make_file("file", 0644);
	make_dir("dir", 0755);
	OK(symlink("nowhere", "dangling"));
	OK(mkfifo("fifo", 0644));
	FAILS(link("a", "file"), EEXIST);
	FAILS(link("a", "dir"), EEXIST);
	FAILS(link("a", "dangling"), EEXIST);
	FAILS(link("a", "fifo"), EEXIST);
	FAILS(link("a", "a"), EEXIST);
	FAILS(link("a", "."), EEXIST);
	EQUAL(stat_of("a").st_nlink, 1);
}

static void not_a_directory(void)
{
	make_file("a", 0644);
	make_file("f", 0644);
	FAILS(link("f/a", "b"), ENOTDIR);
	FAILS(link("a", "f/b"), ENOTDIR);
	FAILS(link("a/", "b"), ENOTDIR);
	FAILS(link("a", "b/"), ENOENT);
}

static void no_entry(void)
{
	make_file("a", 0644);
	FAILS(link("none", "b"), ENOENT);
	FAILS(link("none/a", "b"), ENOENT);
	FAILS(link("a", "none/b"), ENOENT);
	FAILS(link("", "b"), ENOENT);
	FAILS(link("a", ""), ENOENT);
}

static void long_names(void)
{
	make_file("a", 0644);
	make_file("x", 0644);
	OK(link("a", name_of_length(255)));
	EQUAL(stat_of(name_of_length(255)).st_nlink, 2);
	OK(link(name_of_length(255), "b"));
	FAILS(link("a", name_of_length(256)), ENAMETOOLONG);
	FAILS(link(name_of_length(256), "c"), ENAMETOOLONG);
	OK(link(path_of_length(4095), "d"));
	FAILS(link(path_of_length(4096), "e"), ENAMETOOLONG);
	FAILS(link("a", path_of_length(4096)), ENAMETOOLONG);
}

static void loops(void)
{
	make_file("a", 0644);
	OK(symlink("l2", "l1"));
	OK(symlink("l1", "l2"));
	FAILS(link("l1/a", "b"), ELOOP);
	FAILS(link("a", "l1/b"), ELOOP);
}

static void directories(void)
{
	make_dir("d", 0755);
	FAILS(link("d", "e"), EPERM);
	FAILS(link(".", "e"), EPERM);
	FAILS(link("d/..", "e"), EPERM);
	EQUAL(stat_of("d").st_nlink, 2);
}

static void special_files(void)
{
	OK(mkfifo("fifo", 0600));
	OK(link("fifo", "fifo2"));
	EQUAL(stat_of("fifo2").st_ino, stat_of("fifo").st_ino);
	EQUAL(stat_of("fifo").st_nlink, 2);
	OK(mknod("sock", S_IFSOCK | 0600, 0));
	OK(link("sock", "sock2"));
	EQUAL(stat_of("sock2").st_nlink, 2);
	TRUE(S_ISSOCK(stat_of("sock2").st_mode));
}

static void symlinks(void)
{
	make_file("a", 0644);
	OK(symlink("a", "s"));
	OK(link("s", "s2")); /* Linux: the symlink itself */
	TRUE(S_ISLNK(stat_of("s2").st_mode));
	EQUAL(stat_of("s").st_nlink, 2);
	OK(linkat(AT_FDCWD, "s", AT_FDCWD, "b", AT_SYMLINK_FOLLOW));
	EQUAL(stat_of("b").st_ino, stat_of("a").st_ino);
	EQUAL(stat_of("a").st_nlink, 2);
	OK(symlink("nowhere", "dangling"));
	FAILS(linkat(AT_FDCWD, "dangling", AT_FDCWD, "c", AT_SYMLINK_FOLLOW), ENOENT);
	OK(link("dangling", "dangling2"));
}

static void flags_and_descriptors(void)
{
	int dir, file;

	make_dir("d", 0755);
	make_file("a", 0644);
	dir = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	file = (int)OK(open("a", O_RDONLY));
	FAILS(linkat(AT_FDCWD, "a", dir, "b", 0x40000000), EINVAL);
	FAILS(linkat(AT_FDCWD, "a", file, "b", 0), ENOTDIR);
	FAILS(linkat(99, "a", dir, "b", 0), EBADF);
	OK(linkat(AT_FDCWD, "a", dir, "b", 0));
	OK(linkat(dir, "b", AT_FDCWD, "c", 0));
	EQUAL(stat_of("c").st_nlink, 3);
}

/* The way to name what O_TMPFILE made. */
static void unnamed_file(void)
{
	char proc[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);

	if (fd < 0 && errno == EOPNOTSUPP)
		skip("no O_TMPFILE");
	OK(fd);
	EQUAL(write(fd, "text", 4), 4);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, proc, AT_FDCWD, "a", AT_SYMLINK_FOLLOW));
	EQUAL(stat_of("a").st_nlink, 1);
	EQUAL(stat_of("a").st_mode & 07777, 0640);
	OK(close(fd));
	expect_content("a", "text");
}

static void unnamed_file_by_descriptor(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);

	if (fd < 0 && errno == EOPNOTSUPP)
		skip("no O_TMPFILE");
	OK(fd);
	OK(linkat(fd, "", AT_FDCWD, "a", AT_EMPTY_PATH));
	OK(linkat(fd, "", AT_FDCWD, "b", AT_EMPTY_PATH));
	EQUAL(stat_of("b").st_nlink, 2);
	OK(close(fd));
}

static void unnamed_exclusive(void)
{
	char proc[64];
	int fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);

	if (fd < 0 && errno == EOPNOTSUPP)
		skip("no O_TMPFILE");
	OK(fd);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	FAILS(linkat(AT_FDCWD, proc, AT_FDCWD, "a", AT_SYMLINK_FOLLOW), ENOENT);
	OK(close(fd));
}

/* What lost its last name can't have another. */
static void unlinked_file(void)
{
	char proc[64];
	int fd;

	make_file("a", 0644);
	fd = (int)OK(open("a", O_RDWR));
	OK(unlink("a"));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	FAILS(linkat(AT_FDCWD, proc, AT_FDCWD, "b", AT_SYMLINK_FOLLOW), ENOENT);
	TRUE(!exists("b"));
	OK(close(fd));
}

static void many(void)
{
	char name[32];
	struct stat st;

	make_file("a", 0644);
	for (int n = 0; n < 300; n++) {
		snprintf(name, sizeof(name), "link%d", n);
		OK(link("a", name));
	}
	st = stat_of("link299");
	EQUAL(st.st_nlink, 301);
	EQUAL(stat_of("a").st_nlink, 301);
	for (int n = 0; n < 300; n++) {
		snprintf(name, sizeof(name), "link%d", n);
		OK(unlink(name));
	}
	EQUAL(stat_of("a").st_nlink, 1);
}

static void bad_pointers(void)
{
	make_file("a", 0644);
	FAILS(syscall(SYS_link, -1L, "b"), EFAULT);
	FAILS(syscall(SYS_link, "a", -1L), EFAULT);
}

static void permissions(void)
{
	make_file("a", 0666);
	make_dir("closed", 0700);
	make_file("closed/a", 0666);
	make_dir("readonly", 0755);
	make_dir("open", 0777);
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(link("closed/a", "open/b"), EACCES);
		FAILS(link("a", "closed/b"), EACCES);
		FAILS(link("a", "readonly/b"), EACCES);
		OK(link("a", "open/b"));
	}
	EQUAL(stat_of("a").st_nlink, 2);
}

static void own_and_others(void)
{
	char protect = '0';
	int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY);

	if (fd >= 0) {
		EQUAL(read(fd, &protect, 1), 1);
		OK(close(fd));
	}
	make_dir("open", 0777);
	make_file("mine", 0600);
	OK(chown("mine", NOBODY, NOBODY));
	make_file("others", 0600);
	OK(chown("others", OTHER, OTHER));
	AS_USER(NOBODY, NOBODY, 0)
	{
		OK(link("mine", "open/mine"));
		if (protect == '1')
			FAILS(link("others", "open/others"), EPERM);
		else
			OK(link("others", "open/others"));
	}
}

const struct test_case link_cases[] = {
	{ "basic", basic, false },
	{ "write_through_other_name", write_through_other_name, false },
	{ "times", times, false },
	{ "failure_changes_nothing", failure_changes_nothing, false },
	{ "exists_already", exists_already, false },
	{ "not_a_directory", not_a_directory, false },
	{ "no_entry", no_entry, false },
	{ "long_names", long_names, false },
	{ "loops", loops, false },
	{ "directories", directories, false },
	{ "special_files", special_files, false },
	{ "symlinks", symlinks, false },
	{ "flags_and_descriptors", flags_and_descriptors, false },
	{ "unnamed_file", unnamed_file, false },
	{ "unnamed_file_by_descriptor", unnamed_file_by_descriptor, true },
	{ "unnamed_exclusive", unnamed_exclusive, false },
	{ "unlinked_file", unlinked_file, false },
	{ "many", many, false },
	{ "bad_pointers", bad_pointers, false },
	{ "permissions", permissions, true },
	{ "own_and_others", own_and_others, true },
	{ 0 },
};
