/* SPDX-License-Identifier: MIT */
/* chmod.c - chmod, fchmod, fchmodat: errors, who may, set-id bits, times. */
#include <sys/syscall.h>

#include "posix.h"

enum { USER = 65534, OTHER = 65533, MEMBER_GROUP = 65530 };

static void files_and_modes(void)
{
	static const mode_t modes[] = { 0, 0111, 0644, 0777, 01777, 04755, 06755, 0400 };

	make_file("f", 0644);
	make_dir("d", 0755);
	OK(mkfifo("p", 0644));
	for (size_t n = 0; n < sizeof(modes) / sizeof(*modes); n++) {
		OK(chmod("f", modes[n]));
		EQUAL(stat_of("f").st_mode, S_IFREG | modes[n]);
		OK(chmod("p", modes[n]));
		EQUAL(stat_of("p").st_mode, S_IFIFO | modes[n]);
		OK(chmod("d", modes[n]));
		EQUAL(stat_of("d").st_mode, S_IFDIR | modes[n]);
	}
	OK(chmod("d", 0700));
}

static void umask_is_ignored(void)
{
	make_file("f", 0600);
	umask(0777);
	OK(chmod("f", 0666));
	EQUAL(stat_of("f").st_mode & 07777, 0666);
}

static void by_descriptor(void)
{
	int fd;

	make_file("f", 0644);
	fd = (int)OK(open("f", O_RDONLY));
	OK(fchmod(fd, 0000));
	EQUAL(stat_of("f").st_mode & 07777, 0);
	OK(unlink("f"));
	OK(fchmod(fd, 0640));
	struct stat st;

	OK(fstat(fd, &st));
	EQUAL(st.st_mode & 07777, 0640);
	EQUAL(st.st_nlink, 0);
	OK(close(fd));
	FAILS(fchmod(fd, 0644), EBADF);
}

