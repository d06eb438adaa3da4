/* SPDX-License-Identifier: MIT */
/* rmdir.c - rmdir() and unlinkat(AT_REMOVEDIR). */
#include <dirent.h>
#include <sys/syscall.h>

#include "posix.h"

enum { NOBODY = 65534, OTHER = 65533 };

static void basic(void)
{
	make_dir("d", 0);
	EQUAL(stat_of(".").st_nlink, 3);
	OK(rmdir("d"));
	TRUE(!exists("d"));
	EQUAL(stat_of(".").st_nlink, 2);
	FAILS(rmdir("d"), ENOENT);
	make_dir("e", 0755);
	OK(rmdir("e/"));
	TRUE(!exists("e"));
}

static void times(void)
{
	struct stat parent;

	make_dir("p", 0755);
	make_dir("p/d", 0755);
	parent = stat_of("p");
	tick();
	OK(rmdir("p/d"));
	TRUE(strcmp(changed_times(&parent, "p"), "mc") == 0);
}

static void not_empty(void)
{
	struct stat parent;

	make_dir("p", 0755);
	make_dir("p/file", 0755);
	make_file("p/file/a", 0644);
	make_dir("p/dir", 0755);
	make_dir("p/dir/a", 0755);
	make_dir("p/link", 0755);
	OK(symlink("nowhere", "p/link/a"));
	parent = stat_of("p");
	tick();
	FAILS(rmdir("p/file"), ENOTEMPTY);
	FAILS(rmdir("p/dir"), ENOTEMPTY);
	FAILS(rmdir("p/link"), ENOTEMPTY);
	TRUE(strcmp(changed_times(&parent, "p"), "") == 0);
	OK(unlink("p/file/a"));
	OK(rmdir("p/file"));
}

static void not_a_directory(void)
{
	make_file("f", 0644);
	OK(mkfifo("fifo", 0600));
	make_dir("d", 0755);
	OK(symlink("d", "s"));
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(rmdir("f/a"), ENOTDIR);
	FAILS(rmdir("fifo"), ENOTDIR);
	FAILS(rmdir("s"), ENOTDIR);
	FAILS(rmdir("s/"), ENOTDIR);
	TRUE(exists("d"));
}

static void dots(void)
{
	make_dir("d", 0755);
	make_dir("d/e", 0755);
	FAILS(rmdir("d/."), EINVAL);
	FAILS(rmdir("."), EINVAL);
	FAILS(rmdir("d/e/.."), ENOTEMPTY);
	FAILS(rmdir(".."), ENOTEMPTY);
	FAILS(rmdir("/"), EBUSY);
	TRUE(exists("d/e"));
}

static void errors(void)
{
	FAILS(rmdir("none"), ENOENT);
	FAILS(rmdir("none/a"), ENOENT);
	FAILS(rmdir(""), ENOENT);
	OK(symlink("l2", "l1"));
	OK(symlink("l1", "l2"));
	FAILS(rmdir("l1/a"), ELOOP);
	FAILS(rmdir("l1"), ENOTDIR);
	FAILS(syscall(SYS_rmdir, -1L), EFAULT);
}

static void long_names(void)
{
	make_dir(name_of_length(255), 0755);
	OK(rmdir(name_of_length(255)));
	FAILS(rmdir(name_of_length(256)), ENAMETOOLONG);
	make_dir("x", 0755);
	FAILS(rmdir(path_of_length(4096)), ENAMETOOLONG);
	OK(rmdir(path_of_length(4095)));
	TRUE(!exists("x"));
}

/* What is removed and still open: nlink 0, nothing in it, nothing can come into it. */
static void open_directory(void)
{
	struct dirent *e;
	struct stat st;
	DIR *dir;
	int fd;

	make_dir("d", 0755);
	fd = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"));
	OK(fstat(fd, &st));
	EQUAL(st.st_nlink, 0);
	FAILS(openat(fd, "a", O_CREAT | O_WRONLY, 0644), ENOENT);
	FAILS(mkdirat(fd, "a", 0755), ENOENT);
	FAILS(symlinkat("x", fd, "a"), ENOENT);
	make_file("f", 0644);
	FAILS(linkat(AT_FDCWD, "f", fd, "a", 0), ENOENT);
	FAILS(renameat(AT_FDCWD, "f", fd, "a"), ENOENT);
	dir = fdopendir(fd);
	TRUE(dir);
	while ((e = readdir(dir)))
		TRUE(e->d_name[0] == '.');
	closedir(dir);
}

static void name_used_again(void)
{
	make_dir("d", 0755);
	OK(rmdir("d"));
	make_file("d", 0644);
	TRUE(S_ISREG(stat_of("d").st_mode));
	OK(unlink("d"));
	make_dir("d", 0711);
	EQUAL(stat_of("d").st_mode & 07777, 0711);
	EQUAL(stat_of("d").st_nlink, 2);
}

static void by_descriptor(void)
{
	int fd;

	make_dir("p", 0755);
	make_dir("p/d", 0755);
	fd = (int)OK(open("p", O_RDONLY | O_DIRECTORY));
	FAILS(unlinkat(fd, "d", 0), EISDIR);
	OK(unlinkat(fd, "d", AT_REMOVEDIR));
	TRUE(!exists("p/d"));
	OK(close(fd));
}

static void permissions(void)
{
	make_dir("closed", 0700);
	make_dir("closed/d", 0777);
	make_dir("readonly", 0755);
	make_dir("readonly/d", 0777);
	make_dir("open", 0777);
	make_dir("open/d", 0);
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(rmdir("closed/d"), EACCES);
		FAILS(rmdir("readonly/d"), EACCES);
		OK(rmdir("open/d"));
	}
	TRUE(exists("closed/d") && exists("readonly/d"));
}

static void sticky(void)
{
	make_dir("d", 01777);
	make_dir("d/others", 0777);
	OK(chown("d/others", OTHER, OTHER));
	make_dir("d/mine", 0);
	OK(chown("d/mine", NOBODY, NOBODY));
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(rmdir("d/others"), EPERM);
		OK(rmdir("d/mine"));
	}
	OK(chown("d", NOBODY, NOBODY));
	AS_USER(NOBODY, NOBODY, 0)
	{
		OK(rmdir("d/others"));
	}
}

const struct test_case rmdir_cases[] = {
	{ "basic", basic, false },
	{ "times", times, false },
	{ "not_empty", not_empty, false },
	{ "not_a_directory", not_a_directory, false },
	{ "dots", dots, false },
	{ "errors", errors, false },
	{ "long_names", long_names, false },
	{ "open_directory", open_directory, false },
	{ "name_used_again", name_used_again, false },
	{ "by_descriptor", by_descriptor, false },
	{ "permissions", permissions, true },
	{ "sticky", sticky, true },
	{ 0 },
};
