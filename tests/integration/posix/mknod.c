/* SPDX-License-Identifier: MIT */
/* mknod.c - mknod, mkfifo: types, device numbers, owner, mode, times, errors. */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "posix.h"

enum { USER = 65534, GROUP_A = 65530 };

static void fifos(void)
{
	struct stat st;

	OK(mkfifo("p", 0640));
	st = stat_of("p");
	EQUAL(st.st_mode, S_IFIFO | 0640);
	EQUAL(st.st_nlink, 1);
	EQUAL(st.st_size, 0);
	OK(mknod("q", S_IFIFO | 0777, 0));
	EQUAL(stat_of("q").st_mode, S_IFIFO | 0755);
}

static void fifo_carries_data(void)
{
	char got[10];
	int r, w;

	OK(mkfifo("p", 0600));
	r = (int)OK(open("p", O_RDONLY | O_NONBLOCK));
	w = (int)OK(open("p", O_WRONLY | O_NONBLOCK));
	EQUAL(write(w, "hello", 5), 5);
	EQUAL(read(r, got, sizeof(got)), 5);
	TRUE(!memcmp(got, "hello", 5));
	OK(close(w));
	EQUAL(read(r, got, sizeof(got)), 0);
	EQUAL(stat_of("p").st_size, 0);
}

static void regular_files(void)
{
	OK(mknod("f", S_IFREG | 0644, 0));
	EQUAL(stat_of("f").st_mode, S_IFREG | 0644);
	OK(mknod("g", 0600, 0)); /* no type: a regular file */
	EQUAL(stat_of("g").st_mode, S_IFREG | 0600);
	write_file("g", "content");
	expect_content("g", "content");
}

static void sockets(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "bound" };
	int server, client;

	OK(mknod("s", S_IFSOCK | 0600, 0));
	EQUAL(stat_of("s").st_mode, S_IFSOCK | 0600);
	FAILS(open("s", O_RDONLY), ENXIO);
	server = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(server, (struct sockaddr *)&addr, sizeof(addr)));
	EQUAL(stat_of("bound").st_mode & S_IFMT, S_IFSOCK);
	OK(listen(server, 1));
	client = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(client, (struct sockaddr *)&addr, sizeof(addr)));
	OK(close(client));
	client = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(unlink("bound"));
	FAILS(connect(client, (struct sockaddr *)&addr, sizeof(addr)), ENOENT);
	OK(close(server));
}

static void devices(void)
{
	static const unsigned numbers[][2] = {
		{ 1, 3 }, { 8, 0 }, { 0xfff, 0xfffff }, { 0, 1 }, { 259, 70000 }
	};
	char name[] = "c0";

	for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
		dev_t dev = makedev(numbers[n][0], numbers[n][1]);

		name[1] = (char)('0' + n);
		name[0] = 'c';
		OK(mknod(name, S_IFCHR | 0600, dev));
		EQUAL(stat_of(name).st_mode, S_IFCHR | 0600);
		EQUAL(stat_of(name).st_rdev, dev);
		name[0] = 'b';
		OK(mknod(name, S_IFBLK | 0660, dev));
		EQUAL(stat_of(name).st_mode, S_IFBLK | 0640);
		EQUAL(stat_of(name).st_rdev, dev);
	}
}

static void device_number_stays(void)
{
	dev_t dev = makedev(7, 300);

	OK(mknod("b", S_IFBLK | 0600, dev));
	OK(chmod("b", 0644));
	OK(chown("b", USER, GROUP_A));
	OK(rename("b", "c"));
	OK(link("c", "d"));
	EQUAL(stat_of("d").st_rdev, dev);
	EQUAL(stat_of("d").st_nlink, 2);
	EQUAL(stat_of("d").st_mode, S_IFBLK | 0644);
}

static void eperm_for_devices(void)
{
	make_dir("d", 0777);
	AS_USER(USER, USER, 0)
	{
		FAILS(mknod("d/c", S_IFCHR | 0600, makedev(1, 3)), EPERM);
		FAILS(mknod("d/b", S_IFBLK | 0600, makedev(1, 3)), EPERM);
		OK(mknod("d/p", S_IFIFO | 0600, 0));
		OK(mknod("d/s", S_IFSOCK | 0600, 0));
		OK(mknod("d/f", S_IFREG | 0600, 0));
	}
	TRUE(!exists("d/c") && !exists("d/b"));
}

static void wrong_types(void)
{
	if (getuid() == 0)
		FAILS(mknod("d", S_IFDIR | 0755, 0), EPERM);
	FAILS(mknod("l", S_IFLNK | 0755, 0), EINVAL);
	FAILS(mknod("x", S_IFMT | 0755, 0), EINVAL);
	TRUE(!exists("d") && !exists("l") && !exists("x"));
}

