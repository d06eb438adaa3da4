/* SPDX-License-Identifier: MIT */
/* mkdir.c - mkdir, mkdirat: mode, owner, set-gid, links, times, errors. */
#include <sys/syscall.h>

#include "posix.h"

enum { USER = 65534, GROUP_A = 65530 };

static void mode_and_umask(void)
{
	OK(mkdir("a", 0755));
	EQUAL(stat_of("a").st_mode, S_IFDIR | 0755);
	OK(mkdir("b", 0777));
	EQUAL(stat_of("b").st_mode, S_IFDIR | 0755);
	umask(0);
	OK(mkdir("c", 0777));
	EQUAL(stat_of("c").st_mode, S_IFDIR | 0777);
	OK(mkdir("e", 01777));
	EQUAL(stat_of("e").st_mode, S_IFDIR | 01777);
	umask(0077);
	OK(mkdir("d", 0751));
	EQUAL(stat_of("d").st_mode, S_IFDIR | 0700);
	umask(0777);
	OK(mkdir("z", 0777));
	EQUAL(stat_of("z").st_mode, S_IFDIR | 0);
}

/* Linux takes permissions and the sticky bit from the mode, no set-id bits. */
static void setid_bits_of_mode_are_ignored(void)
{
	OK(mkdir("a", 06755));
	EQUAL(stat_of("a").st_mode, S_IFDIR | 0755);
	OK(mkdir("b", 07700));
	EQUAL(stat_of("b").st_mode, S_IFDIR | 01700);
}

static void owner_is_the_effective_user(void)
{
	struct stat st;

	make_dir("d", 0777);
	OK(mkdir("d/root", 0755));
	EQUAL(stat_of("d/root").st_uid, 0);
	AS_USER(USER, GROUP_A, 0) OK(mkdir("d/sub", 0755));
	st = stat_of("d/sub");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	OK(setegid(GROUP_A));
	OK(seteuid(USER));
	OK(mkdir("d/eff", 0755));
	st = stat_of("d/eff");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	OK(seteuid(0));
}

static void setgid_is_inherited(void)
{
	struct stat st;

	make_dir("d", 0755);
	OK(chown("d", USER, GROUP_A));
	OK(chmod("d", 02777));
	AS_USER(USER, USER, 0)
	{
		OK(mkdir("d/sub", 0755));
		OK(mkdir("d/sub/sub", 0700));
	}
	st = stat_of("d/sub");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	EQUAL(st.st_mode, S_IFDIR | 02755);
	EQUAL(stat_of("d/sub/sub").st_gid, GROUP_A);
	EQUAL(stat_of("d/sub/sub").st_mode, S_IFDIR | 02700);
}

static void setgid_of_own_directory(void)
{
	OK(chmod(".", 02755));
	OK(mkdir("d", 0711));
	EQUAL(stat_of("d").st_mode, S_IFDIR | 02711);
	EQUAL(stat_of("d").st_gid, stat_of(".").st_gid);
	OK(chmod(".", 0755));
	OK(mkdir("e", 0711));
	EQUAL(stat_of("e").st_mode, S_IFDIR | 0711);
}

static void link_counts(void)
{
	nlink_t before = stat_of(".").st_nlink;

	OK(mkdir("d", 0755));
	EQUAL(stat_of("d").st_nlink, 2);
	EQUAL(stat_of(".").st_nlink, before + 1);
	OK(mkdir("d/a", 0755));
	OK(mkdir("d/b", 0755));
	make_file("d/f", 0644);
	EQUAL(stat_of("d").st_nlink, 4);
	OK(rmdir("d/a"));
	EQUAL(stat_of("d").st_nlink, 3);
}

static void dot_and_dotdot(void)
{
	OK(mkdir("d", 0755));
	OK(mkdir("d/e", 0755));
	EQUAL(stat_of("d/.").st_ino, stat_of("d").st_ino);
	EQUAL(stat_of("d/e/..").st_ino, stat_of("d").st_ino);
	EQUAL(stat_of("d/..").st_ino, stat_of(".").st_ino);
	EQUAL(stat_of("d/e").st_dev, stat_of(".").st_dev);
}

static void trailing_slashes(void)
{
	OK(mkdir("d/", 0755));
	OK(mkdir("d//e//", 0755));
	EQUAL(stat_of("d/e/").st_mode, S_IFDIR | 0755);
}

static void at_directory(void)
{
	int d, f;

	OK(mkdir("d", 0755));
	make_file("f", 0644);
	d = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	f = (int)OK(open("f", O_RDONLY));
	OK(mkdirat(d, "sub", 0755));
	TRUE(exists("d/sub"));
	FAILS(mkdirat(f, "sub", 0755), ENOTDIR);
	FAILS(mkdirat(-1, "sub", 0755), EBADF);
	OK(rmdir("d/sub"));
	OK(rmdir("d"));
	FAILS(mkdirat(d, "sub", 0755), ENOENT); /* the directory is gone */
}

