/* SPDX-License-Identifier: MIT */
/* acl.c - the cases of xattr.c about POSIX ACLs, written by hand in the kernel's binary form. */
#include <sys/xattr.h>

#include "acl.h"

enum { NOBODY = 65534, OTHER = 65533 };

/* Numbers of the format of the xattrs system.posix_acl_*, version 2, little-endian. */
enum {
	ACL_VERSION = 2,
	USER_OBJ = 0x01,
	USER = 0x02,
	GROUP_OBJ = 0x04,
	GROUP = 0x08,
	MASK = 0x10,
	OTHERS = 0x20
};

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct acl_entry entries[16];
};

static const char access_acl[] = "system.posix_acl_access";
static const char default_acl[] = "system.posix_acl_default";

#define NO_ID 0xffffffffU

static int set_acl(const char *path, const char *which, const struct acl_entry *entries, size_t n)
{
	struct acl acl = { .version = ACL_VERSION };

	memcpy(acl.entries, entries, n * sizeof(*entries));
	return setxattr(path, which, &acl, sizeof(acl.version) + n * sizeof(*entries), 0);
}

/* The permissions of an entry; -1: there is none, or no such ACL. */
static int perm_in(const char *path, const char *which, uint16_t tag, uint32_t id)
{
	struct acl acl;
	ssize_t size = getxattr(path, which, &acl, sizeof(acl));
	size_t n = size < 4 ? 0 : ((size_t)size - 4) / sizeof(struct acl_entry);

	for (size_t i = 0; i < n; i++)
		if (acl.entries[i].tag == tag && (id == NO_ID || acl.entries[i].id == id))
			return acl.entries[i].perm;
	return -1;
}

static void create(const char *path, mode_t mode)
{
	int fd = (int)OK(open(path, O_CREAT | O_EXCL | O_WRONLY, mode));

	OK(close(fd));
}

/* u::rw-,u:OTHER:rw-,g::r--,m::rw-,o::--- */
static const struct acl_entry for_other[] = {
	{ USER_OBJ, 6, NO_ID }, { USER, 6, OTHER },   { GROUP_OBJ, 4, NO_ID },
	{ MASK, 6, NO_ID },	{ OTHERS, 0, NO_ID },
};

#define SET_ACL(path, which, acl) set_acl(path, which, acl, sizeof(acl) / sizeof(*(acl)))

void acl_and_mode(void)
{
	make_file("f", 0600);
	FAILS(getxattr("f", access_acl, NULL, 0), ENODATA);
	OK(SET_ACL("f", access_acl, for_other));
	EQUAL(stat_of("f").st_mode & 07777, 0660); /* the group bits show the mask */
	EQUAL(getxattr("f", access_acl, NULL, 0), 4 + 5 * 8);
	EQUAL(perm_in("f", access_acl, USER, OTHER), 6);
	OK(chmod("f", 0741));
	EQUAL(perm_in("f", access_acl, USER_OBJ, NO_ID), 7);
	EQUAL(perm_in("f", access_acl, MASK, NO_ID), 4);
	EQUAL(perm_in("f", access_acl, OTHERS, NO_ID), 1);
	EQUAL(perm_in("f", access_acl, GROUP_OBJ, NO_ID), 4);
	EQUAL(perm_in("f", access_acl, USER, OTHER), 6);
	TRUE(listed("f", access_acl));
}

/* What says no more than a mode becomes the mode. */
void acl_minimal(void)
{
	static const struct acl_entry minimal[] = { { USER_OBJ, 7, NO_ID },
						    { GROUP_OBJ, 5, NO_ID },
						    { OTHERS, 1, NO_ID } };

	make_file("f", 0600);
	OK(SET_ACL("f", access_acl, minimal));
	EQUAL(stat_of("f").st_mode & 07777, 0751);
	FAILS(getxattr("f", access_acl, NULL, 0), ENODATA);
	TRUE(!listed("f", access_acl));
}

