/* SPDX-License-Identifier: MIT */
/* chown.c - chown, fchown, lchown, fchownat: errors, who may, set-id bits, times. */
#include <sys/syscall.h>

#include "posix.h"

enum { USER = 65534, OTHER = 65533, GROUP_A = 65530, GROUP_B = 65531 };
static const uid_t NO_UID = (uid_t)-1;
static const gid_t NO_GID = (gid_t)-1;

static void expect_owner(const char *name, uid_t uid, gid_t gid)
{
	struct stat st = stat_of(name);

	EQUAL(st.st_uid, uid);
	EQUAL(st.st_gid, gid);
}

static void all_types(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	OK(mkfifo("p", 0644));
	OK(chown("f", 123, 456));
	expect_owner("f", 123, 456);
	OK(chown("d", 4000000000U, 4000000001U));
	expect_owner("d", 4000000000U, 4000000001U);
	OK(chown("p", 1, 0));
	expect_owner("p", 1, 0);
}

static void minus_one_keeps(void)
{
	make_file("f", 0644);
	OK(chown("f", 123, 456));
	OK(chown("f", NO_UID, 9));
	expect_owner("f", 123, 9);
	OK(chown("f", 8, NO_GID));
	expect_owner("f", 8, 9);
	OK(chown("f", NO_UID, NO_GID));
	expect_owner("f", 8, 9);
}

static void by_descriptor(void)
{
	struct stat st;
	int fd;

	make_file("f", 0644);
	fd = (int)OK(open("f", O_RDONLY));
	OK(fchown(fd, 12, 34));
	expect_owner("f", 12, 34);
	OK(unlink("f"));
	OK(fchown(fd, 56, NO_GID));
	OK(fstat(fd, &st));
	EQUAL(st.st_uid, 56);
	EQUAL(st.st_gid, 34);
	OK(close(fd));
	FAILS(fchown(fd, 0, 0), EBADF);
}

static void links(void)
{
	uid_t me = geteuid();

	make_file("f", 0644);
	OK(symlink("f", "l"));
	OK(symlink("nowhere", "dangling"));
	OK(lchown("l", 21, 22));
	expect_owner("l", 21, 22);
	expect_owner("f", me, getegid());
	OK(chown("l", 31, 32));
	expect_owner("l", 21, 22);
	expect_owner("f", 31, 32);
	OK(fchownat(AT_FDCWD, "dangling", 41, 42, AT_SYMLINK_NOFOLLOW));
	expect_owner("dangling", 41, 42);
	FAILS(chown("dangling", 1, 1), ENOENT);
}

static void empty_path(void)
{
	int fd;

	make_file("f", 0644);
	OK(symlink("f", "l"));
	fd = (int)OK(open("l", O_PATH | O_NOFOLLOW));
	OK(fchownat(fd, "", 5, 6, AT_EMPTY_PATH));
	expect_owner("l", 5, 6);
	FAILS(fchown(fd, 7, 8), EBADF);
	FAILS(fchownat(AT_FDCWD, "f", 5, 6, 0x800000), EINVAL);
	expect_owner("f", 0, 0);
}

static void errors_of_paths(void)
{
	uid_t u = getuid();
	gid_t g = getgid();

	make_file("f", 0644);
	make_file("x", 0644);
	FAILS(chown("f/x", u, g), ENOTDIR);
	FAILS(lchown("f/x", u, g), ENOTDIR);
	FAILS(chown("none", u, g), ENOENT);
	FAILS(lchown("none/x", u, g), ENOENT);
	FAILS(chown("", u, g), ENOENT);
	FAILS(chown(name_of_length(256), u, g), ENAMETOOLONG);
	FAILS(lchown(name_of_length(256), u, g), ENAMETOOLONG);
	OK(chown(path_of_length(4095), u, g));
	FAILS(chown(path_of_length(4096), u, g), ENAMETOOLONG);
	FAILS(lchown(path_of_length(4096), u, g), ENAMETOOLONG);
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(chown("a", u, g), ELOOP);
	FAILS(lchown("a/x", u, g), ELOOP);
	OK(lchown("a", u, g));
	FAILS(syscall(SYS_fchownat, AT_FDCWD, (void *)-1, u, g, 0), EFAULT);
}

