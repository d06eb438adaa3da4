/* SPDX-License-Identifier: MIT */
/* xattr.c - extended attributes; POSIX ACLs are in acl.c. */
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "acl.h"

enum { NOBODY = 65534 };

bool listed(const char *path, const char *name)
{
	char list[8192];
	ssize_t size = OK(llistxattr(path, list, sizeof(list)));

	for (char *p = list; p < list + size; p += strlen(p) + 1)
		if (strcmp(p, name) == 0)
			return true;
	return false;
}

static void basic(void)
{
	char got[64];

	make_file("f", 0644);
	OK(setxattr("f", "user.a", "value", 5, 0));
	EQUAL(getxattr("f", "user.a", NULL, 0), 5);
	EQUAL(getxattr("f", "user.a", got, sizeof(got)), 5);
	TRUE(memcmp(got, "value", 5) == 0);
	OK(setxattr("f", "user.a", "x", 1, 0));
	EQUAL(getxattr("f", "user.a", got, sizeof(got)), 1);
	OK(setxattr("f", "user.empty", "", 0, 0));
	EQUAL(getxattr("f", "user.empty", got, sizeof(got)), 0);
	TRUE(listed("f", "user.a") && listed("f", "user.empty"));
	OK(removexattr("f", "user.a"));
	FAILS(getxattr("f", "user.a", got, sizeof(got)), ENODATA);
	FAILS(removexattr("f", "user.a"), ENODATA);
	TRUE(!listed("f", "user.a") && listed("f", "user.empty"));
}