void acl_removal(void)
{
	make_file("f", 0600);
	OK(SET_ACL("f", access_acl, for_other));
	OK(removexattr("f", access_acl));
	FAILS(getxattr("f", access_acl, NULL, 0), ENODATA);
	EQUAL(stat_of("f").st_mode & 07777, 0660);
	make_dir("d", 0755);
	OK(SET_ACL("d", default_acl, for_other));
	OK(removexattr("d", default_acl));
	FAILS(getxattr("d", default_acl, NULL, 0), ENODATA);
	EQUAL(stat_of("d").st_mode & 07777, 0755);
}

void acl_invalid(void)
{
	static const struct acl_entry no_mask[] = { { USER_OBJ, 7, NO_ID },
						    { USER, 5, OTHER },
						    { GROUP_OBJ, 5, NO_ID },
						    { OTHERS, 1, NO_ID } };
	static const struct acl_entry order[] = { { GROUP_OBJ, 5, NO_ID },
						  { USER_OBJ, 7, NO_ID },
						  { OTHERS, 1, NO_ID } };
	static const struct acl_entry no_owner[] = { { GROUP_OBJ, 5, NO_ID },
						     { OTHERS, 1, NO_ID } };
	static const struct acl_entry bad_perm[] = { { USER_OBJ, 9, NO_ID },
						     { GROUP_OBJ, 5, NO_ID },
						     { OTHERS, 1, NO_ID } };
	static const struct acl_entry bad_tag[] = { { USER_OBJ, 7, NO_ID },
						    { GROUP_OBJ, 5, NO_ID },
						    { 0x40, 1, NO_ID } };
	static const char truncated[10] = { ACL_VERSION };
	static const char version[4] = { 9 };

	make_file("f", 0600);
	FAILS(SET_ACL("f", access_acl, no_mask), EINVAL);
	FAILS(SET_ACL("f", access_acl, order), EINVAL);
	FAILS(SET_ACL("f", access_acl, no_owner), EINVAL);
	FAILS(SET_ACL("f", access_acl, bad_perm), EINVAL);
	FAILS(SET_ACL("f", access_acl, bad_tag), EINVAL);
	FAILS(setxattr("f", access_acl, truncated, sizeof(truncated), 0), EINVAL);
	FAILS(setxattr("f", access_acl, version, sizeof(version), 0), EOPNOTSUPP);
	FAILS(SET_ACL("f", default_acl, for_other), EACCES); /* directories alone have one */
	EQUAL(stat_of("f").st_mode & 07777, 0600);
	FAILS(getxattr("f", access_acl, NULL, 0), ENODATA);
}

/* A file: mode of creation & ACL, the umask counts for nothing. */
void acl_inherited_by_file(void)
{
	make_dir("d", 0755);
	OK(SET_ACL("d", default_acl, for_other));
	FAILS(getxattr("d", access_acl, NULL, 0), ENODATA);
	umask(077);
	create("d/f", 0664);
	EQUAL(stat_of("d/f").st_mode & 07777, 0660);
	EQUAL(perm_in("d/f", access_acl, USER, OTHER), 6);
	FAILS(getxattr("d/f", default_acl, NULL, 0), ENODATA);
	create("d/g", 0640);
	EQUAL(stat_of("d/g").st_mode & 07777, 0640);
	EQUAL(perm_in("d/g", access_acl, MASK, NO_ID), 4);
	EQUAL(perm_in("d/g", access_acl, USER, OTHER), 6);
	OK(mkfifo("d/fifo", 0666));
	EQUAL(stat_of("d/fifo").st_mode & 07777, 0660);
	OK(symlink("f", "d/s"));
	EQUAL(stat_of("d/s").st_mode & 07777, 0777);
}