static void umask_and_setid(void)
{
	umask(0027);
	OK(mkfifo("p", 0777));
	EQUAL(stat_of("p").st_mode, S_IFIFO | 0750);
	umask(0);
	OK(mknod("f", S_IFREG | 07777, 0));
	EQUAL(stat_of("f").st_mode, S_IFREG | 07777);
}

static void owner(void)
{
	struct stat st;

	make_dir("d", 0777);
	AS_USER(USER, GROUP_A, 0) OK(mkfifo("d/p", 0644));
	st = stat_of("d/p");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	OK(chown("d", 0, GROUP_A));
	OK(chmod("d", 02777));
	AS_USER(USER, USER, 0) OK(mkfifo("d/q", 0644));
	st = stat_of("d/q");
	EQUAL(st.st_uid, USER);
	EQUAL(st.st_gid, GROUP_A);
	EQUAL(st.st_mode, S_IFIFO | 0644);
}

static void eexist(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	OK(mkfifo("p", 0644));
	OK(symlink("none", "dangling"));
	FAILS(mkfifo("f", 0644), EEXIST);
	FAILS(mkfifo("d", 0644), EEXIST);
	FAILS(mkfifo("p", 0644), EEXIST);
	FAILS(mkfifo("dangling", 0644), EEXIST);
	FAILS(mknod("f", S_IFREG | 0644, 0), EEXIST);
	TRUE(!exists("none"));
}

static void errors_of_paths(void)
{
	make_file("f", 0644);
	FAILS(mkfifo("f/p", 0644), ENOTDIR);
	FAILS(mkfifo("none/p", 0644), ENOENT);
	FAILS(mkfifo("", 0644), ENOENT);
	FAILS(mkfifo("p/", 0644), ENOENT);
	OK(mkfifo(name_of_length(255), 0644));
	FAILS(mkfifo(name_of_length(256), 0644), ENAMETOOLONG);
	OK(mkfifo(path_of_length(4095), 0644));
	TRUE(exists("x"));
	FAILS(mkfifo(path_of_length(4096), 0644), ENAMETOOLONG);
	OK(symlink("a", "b"));
	OK(symlink("b", "a"));
	FAILS(mkfifo("a/p", 0644), ELOOP);
	FAILS(syscall(SYS_mknodat, AT_FDCWD, (void *)-1, S_IFIFO | 0644, 0), EFAULT);
}

static void eacces(void)
{
	make_dir("w", 0755);
	make_dir("x", 0766);
	AS_USER(USER, USER, 0)
	{
		FAILS(mkfifo("w/p", 0644), EACCES);
		FAILS(mkfifo("x/p", 0644), EACCES);
		FAILS(mknod("w/s", S_IFSOCK | 0644, 0), EACCES);
		FAILS(mknod("w/f", S_IFREG | 0644, 0), EACCES);
	}
}

static void times_of_success(void)
{
	struct stat dot = stat_of("."), p;

	tick();
	OK(mkfifo("p", 0644));
	TRUE(later(stat_of(".").st_mtim, dot.st_mtim) && later(stat_of(".").st_ctim, dot.st_ctim));
	p = stat_of("p");
	TRUE(later(p.st_atim, dot.st_ctim) && later(p.st_mtim, dot.st_ctim));
	TRUE(later(p.st_ctim, dot.st_ctim));
	EQUAL(stat_of(".").st_nlink, dot.st_nlink);
}

static void nothing_changes_on_failure(void)
{
	struct stat dot, p;

	OK(mkfifo("p", 0644));
	dot = stat_of(".");
	p = stat_of("p");
	tick();
	FAILS(mkfifo("p", 0600), EEXIST);
	TRUE(!strcmp(changed_times(&dot, "."), ""));
	TRUE(!strcmp(changed_times(&p, "p"), ""));
	EQUAL(stat_of("p").st_mode, S_IFIFO | 0644);
}

const struct test_case mknod_cases[] = {
	{ "fifos", fifos, false },
	{ "fifo_carries_data", fifo_carries_data, false },
	{ "regular_files", regular_files, false },
	{ "sockets", sockets, false },
	{ "devices", devices, true },
	{ "device_number_stays", device_number_stays, true },
	{ "eperm_for_devices", eperm_for_devices, true },
	{ "wrong_types", wrong_types, false },
	{ "umask_and_setid", umask_and_setid, false },
	{ "owner", owner, true },
	{ "eexist", eexist, false },
	{ "errors_of_paths", errors_of_paths, false },
	{ "eacces", eacces, true },
	{ "times_of_success", times_of_success, false },
	{ "nothing_changes_on_failure", nothing_changes_on_failure, false },
	{ 0 },
};