static void create_and_replace(void)
{
	char got[8];

	make_file("f", 0644);
	FAILS(setxattr("f", "user.a", "1", 1, XATTR_REPLACE), ENODATA);
	OK(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	FAILS(setxattr("f", "user.a", "2", 1, XATTR_CREATE), EEXIST);
	EQUAL(getxattr("f", "user.a", got, 8), 1);
	TRUE(got[0] == '1');
	OK(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
	EQUAL(getxattr("f", "user.a", got, 8), 1);
	TRUE(got[0] == '3');
	FAILS(setxattr("f", "user.a", "4", 1, 0x80), EINVAL);
}

static void sizes(void)
{
	static char big[70000];
	char got[8], list[8];

	make_file("f", 0644);
	OK(setxattr("f", "user.a", "value", 5, 0));
	OK(setxattr("f", "user.bbbbbbbb", "value", 5, 0));
	FAILS(getxattr("f", "user.a", got, 4), ERANGE);
	FAILS(listxattr("f", list, 8), ERANGE);
	FAILS(setxattr("f", "user.big", big, 65537, 0), E2BIG);
	memset(big, 'q', sizeof(big));
	OK(setxattr("f", "user.a", big, 2000, 0));
	memset(big, 0, sizeof(big));
	EQUAL(getxattr("f", "user.a", big, sizeof(big)), 2000);
	TRUE(big[0] == 'q' && big[1999] == 'q' && big[2000] == 0);
}

static void names(void)
{
	char name[300] = "user.";

	make_file("f", 0644);
	memset(name + 5, 'n', 250);
	OK(setxattr("f", name, "1", 1, 0));
	TRUE(listed("f", name));
	EQUAL(getxattr("f", name, NULL, 0), 1);
	name[255] = 'n';
	FAILS(setxattr("f", name, "1", 1, 0), ERANGE);
	FAILS(getxattr("f", name, NULL, 0), ERANGE);
	FAILS(setxattr("f", "", "1", 1, 0), ERANGE);
	FAILS(setxattr("f", "user.", "1", 1, 0), EINVAL);
	FAILS(setxattr("f", "nosuch.a", "1", 1, 0), EOPNOTSUPP);
}

static void any_bytes(void)
{
	char name[128] = "user.", value[256], got[300];

	make_file("f", 0644);
	for (int n = 0; n < 100; n++)
		name[5 + n] = (char)(n + 128);
	for (int n = 0; n < 256; n++)
		value[n] = (char)n;
	OK(setxattr("f", name, value, 256, 0));
	EQUAL(getxattr("f", name, got, sizeof(got)), 256);
	TRUE(memcmp(got, value, 256) == 0);
	TRUE(listed("f", name));
}

static void errors(void)
{
	make_file("f", 0644);
	FAILS(setxattr("none", "user.a", "1", 1, 0), ENOENT);
	FAILS(getxattr("none", "user.a", NULL, 0), ENOENT);
	FAILS(listxattr("none", NULL, 0), ENOENT);
	FAILS(setxattr("f/a", "user.a", "1", 1, 0), ENOTDIR);
	FAILS(setxattr(name_of_length(256), "user.a", "1", 1, 0), ENAMETOOLONG);
	FAILS(syscall(SYS_setxattr, "f", "user.a", -1L, 5, 0), EFAULT);
	FAILS(syscall(SYS_setxattr, "f", -1L, "x", 1, 0), EFAULT);
	OK(setxattr("f", "user.a", "1", 1, 0));
	FAILS(syscall(SYS_getxattr, "f", "user.a", -1L, 5), EFAULT);
}

static void by_descriptor(void)
{
	int fd;

	make_file("f", 0644);
	fd = (int)OK(open("f", O_RDWR));
	OK(fsetxattr(fd, "user.a", "1", 1, 0));
	OK(unlink("f"));
	EQUAL(fgetxattr(fd, "user.a", NULL, 0), 1);
	OK(fsetxattr(fd, "user.b", "22", 2, 0));
	EQUAL(flistxattr(fd, NULL, 0), 14);
	OK(fremovexattr(fd, "user.a"));
	EQUAL(flistxattr(fd, NULL, 0), 7);
	OK(close(fd));
}

/* user.* is for files and directories alone. */
static void kinds(void)
{
	make_dir("d", 0755);
	OK(mkfifo("fifo", 0600));
	OK(symlink("d", "s"));
	OK(symlink("nowhere", "dangling"));
	OK(setxattr("d", "user.a", "1", 1, 0));
	FAILS(setxattr("fifo", "user.a", "1", 1, 0), EPERM);
	FAILS(lsetxattr("s", "user.a", "1", 1, 0), EPERM);
	FAILS(lgetxattr("s", "user.a", NULL, 0), ENODATA);
	EQUAL(getxattr("s", "user.a", NULL, 0), 1);
	FAILS(setxattr("dangling", "user.a", "1", 1, 0), ENOENT);
	EQUAL(llistxattr("dangling", NULL, 0), 0);
}

static void follow_the_inode(void)
{
	make_file("f", 0644);
	OK(setxattr("f", "user.a", "1", 1, 0));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	EQUAL(getxattr("g", "user.a", NULL, 0), 1);
	OK(removexattr("h", "user.a"));
	FAILS(getxattr("g", "user.a", NULL, 0), ENODATA);
	make_file("new", 0644);
	OK(setxattr("new", "user.b", "1", 1, 0));
	OK(rename("new", "g"));
	EQUAL(getxattr("g", "user.b", NULL, 0), 1);
}

static void times(void)
{
	struct stat st;

	make_file("f", 0644);
	st = stat_of("f");
	tick();
	OK(setxattr("f", "user.a", "1", 1, 0));
	TRUE(strcmp(changed_times(&st, "f"), "c") == 0);
	st = stat_of("f");
	tick();
	EQUAL(getxattr("f", "user.a", NULL, 0), 1);
	TRUE(strcmp(changed_times(&st, "f"), "") == 0);
	OK(removexattr("f", "user.a"));
	TRUE(strcmp(changed_times(&st, "f"), "c") == 0);
}

static void many(void)
{
	char name[32];

	make_file("f", 0644);
	for (int n = 0; n < 60; n++) {
		snprintf(name, sizeof(name), "user.attribute%02d", n);
		OK(setxattr("f", name, name, strlen(name), 0));
	}
	TRUE(listxattr("f", NULL, 0) >= 60 * 17);
	for (int n = 0; n < 60; n++) {
		snprintf(name, sizeof(name), "user.attribute%02d", n);
		TRUE(listed("f", name));
		OK(removexattr("f", name));
		TRUE(!listed("f", name));
	}
}

static void trusted(void)
{
	make_file("f", 0666);
	OK(symlink("f", "s"));
	OK(setxattr("f", "trusted.a", "1", 1, 0));
	OK(lsetxattr("s", "trusted.link", "22", 2, 0));
	TRUE(listed("f", "trusted.a"));
	TRUE(listed("s", "trusted.link") && !listed("f", "trusted.link"));
	EQUAL(getxattr("f", "trusted.a", NULL, 0), 1);
	OK(setxattr("f", "security.zctest", "1", 1, 0));
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(getxattr("f", "trusted.a", NULL, 0), ENODATA);
		FAILS(setxattr("f", "trusted.a", "2", 1, 0), EPERM);
		FAILS(removexattr("f", "trusted.a"), EPERM);
		FAILS(setxattr("f", "security.zctest", "2", 1, 0), EPERM);
		EQUAL(getxattr("f", "security.zctest", NULL, 0), 1);
		TRUE(!listed("f", "trusted.a"));
	}
	OK(removexattr("f", "trusted.a"));
	OK(removexattr("f", "security.zctest"));
}

static void permissions(void)
{
	make_file("readable", 0644);
	OK(setxattr("readable", "user.a", "1", 1, 0));
	make_file("writable", 0622);
	make_file("none", 0600);
	make_dir("sticky", 01777);
	AS_USER(NOBODY, NOBODY, 0)
	{
		EQUAL(getxattr("readable", "user.a", NULL, 0), 1);
		FAILS(setxattr("readable", "user.a", "2", 1, 0), EACCES);
		FAILS(removexattr("readable", "user.a"), EACCES);
		OK(setxattr("writable", "user.a", "2", 1, 0));
		FAILS(getxattr("writable", "user.a", NULL, 0), EACCES);
		FAILS(getxattr("none", "user.a", NULL, 0), EACCES);
		OK(listxattr("none", NULL, 0));
		FAILS(setxattr("sticky", "user.a", "2", 1, 0), EPERM);
	}
}

const struct test_case xattr_cases[] = {
	{ "basic", basic, false },
	{ "create_and_replace", create_and_replace, false },
	{ "sizes", sizes, false },
	{ "names", names, false },
	{ "any_bytes", any_bytes, false },
	{ "errors", errors, false },
	{ "by_descriptor", by_descriptor, false },
	{ "kinds", kinds, false },
	{ "follow_the_inode", follow_the_inode, false },
	{ "times", times, false },
	{ "many", many, false },
	{ "trusted", trusted, true },
	{ "permissions", permissions, true },
	{ "acl_and_mode", acl_and_mode, false },
	{ "acl_minimal", acl_minimal, false },
	{ "acl_removal", acl_removal, false },
	{ "acl_invalid", acl_invalid, false },
	{ "acl_inherited_by_file", acl_inherited_by_file, false },
	{ "acl_inherited_by_directory", acl_inherited_by_directory, false },
	{ "acl_default_minimal", acl_default_minimal, false },
	{ "acl_decides", acl_decides, true },
	{ "acl_on_directory", acl_on_directory, true },
	{ "acl_clears_set_group_id", acl_clears_set_group_id, true },
	{ 0 },
};
