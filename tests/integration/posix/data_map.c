/* SPDX-License-Identifier: MIT */
/* data_map.c - the cases of data.c about mappings and about copies inside the kernel. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "data.h"

/* ---- mappings ---- */

static char *map(int fd, size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED && (flags & MAP_SHARED) && errno == ENODEV)
		skip("no shared mappings");
	TRUE(p != MAP_FAILED);
	return p;
}

void map_tail(void)
{
	int fd = new_file("f");
	char *p;

	put(fd, 0, 100, 1);
	p = map(fd, PAGE, MAP_PRIVATE);
	for (int n = 100; n < PAGE; n++)
		EQUAL(p[n], 0);
	EQUAL(p[99], (char)((99 * 7 + 1) % 251 + 1));
	p[0] = 'x'; /* private: the file has nothing of it */
	expect_put(fd, 0, 100, 0, 1);
}

void map_shared(void)
{
	int fd = new_file("f"), other = (int)OK(open("f", O_RDONLY));
	char got[8];
	char *p;

	put(fd, 0, 3 * PAGE, 1);
	p = map(fd, 3 * PAGE, MAP_SHARED);
	memcpy(p + PAGE - 2, "stored", 6);
	EQUAL(pread(fd, got, 6, PAGE - 2), 6);
	TRUE(memcmp(got, "stored", 6) == 0);
	EQUAL(pread(other, got, 6, PAGE - 2), 6);
	TRUE(memcmp(got, "stored", 6) == 0);
	EQUAL(pwrite(fd, "written", 7, 2 * PAGE), 7);
	TRUE(memcmp(p + 2 * PAGE, "written", 7) == 0);
	OK(msync(p, 3 * PAGE, MS_SYNC));
	OK(munmap(p, 3 * PAGE));
	expect_put(fd, 0, PAGE - 2, 0, 1);
	EQUAL(pread(fd, got, 7, 2 * PAGE), 7);
	TRUE(memcmp(got, "written", 7) == 0);
}

void map_outlives_descriptor(void)
{
	struct stat before;
	int fd = new_file("f");
	char *p;

	OK(ftruncate(fd, 2 * PAGE));
	p = map(fd, 2 * PAGE, MAP_SHARED);
	OK(close(fd));
	before = stat_of("f");
	tick();
	memcpy(p, "one", 3);
	OK(msync(p, 2 * PAGE, MS_SYNC));
	TRUE(strchr(changed_times(&before, "f"), 'm'));
	memcpy(p + PAGE, "two", 3);
	OK(munmap(p, 2 * PAGE));
	fd = (int)OK(open("f", O_RDONLY));
	expect_zeros(fd, 3, PAGE - 3);
	p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	TRUE(p != MAP_FAILED);
	TRUE(memcmp(p, "one", 3) == 0 && memcmp(p + PAGE, "two", 3) == 0);
}

void map_and_truncate(void)
{
	int fd = new_file("f");
	char *p;

	put(fd, 0, 4 * PAGE, 1);
	p = map(fd, 4 * PAGE, MAP_SHARED);
	p[3 * PAGE] = 'x';
	OK(ftruncate(fd, PAGE + 100));
	for (int n = 100; n < PAGE; n++)
		EQUAL(p[PAGE + n], 0);
	OK(ftruncate(fd, 4 * PAGE));
	for (int n = 100; n < 3 * PAGE; n++)
		EQUAL(p[PAGE + n], 0);
	p[2 * PAGE] = 'y';
	expect_put(fd, 0, PAGE + 100, 0, 1);
	expect_zeros(fd, 3 * PAGE, PAGE);
	expect_zeros(fd, 2 * PAGE + 1, PAGE - 1);
}

/* Stores past the end of what is cut off kill with SIGBUS. */
void map_beyond_end(void)
{
	int fd = new_file("f"), status;
	char *p;
	pid_t pid;

	OK(ftruncate(fd, 2 * PAGE));
	p = map(fd, 2 * PAGE, MAP_SHARED);
	OK(ftruncate(fd, PAGE));
	pid = (pid_t)OK(fork());
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		*(volatile char *)(p + PAGE) = 'x';
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	TRUE(WIFSIGNALED(status));
	EQUAL(WTERMSIG(status), SIGBUS);
}

/* ---- copies ---- */

void copy_range(void)
{
	off_t from = 0, to = 0;
	int a = new_file("a"), b = new_file("b");
	size_t left = 300000;

	put(a, 0, left, 1); /* dirty */
	while (left)
		left -= (size_t)OK(copy_file_range(a, &from, b, &to, left, 0));
	EQUAL(from, 300000);
	EQUAL(to, 300000);
	expect_put(b, 0, 300000, 0, 1);
	EQUAL(lseek(a, 0, SEEK_CUR), 0);
	EQUAL(copy_file_range(a, &from, b, &to, 1000, 0), 0); /* at the end of the file */
	EQUAL(stat_fd(b).st_size, 300000);
	from = 299990;
	to = 400000;
	EQUAL(copy_file_range(a, &from, b, &to, 1000, 0), 10);
	EQUAL(stat_fd(b).st_size, 400010);
	expect_zeros(b, 300000, 100000);
	expect_put(b, 400000, 10, 299990, 1);
}

void copy_range_in_place(void)
{
	off_t from = 1000, to = 1500;
	int a = new_file("a"), again = (int)OK(open("a", O_RDWR));

	put(a, 0, 100000, 1);
	FAILS(copy_file_range(a, &from, a, &to, 1000, 0), EINVAL);
	FAILS(copy_file_range(a, &from, again, &to, 1000, 0), EINVAL);
	to = 50001;
	EQUAL(copy_file_range(a, &from, a, &to, 1000, 0), 1000);
	expect_put(a, 50001, 1000, 1000, 1);
	expect_put(a, 51001, 100, 51001, 1);
	put(a, 1000, 1000, 9); /* the copy is one */
	expect_put(a, 50001, 1000, 1000, 1);
}

void copy_range_errors(void)
{
	off_t from = 0, to = 0;
	int a = new_file("a"), ro, app, dir;

	put(a, 0, 100, 1);
	make_file("b", 0644);
	ro = (int)OK(open("b", O_RDONLY));
	app = (int)OK(open("b", O_RDWR | O_APPEND));
	dir = (int)OK(open(".", O_RDONLY));
	FAILS(copy_file_range(a, &from, ro, &to, 10, 0), EBADF);
	FAILS(copy_file_range(a, &from, app, &to, 10, 0), EBADF);
	FAILS(copy_file_range(dir, &from, app, &to, 10, 0), EISDIR);
	FAILS(copy_file_range(a, &from, app, &to, 10, 77), EINVAL);
}

void send_file(void)
{
	off_t at = 1000;
	int a = new_file("a"), b = new_file("b");
	size_t left = 100000;

	put(a, 0, 101000, 1);
	while (left) {
		ssize_t n = OK(sendfile(b, a, &at, left));

		TRUE(n > 0);
		left -= (size_t)n;
	}
	EQUAL(at, 101000);
	EQUAL(stat_fd(b).st_size, 100000);
	expect_put(b, 0, 100000, 1000, 1);
}

void by_splice(void)
{
	loff_t at = 5, to = 100;
	int a = new_file("a"), b = new_file("b"), ends[2];

	put(a, 0, 10000, 1);
	OK(pipe(ends));
	EQUAL(splice(a, &at, ends[1], NULL, 4000, 0), 4000);
	EQUAL(splice(ends[0], NULL, b, &to, 4000, 0), 4000);
	expect_put(b, 100, 4000, 5, 1);
	expect_zeros(b, 0, 100);
}
