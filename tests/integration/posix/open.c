/* SPDX-License-Identifier: MIT */
/* open.c - open, openat, creat: creation, flags, special files, permissions, errors, times. */
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "posix.h"

enum { USER = 65534, OTHER = 65533, GROUP_A = 65530, PAGE = 4096 };

static int opened(const char *name, int flags, mode_t mode)
{
	int fd = open(name, flags, mode);

	if (fd >= 0)
		OK(close(fd));
	return fd;
}

static void mode_and_umask(void)
{
	OK(opened("a", O_WRONLY | O_CREAT, 0666));
	EQUAL(stat_of("a").st_mode, S_IFREG | 0644);
	EQUAL(stat_of("a").st_size, 0);
	EQUAL(stat_of("a").st_blocks, 0);
	EQUAL(stat_of("a").st_nlink, 1);
	umask(0);
	OK(opened("b", O_RDWR | O_CREAT, 0777));
	EQUAL(stat_of("b").st_mode, S_IFREG | 0777);
	OK(opened("s", O_RDWR | O_CREAT, 01644));
	EQUAL(stat_of("s").st_mode, S_IFREG | 01644);
	OK(opened("u", O_RDWR | O_CREAT, 04755));
	EQUAL(stat_of("u").st_mode, S_IFREG | 04755);
	umask(0077);
	OK(opened("c", O_RDWR | O_CREAT, 0765));
	EQUAL(stat_of("c").st_mode, S_IFREG | 0700);
	OK(opened("b", O_RDWR | O_CREAT, 0600)); /* which exists: its mode stays */
	EQUAL(stat_of("b").st_mode, S_IFREG | 0777);
}

static void owner(void)
{
	struct stat st;

	make_dir("d", 0777);
	AS_USER(USER, GROUP_A, 0) OK(opened("d/f", O_WRONLY | O_CREAT, 0644));
	st = stat_of("d/f");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	OK(chown("d", 0, GROUP_A));
	OK(chmod("d", 02777));
	AS_USER(USER, USER, 0)
	{
		OK(opened("d/g", O_WRONLY | O_CREAT, 0644));
		OK(opened("d/s", O_WRONLY | O_CREAT, 02755)); /* not a member, so no set-gid */
	}
	st = stat_of("d/g");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	EQUAL(st.st_mode, S_IFREG | 0644);
	EQUAL(stat_of("d/s").st_mode, S_IFREG | 0755);
}

/* The descriptor of a creating open has its access whatever mode the new file gets. */
static void mode_does_not_limit_the_creator(void)
{
	char c;
	int fd = (int)OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0));

	EQUAL(write(fd, "x", 1), 1);
	EQUAL(pread(fd, &c, 1, 0), 1);
	EQUAL(c, 'x');
	EQUAL(stat_of("f").st_mode, S_IFREG);
	if (getuid())
		FAILS(open("f", O_RDONLY), EACCES);
}