static void eexist(void)
{
	make_file("f", 0644);
	OK(mkdir("d", 0755));
	OK(mkfifo("p", 0644));
	OK(symlink("d", "l"));
	OK(symlink("none", "dangling"));
	FAILS(mkdir("f", 0755), EEXIST);
	FAILS(mkdir("d", 0755), EEXIST);
	FAILS(mkdir("d/", 0755), EEXIST);
	FAILS(mkdir("p", 0755), EEXIST);
	FAILS(mkdir("l", 0755), EEXIST);
	FAILS(mkdir("dangling", 0755), EEXIST);
	FAILS(mkdir(".", 0755), EEXIST);
	FAILS(mkdir("..", 0755), EEXIST);
	FAILS(mkdir("/", 0755), EEXIST);
	TRUE(!exists("none"));
}

static void errors_of_paths(void)
{
	make_file("f", 0644);
	FAILS(mkdir("f/d", 0755), ENOTDIR);
	FAILS(mkdir("none/d", 0755), ENOENT);
	FAILS(mkdir("", 0755), ENOENT);
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(mkdir("a/d", 0755), ELOOP);
	FAILS(syscall(SYS_mkdirat, AT_FDCWD, (void *)-1, 0755), EFAULT);
}

static void enametoolong(void)
{
	OK(mkdir(name_of_length(255), 0755));
	TRUE(exists(name_of_length(255)));
	FAILS(mkdir(name_of_length(256), 0755), ENAMETOOLONG);
	OK(mkdir(path_of_length(4095), 0755));
	OK(rmdir("x"));
	FAILS(mkdir(path_of_length(4096), 0755), ENAMETOOLONG);
}

static void eacces(void)
{
	make_dir("w", 0755);
	make_dir("x", 0766);
	make_dir("g", 0770);
	OK(chown("g", 0, GROUP_A));
	AS_USER(USER, USER, 0)
	{
		FAILS(mkdir("w/d", 0755), EACCES); /* no write */
		FAILS(mkdir("x/d", 0755), EACCES); /* no search */
		FAILS(mkdir("g/d", 0755), EACCES);
		FAILS(mkdir("w", 0755), EEXIST);
	}
	AS_USER(USER, USER, GROUP_A) OK(mkdir("g/d", 0755));
	EQUAL(stat_of("g/d").st_gid, USER);
}

static void times_of_success(void)
{
	struct stat dot, d;

	make_file("f", 0644);
	dot = stat_of(".");
	tick();
	OK(mkdir("d", 0755));
	TRUE(later(stat_of(".").st_mtim, dot.st_mtim) && later(stat_of(".").st_ctim, dot.st_ctim));
	d = stat_of("d");
	TRUE(later(d.st_atim, dot.st_ctim) && later(d.st_mtim, dot.st_ctim));
	TRUE(later(d.st_ctim, dot.st_ctim));
}

static void nothing_changes_on_failure(void)
{
	struct stat dot, d;

	OK(mkdir("d", 0755));
	dot = stat_of(".");
	d = stat_of("d");
	tick();
	FAILS(mkdir("d", 0700), EEXIST);
	FAILS(mkdir(name_of_length(256), 0700), ENAMETOOLONG);
	TRUE(!strcmp(changed_times(&dot, "."), ""));
	TRUE(!strcmp(changed_times(&d, "d"), ""));
	EQUAL(stat_of(".").st_nlink, dot.st_nlink);
	EQUAL(stat_of("d").st_mode, S_IFDIR | 0755);
}

static void deep(void)
{
	enum { DEPTH = 300 };
	ino_t top = stat_of(".").st_ino;

	for (int n = 0; n < DEPTH; n++) {
		OK(mkdir("deeper", 0755));
		OK(chdir("deeper"));
	}
	for (int n = 0; n < DEPTH; n++) {
		OK(chdir(".."));
		OK(rmdir("deeper"));
	}
	EQUAL(stat_of(".").st_ino, top);
}

const struct test_case mkdir_cases[] = {
	{ "mode_and_umask", mode_and_umask, false },
	{ "setid_bits_of_mode_are_ignored", setid_bits_of_mode_are_ignored, false },
	{ "owner_is_the_effective_user", owner_is_the_effective_user, true },
	{ "setgid_is_inherited", setgid_is_inherited, true },
	{ "setgid_of_own_directory", setgid_of_own_directory, false },
	{ "link_counts", link_counts, false },
	{ "dot_and_dotdot", dot_and_dotdot, false },
	{ "trailing_slashes", trailing_slashes, false },
	{ "at_directory", at_directory, false },
	{ "eexist", eexist, false },
	{ "errors_of_paths", errors_of_paths, false },
	{ "enametoolong", enametoolong, false },
	{ "eacces", eacces, true },
	{ "times_of_success", times_of_success, false },
	{ "nothing_changes_on_failure", nothing_changes_on_failure, false },
	{ "deep", deep, false },
	{ 0 },
};