static void eacces_without_search(void)
{
	make_dir("d", 0755);
	make_file("d/f", 0644);
	OK(chown("d/f", USER, USER));
	OK(chmod("d", 0644));
	AS_USER(USER, USER, 0)
	{
		FAILS(chown("d/f", USER, USER), EACCES);
		FAILS(lchown("d/f", USER, USER), EACCES);
	}
}

static void eperm_of_users(void)
{
	make_file("f", 0666);
	OK(chown("f", USER, USER));
	AS_USER(USER, USER, GROUP_A)
	{
		FAILS(chown("f", OTHER, USER), EPERM);
		FAILS(chown("f", 0, NO_GID), EPERM);
		FAILS(chown("f", NO_UID, GROUP_B), EPERM);
		FAILS(chown("f", OTHER, GROUP_A), EPERM);
		FAILS(lchown("f", NO_UID, 0), EPERM);
	}
	AS_USER(OTHER, USER, GROUP_A)
	{
		FAILS(chown("f", NO_UID, GROUP_A), EPERM);
		FAILS(chown("f", OTHER, NO_GID), EPERM);
		FAILS(chown("f", USER, NO_GID), EPERM);
	}
	expect_owner("f", USER, USER);
}

static void owner_may_give_own_groups(void)
{
	make_file("f", 0644);
	OK(chown("f", USER, USER));
	OK(symlink("f", "l"));
	OK(lchown("l", USER, USER));
	AS_USER(USER, USER, GROUP_A)
	{
		OK(chown("f", NO_UID, GROUP_A));
		expect_owner("f", USER, GROUP_A);
		OK(chown("f", USER, USER));
		expect_owner("f", USER, USER);
		OK(lchown("l", USER, GROUP_A));
		expect_owner("l", USER, GROUP_A);
		expect_owner("f", USER, USER);
	}
}

static void user_may_name_what_is_there(void)
{
	uid_t u = getuid();
	gid_t g = getgid();

	make_file("f", 0644);
	OK(chown("f", u, g));
	OK(chown("f", NO_UID, NO_GID));
	OK(chown("f", u, NO_GID));
	expect_owner("f", u, g);
}

/* An executable file loses both bits; S_ISGID without group execution stays (unless not a member). */
static void owner_clears_setid(void)
{
	make_file("f", 0644);
	OK(chown("f", USER, USER));
	OK(chmod("f", 06755));
	AS_USER(USER, USER, GROUP_A) OK(chown("f", NO_UID, GROUP_A));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0755);
	OK(chmod("f", 06711));
	AS_USER(USER, USER, GROUP_A) OK(chown("f", USER, USER));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0711);
	OK(chmod("f", 02755));
	AS_USER(USER, USER, GROUP_A) OK(lchown("f", NO_UID, GROUP_A));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0755);
}

static void superuser_clears_setid_too(void)
{
	make_file("f", 0644);
	OK(chmod("f", 06755));
	OK(chown("f", USER, GROUP_A));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0755);
	OK(chmod("f", 02644)); /* no group execution: mandatory locking once, kept */
	OK(chown("f", OTHER, GROUP_B));
	EQUAL(stat_of("f").st_mode, S_IFREG | 02644);
	OK(chmod("f", 04644));
	OK(chown("f", USER, NO_GID));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0644);
}