static void exclusive(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	OK(symlink("f", "l"));
	OK(symlink("none", "dangling"));
	OK(opened("new", O_WRONLY | O_CREAT | O_EXCL, 0644));
	FAILS(open("f", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	FAILS(open("d", O_RDONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	FAILS(open("l", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	FAILS(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	TRUE(!exists("none"));
	OK(opened("dangling", O_WRONLY | O_CREAT, 0644)); /* without O_EXCL it makes the target */
	EQUAL(stat_of("none").st_mode, S_IFREG | 0644);
}

static void nofollow(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	make_file("d/f", 0644);
	OK(symlink("f", "l"));
	OK(symlink("d", "ld"));
	FAILS(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("l", O_RDWR | O_CREAT | O_NOFOLLOW, 0644), ELOOP);
	FAILS(open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	OK(open("f", O_RDONLY | O_NOFOLLOW));
	OK(open("ld/f", O_RDONLY | O_NOFOLLOW)); /* the last component alone counts */
}

static void directory(void)
{
	char c;
	int fd;

	make_dir("d", 0755);
	make_file("f", 0644);
	fd = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	FAILS(read(fd, &c, 1), EISDIR);
	OK(fsync(fd));
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("d", O_WRONLY), EISDIR);
	FAILS(open("d", O_RDWR), EISDIR);
	FAILS(open("d", O_RDONLY | O_TRUNC), EISDIR);
	FAILS(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	FAILS(open("new/", O_WRONLY | O_CREAT, 0644), EISDIR);
	FAILS(open("f/", O_RDONLY), ENOTDIR);
	OK(open("d/", O_RDONLY));
}

static void truncating(void)
{
	struct stat before;
	int fd;

	write_file("f", "content");
	before = stat_of("f");
	tick();
	OK(opened("f", O_WRONLY | O_TRUNC, 0));
	EQUAL(stat_of("f").st_size, 0);
	TRUE(!strcmp(changed_times(&before, "f"), "mc"));
	EQUAL(stat_of("f").st_ino, before.st_ino);
	write_file("f", "content");
	OK(opened("f", O_RDWR | O_TRUNC | O_CREAT, 0600));
	EQUAL(stat_of("f").st_size, 0);
	EQUAL(stat_of("f").st_mode, S_IFREG | 0644);
	write_file("f", "content");
	fd = (int)OK(creat("f", 0600));
	OK(close(fd));
	EQUAL(stat_of("f").st_size, 0);
}

static void truncating_needs_write(void)
{
	write_file("f", "content");
	OK(chmod("f", 06755));
	AS_USER(USER, USER, 0)
	{
		FAILS(open("f", O_RDONLY | O_TRUNC), EACCES);
		FAILS(open("f", O_WRONLY | O_TRUNC), EACCES);
	}
	expect_content("f", "content");
	EQUAL(stat_of("f").st_mode & 07777, 06755);
	OK(chmod("f", 06777));
	AS_USER(USER, USER, 0) OK(open("f", O_WRONLY | O_TRUNC));
	EQUAL(stat_of("f").st_mode & 07777, 0777); /* set-id bits go with the content */
	EQUAL(stat_of("f").st_size, 0);
}

static void appending(void)
{
	int a, b;

	write_file("f", "one");
	a = (int)OK(open("f", O_WRONLY | O_APPEND));
	b = (int)OK(open("f", O_RDWR | O_APPEND));
	EQUAL(write(a, " two", 4), 4);
	EQUAL(write(b, " three", 6), 6);
	EQUAL(lseek(a, 0, SEEK_SET), 0);
	EQUAL(write(a, " four", 5), 5);
	EQUAL(lseek(a, 0, SEEK_CUR), 18);
	expect_content("f", "one two three four");
	OK(ftruncate(b, 3));
	EQUAL(write(a, "!", 1), 1);
	expect_content("f", "one!");
}

static void access_modes(void)
{
	char c;
	int r, w;

	write_file("f", "x");
	r = (int)OK(open("f", O_RDONLY));
	w = (int)OK(open("f", O_WRONLY));
	FAILS(write(r, "y", 1), EBADF);
	FAILS(read(w, &c, 1), EBADF);
	EQUAL(fcntl(r, F_GETFL) & O_ACCMODE, O_RDONLY);
	EQUAL(fcntl(w, F_GETFL) & O_ACCMODE, O_WRONLY);
	FAILS(pread(r, &c, 1, -1), EINVAL);
	FAILS(pread(r, (void *)-1, 1, 0), EFAULT);
	FAILS(pwrite(w, (void *)-1, 1, 0), EFAULT);
	expect_content("f", "x");
}

static void path_descriptors(void)
{
	struct stat st;
	char c;
	int fd;

	make_file("f", 0000);
	OK(symlink("f", "l"));
	fd = (int)OK(open("f", O_PATH)); /* needs no permission of the file */
	FAILS(read(fd, &c, 1), EBADF);
	FAILS(write(fd, "x", 1), EBADF);
	FAILS(fchmod(fd, 0644), EBADF);
	OK(fstat(fd, &st));
	EQUAL(st.st_ino, stat_of("f").st_ino);
	OK(close(fd));
	fd = (int)OK(open("l", O_PATH | O_NOFOLLOW));
	OK(fstat(fd, &st));
	EQUAL(st.st_mode & S_IFMT, S_IFLNK);
	EQUAL(readlinkat(fd, "", &c, 1), 1);
	EQUAL(c, 'f');
}

static void temporary_file(void)
{
	struct stat st, dot = stat_of(".");
	char proc[64];
	int fd;

	tick();
	fd = open(".", O_TMPFILE | O_RDWR, 0666);
	if (fd < 0 && errno == EOPNOTSUPP)
		skip("this kernel has no O_TMPFILE for FUSE (Linux 6.2 has)");
	OK(fd);
	OK(fstat(fd, &st));
	EQUAL(st.st_nlink, 0);
	EQUAL(st.st_mode, S_IFREG | 0644);
	EQUAL(st.st_uid, geteuid());
	TRUE(!strcmp(changed_times(&dot, "."), ""));
	EQUAL(write(fd, "content", 7), 7);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, proc, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	EQUAL(stat_of("f").st_nlink, 1);
	EQUAL(stat_of("f").st_ino, st.st_ino);
	expect_content("f", "content");
	OK(close(fd));
	fd = (int)OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	FAILS(linkat(AT_FDCWD, proc, AT_FDCWD, "g", AT_SYMLINK_FOLLOW), ENOENT);
	FAILS(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	FAILS(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
}

static void direct(void)
{
	char *out = aligned_alloc(PAGE, 2 * PAGE), *in = aligned_alloc(PAGE, 2 * PAGE);
	int fd = (int)OK(open("f", O_RDWR | O_CREAT | O_DIRECT, 0644)), plain;

	TRUE(out && in);
	memset(out, 'o', 2 * PAGE);
	EQUAL(write(fd, out, 2 * PAGE), 2 * PAGE);
	EQUAL(pread(fd, in, 2 * PAGE, 0), 2 * PAGE);
	TRUE(!memcmp(in, out, 2 * PAGE));
	plain = (int)OK(open("f", O_RDWR));
	memset(out, 'p', PAGE);
	EQUAL(pwrite(plain, out, PAGE, PAGE), PAGE); /* is seen by the other way at once */
	EQUAL(pread(fd, in, PAGE, PAGE), PAGE);
	TRUE(!memcmp(in, out, PAGE));
	memset(out, 'q', PAGE);
	EQUAL(pwrite(fd, out, PAGE, 0), PAGE);
	EQUAL(pread(plain, in, PAGE, 0), PAGE);
	TRUE(!memcmp(in, out, PAGE));
	EQUAL(pread(fd, in, PAGE, 2 * PAGE), 0);
}

static void noatime(void)
{
	make_file("f", 0666);
	OK(chown("f", USER, USER));
	AS_USER(USER, USER, 0) OK(open("f", O_RDONLY | O_NOATIME));
	AS_USER(OTHER, USER, 0)
	{
		int fd = (int)OK(open("f", O_RDONLY));

		FAILS(open("f", O_RDONLY | O_NOATIME), EPERM);
		FAILS(fcntl(fd, F_SETFL, O_NOATIME), EPERM);
	}
	OK(open("f", O_RDONLY | O_NOATIME));
}

static void special_files(void)
{
	int r;

	OK(mkfifo("p", 0644));
	OK(mknod("s", S_IFSOCK | 0644, 0));
	FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	r = (int)OK(open("p", O_RDONLY | O_NONBLOCK));
	OK(open("p", O_WRONLY | O_NONBLOCK));
	FAILS(lseek(r, 0, SEEK_SET), ESPIPE);
	FAILS(open("s", O_RDONLY), ENXIO);
	FAILS(open("s", O_WRONLY), ENXIO);
	FAILS(open("s", O_RDWR | O_CREAT, 0644), ENXIO);
	OK(open("s", O_PATH));
}

static void permissions(void)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	static const int needs[] = { 4, 2, 6 };

	make_file("f", 0);
	for (int bits = 0; bits < 8; bits++) {
		OK(chmod("f", (mode_t)bits));
		AS_USER(USER, USER, 0) for (int n = 0; n < 3; n++)
		{
			if ((bits & needs[n]) == needs[n])
				OK(opened("f", flags[n], 0));
			else
				FAILS(open("f", flags[n]), EACCES);
		}
	}
}

static void permissions_of_directories(void)
{
	make_dir("w", 0755);
	make_dir("x", 0766);
	make_file("w/f", 0644);
	make_file("x/f", 0666);
	AS_USER(USER, USER, 0)
	{
		FAILS(open("w/new", O_WRONLY | O_CREAT, 0644), EACCES);
		FAILS(open("w/new", O_RDONLY | O_CREAT | O_EXCL, 0644), EACCES);
		FAILS(open("w", O_TMPFILE | O_RDWR, 0600), EACCES);
		OK(open("w/f", O_RDONLY | O_CREAT, 0644)); /* exists: nothing to create */
		FAILS(open("x/f", O_RDONLY), EACCES);
		FAILS(open("x/new", O_WRONLY | O_CREAT, 0644), EACCES);
		OK(open("x", O_RDONLY));
	}
	OK(chmod("w", 0711));
	AS_USER(USER, USER, 0)
	{
		FAILS(open("w", O_RDONLY), EACCES);
		OK(open("w/f", O_RDONLY));
	}
	TRUE(!exists("w/new") && !exists("x/new"));
}

static void errors_of_paths(void)
{
	make_file("f", 0644);
	make_file("x", 0644);
	FAILS(open("f/x", O_RDONLY), ENOTDIR);
	FAILS(open("f/x", O_RDWR | O_CREAT, 0644), ENOTDIR);
	FAILS(open("none", O_RDONLY), ENOENT);
	FAILS(open("none/f", O_RDWR | O_CREAT, 0644), ENOENT);
	FAILS(open("", O_RDONLY), ENOENT);
	OK(open(name_of_length(255), O_RDWR | O_CREAT, 0644));
	FAILS(open(name_of_length(256), O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
	FAILS(open(name_of_length(256), O_RDONLY), ENAMETOOLONG);
	OK(open(path_of_length(4095), O_RDONLY));
	FAILS(open(path_of_length(4096), O_RDONLY), ENAMETOOLONG);
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(open("a", O_RDONLY), ELOOP);
	FAILS(open("a", O_WRONLY | O_CREAT, 0644), ELOOP);
	FAILS(open("b/x", O_RDONLY), ELOOP);
	FAILS(syscall(SYS_openat, AT_FDCWD, (void *)-1, O_RDONLY), EFAULT);
}

static void at_directory(void)
{
	struct open_how beneath = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH };
	int d, f;

	make_dir("d", 0755);
	make_file("f", 0644);
	d = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	f = (int)OK(open("f", O_RDONLY));
	OK(openat(d, "g", O_RDWR | O_CREAT, 0644));
	TRUE(exists("d/g"));
	FAILS(openat(f, "g", O_RDONLY), ENOTDIR);
	FAILS(openat(-1, "g", O_RDONLY), EBADF);
	OK(syscall(SYS_openat2, d, "g", &beneath, sizeof(beneath)));
	FAILS(syscall(SYS_openat2, d, "../f", &beneath, sizeof(beneath)), EXDEV);
	OK(unlink("d/g"));
	OK(rmdir("d"));
	FAILS(openat(d, "g", O_RDWR | O_CREAT, 0644), ENOENT);
}

static void too_many_open(void)
{
	struct rlimit limit;
	int fd;

	make_file("f", 0644);
	fd = (int)OK(open("f", O_RDONLY));
	OK(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)fd + 1;
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	FAILS(open("f", O_RDONLY), EMFILE);
	FAILS(open("new", O_WRONLY | O_CREAT, 0644), EMFILE);
	TRUE(!exists("new"));
}

static void times_of_creation(void)
{
	struct stat dot = stat_of("."), f;

	tick();
	OK(opened("f", O_WRONLY | O_CREAT, 0644));
	TRUE(later(stat_of(".").st_mtim, dot.st_mtim) && later(stat_of(".").st_ctim, dot.st_ctim));
	f = stat_of("f");
	TRUE(later(f.st_atim, dot.st_ctim) && later(f.st_mtim, dot.st_ctim));
	TRUE(later(f.st_ctim, dot.st_ctim));
	dot = stat_of(".");
	tick();
	OK(opened("f", O_RDWR | O_CREAT, 0644)); /* exists: nothing changes */
	FAILS(open("f", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	FAILS(open(name_of_length(256), O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
	TRUE(!strcmp(changed_times(&f, "f"), ""));
	TRUE(!strcmp(changed_times(&dot, "."), ""));
}

static void truncating_what_is_empty(void)
{
	struct stat before;

	make_file("f", 0644);
	before = stat_of("f");
	tick();
	OK(opened("f", O_WRONLY | O_TRUNC, 0));
	TRUE(!strcmp(changed_times(&before, "f"), "mc"));
}

static void writing_clears_setid(void)
{
	make_file("f", 0777);
	OK(chmod("f", 06777));
	AS_USER(USER, USER, 0)
	{
		int fd = (int)OK(open("f", O_WRONLY));

		EQUAL(stat_of("f").st_mode & 07777, 06777); /* to open is not to write */
		EQUAL(write(fd, "x", 1), 1);
		EQUAL(stat_of("f").st_mode & 07777, 0777);
	}
	EQUAL(stat_of("f").st_mode & 07777, 0777);
	OK(chmod("f", 02767)); /* no execution by the group, the other meaning of S_ISGID */
	OK(chown("f", USER, USER));
	OK(chmod("f", 02767));
	AS_USER(USER, USER, 0)
	{
		int fd = (int)OK(open("f", O_WRONLY));

		EQUAL(write(fd, "y", 1), 1);
	}
	EQUAL(stat_of("f").st_mode & 07777, 02767);
}

const struct test_case open_cases[] = {
	{ "mode_and_umask", mode_and_umask, false },
	{ "owner", owner, true },
	{ "mode_does_not_limit_the_creator", mode_does_not_limit_the_creator, false },
	{ "exclusive", exclusive, false },
	{ "nofollow", nofollow, false },
	{ "directory", directory, false },
	{ "truncating", truncating, false },
	{ "truncating_needs_write", truncating_needs_write, true },
	{ "truncating_what_is_empty", truncating_what_is_empty, false },
	{ "appending", appending, false },
	{ "access_modes", access_modes, false },
	{ "path_descriptors", path_descriptors, false },
	{ "temporary_file", temporary_file, false },
	{ "direct", direct, false },
	{ "noatime", noatime, true },
	{ "special_files", special_files, false },
	{ "permissions", permissions, true },
	{ "permissions_of_directories", permissions_of_directories, true },
	{ "errors_of_paths", errors_of_paths, false },
	{ "at_directory", at_directory, false },
	{ "too_many_open", too_many_open, false },
	{ "times_of_creation", times_of_creation, false },
	{ "writing_clears_setid", writing_clears_setid, true },
	{ 0 },
};