static void follows_links(void)
{
	make_file("f", 0644);
	OK(symlink("f", "l"));
	OK(chmod("l", 0600));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0600);
	EQUAL(stat_of("l").st_mode, S_IFLNK | 0777);
	FAILS(fchmodat(AT_FDCWD, "l", 0640, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	EQUAL(stat_of("f").st_mode, S_IFREG | 0600);
	OK(symlink("nowhere", "dangling"));
	FAILS(chmod("dangling", 0600), ENOENT);
}

static void enotdir(void)
{
	make_file("f", 0644);
	FAILS(chmod("f/x", 0644), ENOTDIR);
	FAILS(chmod("f/", 0644), ENOTDIR);
}

static void enametoolong(void)
{
	make_file("x", 0600);
	make_file(name_of_length(255), 0600);
	OK(chmod(name_of_length(255), 0640));
	EQUAL(stat_of(name_of_length(255)).st_mode & 07777, 0640);
	FAILS(chmod(name_of_length(256), 0640), ENAMETOOLONG);
	OK(chmod(path_of_length(4095), 0640));
	EQUAL(stat_of("x").st_mode & 07777, 0640);
	FAILS(chmod(path_of_length(4096), 0640), ENAMETOOLONG);
}

static void enoent(void)
{
	FAILS(chmod("f", 0644), ENOENT);
	FAILS(chmod("d/f", 0644), ENOENT);
	FAILS(chmod("", 0644), ENOENT);
}

static void eloop(void)
{
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(chmod("a", 0644), ELOOP);
	FAILS(chmod("b/x", 0644), ELOOP);
}

static void efault(void)
{
	FAILS(syscall(SYS_fchmodat, AT_FDCWD, (void *)-1, 0644), EFAULT);
	FAILS(syscall(SYS_fchmodat, AT_FDCWD, NULL, 0644), EFAULT);
}

static void eacces_without_search(void)
{
	make_dir("d", 0755);
	make_file("d/f", 0644);
	OK(chown("d/f", USER, USER));
	OK(chown("d", USER, USER));
	AS_USER(USER, USER, 0)
	{
		OK(chmod("d/f", 0600));
		OK(chmod("d", 0600));
		FAILS(chmod("d/f", 0644), EACCES);
		OK(chmod("d", 0100));
		OK(chmod("d/f", 0640));
	}
	EQUAL(stat_of("d/f").st_mode & 07777, 0640);
}

static void eperm_for_others(void)
{
	int fd;

	make_file("f", 0666);
	make_dir("d", 0777);
	fd = (int)OK(open("f", O_RDWR));
	AS_USER(USER, USER, 0)
	{
		FAILS(chmod("f", 0666), EPERM);
		FAILS(fchmod(fd, 0600), EPERM);
		FAILS(chmod("d", 0777), EPERM);
	}
	OK(chown("f", USER, USER));
	AS_USER(OTHER, USER, 0) FAILS(chmod("f", 0600), EPERM);
	AS_USER(USER, OTHER, 0) OK(chmod("f", 0600));
	EQUAL(stat_of("f").st_mode & 07777, 0600);
}

static void setgid_needs_membership(void)
{
	make_file("f", 0755);
	OK(chown("f", USER, MEMBER_GROUP));
	AS_USER(USER, USER, 0) OK(chmod("f", 02755));
	EQUAL(stat_of("f").st_mode & 07777, 0755);
	AS_USER(USER, USER, MEMBER_GROUP) OK(chmod("f", 02755));
	EQUAL(stat_of("f").st_mode & 07777, 02755);
	AS_USER(USER, USER, 0) OK(chmod("f", 04755));
	EQUAL(stat_of("f").st_mode & 07777, 04755);
	AS_USER(USER, MEMBER_GROUP, 0) OK(chmod("f", 06711));
	EQUAL(stat_of("f").st_mode & 07777, 06711);
	OK(chmod("f", 02644));
	EQUAL(stat_of("f").st_mode & 07777, 02644);
}

static void setgid_of_directories(void)
{
	make_dir("d", 0755);
	OK(chown("d", USER, MEMBER_GROUP));
	AS_USER(USER, USER, 0) OK(chmod("d", 02755));
	EQUAL(stat_of("d").st_mode & 07777, 0755);
	AS_USER(USER, USER, MEMBER_GROUP) OK(chmod("d", 02755));
	EQUAL(stat_of("d").st_mode & 07777, 02755);
}

static void sticky_file_of_user(void)
{
	make_file("f", 0644);
	OK(chmod("f", 01644));
	EQUAL(stat_of("f").st_mode & 07777, 01644);
	make_dir("d", 01777);
	EQUAL(stat_of("d").st_mode & 07777, 01777);
}

static void ctime_of_success(void)
{
	struct stat f, d, dot;
	int fd;

	make_file("f", 0644);
	make_dir("d", 0755);
	f = stat_of("f");
	d = stat_of("d");
	dot = stat_of(".");
	tick();
	OK(chmod("f", 0600));
	OK(chmod("d", 0700));
	TRUE(!strcmp(changed_times(&f, "f"), "c"));
	TRUE(!strcmp(changed_times(&d, "d"), "c"));
	TRUE(!strcmp(changed_times(&dot, "."), ""));
	f = stat_of("f");
	fd = (int)OK(open("f", O_RDONLY));
	tick();
	OK(fchmod(fd, 0600)); /* the same mode counts as well */
	TRUE(!strcmp(changed_times(&f, "f"), "c"));
}

static void nothing_changes_on_failure(void)
{
	struct stat f;

	make_file("f", 0644);
	f = stat_of("f");
	tick();
	AS_USER(USER, USER, 0) FAILS(chmod("f", 0666), EPERM);
	EQUAL(stat_of("f").st_mode & 07777, 0644);
	TRUE(!strcmp(changed_times(&f, "f"), ""));
}

static void open_descriptor_keeps_access(void)
{
	char c;
	int fd;

	write_file("f", "x");
	fd = (int)OK(open("f", O_RDWR));
	OK(chmod("f", 0000));
	EQUAL(OK(read(fd, &c, 1)), 1);
	EQUAL(OK(write(fd, "y", 1)), 1);
	if (getuid())
		FAILS(open("f", O_RDONLY), EACCES);
	OK(chmod("f", 0600));
	expect_content("f", "xy");
}

/* Each class of the mode decides for itself: the owner has the owner's bits only. */
static void mode_decides_access(void)
{
	make_file("f", 0077);
	OK(chown("f", USER, MEMBER_GROUP));
	AS_USER(USER, MEMBER_GROUP, 0) FAILS(open("f", O_RDONLY), EACCES);
	OK(chmod("f", 0706));
	AS_USER(OTHER, MEMBER_GROUP, 0) FAILS(open("f", O_RDONLY), EACCES);
	AS_USER(OTHER, OTHER, MEMBER_GROUP) FAILS(open("f", O_WRONLY), EACCES);
	AS_USER(OTHER, OTHER, 0) OK(open("f", O_RDWR));
	OK(chmod("f", 0040));
	AS_USER(OTHER, OTHER, MEMBER_GROUP)
	{
		OK(open("f", O_RDONLY));
		FAILS(open("f", O_WRONLY), EACCES);
		EQUAL(access("f", R_OK), 0);
		FAILS(access("f", X_OK), EACCES);
	}
	FAILS(access("f", X_OK), EACCES); /* root too needs one x bit */
	EQUAL(access("f", R_OK | W_OK), 0);
}

const struct test_case chmod_cases[] = {
	{ "files_and_modes", files_and_modes, false },
	{ "umask_is_ignored", umask_is_ignored, false },
	{ "by_descriptor", by_descriptor, false },
	{ "follows_links", follows_links, false },
	{ "enotdir", enotdir, false },
	{ "enametoolong", enametoolong, false },
	{ "enoent", enoent, false },
	{ "eloop", eloop, false },
	{ "efault", efault, false },
	{ "eacces_without_search", eacces_without_search, true },
	{ "eperm_for_others", eperm_for_others, true },
	{ "setgid_needs_membership", setgid_needs_membership, true },
	{ "setgid_of_directories", setgid_of_directories, true },
	{ "sticky_file_of_user", sticky_file_of_user, false },
	{ "ctime_of_success", ctime_of_success, false },
	{ "nothing_changes_on_failure", nothing_changes_on_failure, true },
	{ "open_descriptor_keeps_access", open_descriptor_keeps_access, false },
	{ "mode_decides_access", mode_decides_access, true },
	{ 0 },
};