/* Also a chown that changes neither user nor group. */
static void chown_to_nothing_clears_setid(void)
{
	struct stat f, d;

	make_file("f", 0644);
	make_dir("d", 0755);
	OK(chmod("f", 06755));
	OK(chmod("d", 06755));
	f = stat_of("f");
	d = stat_of("d");
	tick();
	OK(chown("f", NO_UID, NO_GID));
	OK(chown("d", NO_UID, NO_GID));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0755);
	TRUE(!strcmp(changed_times(&f, "f"), "c"));
	f = stat_of("f");
	tick();
	OK(chown("f", NO_UID, NO_GID)); /* nothing left to clear */
	EQUAL(stat_of("d").st_mode, S_IFDIR | 06755);
	TRUE(!strcmp(changed_times(&f, "f"), "c"));
	TRUE(!strcmp(changed_times(&d, "d"), "c"));
}

static void directories_keep_setid(void)
{
	make_dir("d", 0755);
	OK(chown("d", USER, USER));
	OK(chmod("d", 06755));
	AS_USER(USER, USER, GROUP_A) OK(chown("d", NO_UID, GROUP_A));
	EQUAL(stat_of("d").st_mode, S_IFDIR | 06755);
	OK(chown("d", OTHER, GROUP_B));
	EQUAL(stat_of("d").st_mode, S_IFDIR | 06755);
}

static void ctime_of_success(void)
{
	struct stat f, l, d, dot;
	uid_t u = getuid();
	gid_t g = getgid();

	make_file("f", 0644);
	make_dir("d", 0755);
	OK(symlink("f", "l"));
	f = stat_of("f");
	l = stat_of("l");
	d = stat_of("d");
	dot = stat_of(".");
	tick();
	OK(chown("f", u, g));
	OK(lchown("l", u, g));
	OK(chown("d", u, g));
	TRUE(!strcmp(changed_times(&f, "f"), "c"));
	TRUE(later(stat_of("l").st_ctim, l.st_ctim));
	TRUE(!later(stat_of("l").st_mtim, l.st_mtim));
	TRUE(!strcmp(changed_times(&d, "d"), "c"));
	TRUE(!strcmp(changed_times(&dot, "."), ""));
}

static void nothing_changes_on_failure(void)
{
	struct stat f;

	make_file("f", 0644);
	OK(chmod("f", 06755));
	f = stat_of("f");
	tick();
	AS_USER(USER, USER, 0) FAILS(chown("f", USER, USER), EPERM);
	EQUAL(stat_of("f").st_mode & 07777, 06755);
	expect_owner("f", 0, 0);
	TRUE(!strcmp(changed_times(&f, "f"), ""));
}

static void new_owner_counts_at_once(void)
{
	make_file("f", 0600);
	AS_USER(USER, USER, 0) FAILS(open("f", O_RDONLY), EACCES);
	OK(chown("f", USER, USER));
	AS_USER(USER, USER, 0) OK(open("f", O_RDWR));
	OK(chown("f", OTHER, GROUP_A));
	AS_USER(USER, USER, 0) FAILS(open("f", O_RDONLY), EACCES);
	OK(chmod("f", 0060));
	AS_USER(USER, USER, GROUP_A) OK(open("f", O_RDWR));
}

const struct test_case chown_cases[] = {
	{ "all_types", all_types, true },
	{ "minus_one_keeps", minus_one_keeps, true },
	{ "by_descriptor", by_descriptor, true },
	{ "links", links, true },
	{ "empty_path", empty_path, true },
	{ "errors_of_paths", errors_of_paths, false },
	{ "eacces_without_search", eacces_without_search, true },
	{ "eperm_of_users", eperm_of_users, true },
	{ "owner_may_give_own_groups", owner_may_give_own_groups, true },
	{ "user_may_name_what_is_there", user_may_name_what_is_there, false },
	{ "owner_clears_setid", owner_clears_setid, true },
	{ "superuser_clears_setid_too", superuser_clears_setid_too, true },
	{ "chown_to_nothing_clears_setid", chown_to_nothing_clears_setid, false },
	{ "directories_keep_setid", directories_keep_setid, true },
	{ "ctime_of_success", ctime_of_success, false },
	{ "nothing_changes_on_failure", nothing_changes_on_failure, true },
	{ "new_owner_counts_at_once", new_owner_counts_at_once, true },
	{ 0 },
};