void acl_inherited_by_directory(void)
{
	make_dir("d", 0755);
	OK(SET_ACL("d", default_acl, for_other));
	umask(077);
	OK(mkdir("d/e", 0777));
	EQUAL(stat_of("d/e").st_mode & 07777, 0660);
	EQUAL(perm_in("d/e", access_acl, USER, OTHER), 6);
	EQUAL(perm_in("d/e", default_acl, USER, OTHER), 6);
	EQUAL(perm_in("d/e", default_acl, MASK, NO_ID), 6);
	OK(chmod("d/e", 0700));
	EQUAL(perm_in("d/e", access_acl, MASK, NO_ID), 0);
	EQUAL(perm_in("d/e", default_acl, MASK, NO_ID), 6);
}

/* A default ACL without named entries: no ACL for the new file, only its mode. */
void acl_default_minimal(void)
{
	static const struct acl_entry minimal[] = { { USER_OBJ, 6, NO_ID },
						    { GROUP_OBJ, 6, NO_ID },
						    { OTHERS, 4, NO_ID } };

	make_dir("d", 0755);
	OK(SET_ACL("d", default_acl, minimal));
	umask(077);
	create("d/f", 0666);
	EQUAL(stat_of("d/f").st_mode & 07777, 0664);
	FAILS(getxattr("d/f", access_acl, NULL, 0), ENODATA);
	create("d/g", 0600);
	EQUAL(stat_of("d/g").st_mode & 07777, 0600);
}

void acl_decides(void)
{
	static const struct acl_entry groups[] = {
		{ USER_OBJ, 6, NO_ID }, { USER, 0, OTHER }, { GROUP_OBJ, 0, NO_ID },
		{ GROUP, 4, 4242 },	{ MASK, 7, NO_ID }, { OTHERS, 6, NO_ID },
	};

	make_file("f", 0600);
	OK(SET_ACL("f", access_acl, for_other));
	AS_USER(OTHER, OTHER, 0)
	{
		OK(open("f", O_RDWR));
	}
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(open("f", O_RDONLY), EACCES);
		FAILS(SET_ACL("f", access_acl, for_other), EPERM);
	}
	OK(chmod("f", 0640)); /* the mask takes it away */
	AS_USER(OTHER, OTHER, 0)
	{
		OK(open("f", O_RDONLY));
		FAILS(open("f", O_WRONLY), EACCES);
	}
	OK(SET_ACL("f", access_acl, groups));
	AS_USER(OTHER, OTHER, 4242)
	{
		FAILS(open("f", O_RDONLY), EACCES); /* the user's entry comes first */
	}
	AS_USER(NOBODY, NOBODY, 4242)
	{
		OK(open("f", O_RDONLY));
		FAILS(open("f", O_WRONLY), EACCES);
	}
	AS_USER(NOBODY, NOBODY, 0)
	{
		OK(open("f", O_RDWR));
	}
}

void acl_on_directory(void)
{
	static const struct acl_entry search[] = {
		{ USER_OBJ, 7, NO_ID }, { USER, 7, OTHER },   { GROUP_OBJ, 0, NO_ID },
		{ MASK, 7, NO_ID },	{ OTHERS, 0, NO_ID },
	};

	make_dir("d", 0700);
	make_file("d/f", 0644);
	OK(SET_ACL("d", access_acl, search));
	AS_USER(OTHER, OTHER, 0)
	{
		OK(open("d/f", O_RDONLY));
		OK(unlink("d/f"));
	}
	AS_USER(NOBODY, NOBODY, 0)
	{
		FAILS(open("d/f", O_RDONLY), EACCES);
		FAILS(mkdir("d/e", 0755), EACCES);
	}
}

/* Set-group-ID goes when the one who sets the ACL is not in the file's group. */
void acl_clears_set_group_id(void)
{
	make_file("f", 0600);
	OK(chown("f", NOBODY, 4242));
	OK(chmod("f", 02660));
	OK(SET_ACL("f", access_acl, for_other));
	EQUAL(stat_of("f").st_mode & 07777, 02660);
	AS_USER(NOBODY, NOBODY, 0)
	{
		OK(SET_ACL("f", access_acl, for_other));
	}
	EQUAL(stat_of("f").st_mode & 07777, 0660);
}
