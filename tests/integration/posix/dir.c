/* SPDX-License-Identifier: MIT */
/* dir.c - what directories list. */
#include <dirent.h>
#include <sys/syscall.h>

#include "posix.h"

enum { MANY = 1000 };

static DIR *open_dir(const char *name)
{
	DIR *dir = opendir(name);

	if (!dir)
		failed(__FILE__, __LINE__, "opendir %s: %s", name, strerror(errno));
	return dir;
}

/* How often the name is listed. */
static int times_listed(const char *path, const char *name)
{
	DIR *dir = open_dir(path);
	struct dirent *e;
	int n = 0;

	while ((e = readdir(dir)))
		n += strcmp(e->d_name, name) == 0;
	closedir(dir);
	return n;
}

static const char *numbered(int n)
{
	static char name[64];

	/* Of different lengths, so that records do not end at the same places. */
	snprintf(name, sizeof(name), "d/%d%.*s", n, n % 31, "----------------------------------");
	return name;
}

static void make_many(void)
{
	make_dir("d", 0755);
	for (int n = 0; n < MANY; n++)
		make_file(numbered(n), 0644);
}

/* Mark what is listed; returns how many entries were not the dots. */
static int count_into(DIR *dir, int counts[MANY])
{
	struct dirent *e;
	int total = 0;

	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		counts[atoi(e->d_name)]++;
		total++;
	}
	return total;
}

static void many_once(void)
{
	int counts[MANY] = { 0 };
	DIR *dir;

	make_many();
	dir = open_dir("d");
	EQUAL(count_into(dir, counts), MANY);
	for (int n = 0; n < MANY; n++)
		EQUAL(counts[n], 1);
	rewinddir(dir);
	EQUAL(count_into(dir, counts), MANY);
	closedir(dir);
}

static void rewind_sees_news(void)
{
	int counts[MANY] = { 0 };
	DIR *dir;

	make_dir("d", 0755);
	dir = open_dir("d");
	EQUAL(count_into(dir, counts), 0);
	make_file(numbered(7), 0644);
	rewinddir(dir);
	EQUAL(count_into(dir, counts), 1);
	OK(unlink(numbered(7)));
	rewinddir(dir);
	EQUAL(count_into(dir, counts), 0);
	closedir(dir);
}

static void tell_and_seek(void)
{
	static struct {
		long at;
		char name[64];
	} seen[MANY + 2];
	struct dirent *e;
	size_t total = 0;
	DIR *dir;

	make_many();
	dir = open_dir("d");
	for (;;) {
		long at = telldir(dir);

		e = readdir(dir);
		if (!e)
			break;
		TRUE(total < MANY + 2);
		seen[total].at = at;
		snprintf(seen[total++].name, sizeof(seen[0].name), "%.63s", e->d_name);
	}
	EQUAL(total, MANY + 2);
	for (size_t n = 0; n < total; n += 37) {
		size_t i = (n * 7919) % total;

		seekdir(dir, seen[i].at);
		e = readdir(dir);
		TRUE(e);
		TRUE(strcmp(e->d_name, seen[i].name) == 0);
	}
	closedir(dir);
}

/* rm -r: what is not removed yet is still listed, everything once. */
static void unlink_while_listing(void)
{
	struct dirent *e;
	int total = 0;
	DIR *dir;

	make_many();
	dir = open_dir("d");
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		OK(unlinkat(dirfd(dir), e->d_name, 0));
		total++;
	}
	EQUAL(total, MANY);
	closedir(dir);
	OK(rmdir("d"));
}

/* Names that come and go while others list do not disturb those that stay. */
static void change_while_listing(void)
{
	int counts[MANY] = { 0 }, total = 0;
	struct dirent *e;
	char name[32];
	DIR *dir;

	make_many();
	dir = open_dir("d");
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || e->d_name[0] == 'n')
			continue;
		counts[atoi(e->d_name)]++;
		snprintf(name, sizeof(name), "d/new%d", total % 10);
		if (total++ % 20 < 10)
			make_file(name, 0644);
		else
			OK(unlink(name));
		TRUE(total <= MANY);
	}
	for (int n = 0; n < MANY; n++)
		EQUAL(counts[n], 1);
	closedir(dir);
}

static void all_bytes(void)
{
	char name[8];

	make_dir("d", 0755);
	OK(chdir("d"));
	for (int n = 1; n < 256; n++) {
		if (n == '/')
			continue;
		snprintf(name, sizeof(name), "x%cy", n);
		make_file(name, 0644);
		EQUAL(times_listed(".", name), 1);
		FAILS(mkdir(name, 0755), EEXIST);
	}
	for (int n = 1; n < 256; n++) {
		if (n == '/')
			continue;
		snprintf(name, sizeof(name), "x%cy", n);
		OK(unlink(name));
		EQUAL(times_listed(".", name), 0);
	}
}

/* Names are bytes: no case folding, no normal forms. */
static void unicode(void)
{
	static const char *const names[] = {
		"\xc3\xa4",
		"a\xcc\x88",
		"\xc3\x84",
		"A",
		"a",
		"\xff\xfe",
		"\xe6\x97\xa5\xe6\x9c\xac",
		"\xf0\x9f\x98\x80",
		"e\xcc\x81",
		"\xc3\xa9",
		" ",
		"\n",
		"-rf",
		"*",
		"\\",
	};
	const size_t n_names = sizeof(names) / sizeof(*names);

	make_dir("d", 0755);
	OK(chdir("d"));
	for (size_t n = 0; n < n_names; n++)
		write_file(names[n], names[n]);
	for (size_t n = 0; n < n_names; n++) {
		expect_content(names[n], names[n]);
		EQUAL(times_listed(".", names[n]), 1);
	}
}

static void long_names(void)
{
	char name[300];

	make_dir("d", 0755);
	OK(chdir("d"));
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	for (char c = 'a'; c <= 'z'; c++) {
		name[254] = c;
		make_file(name, 0644);
	}
	for (char c = 'a'; c <= 'z'; c++) {
		name[254] = c;
		EQUAL(times_listed(".", name), 1);
	}
	name[255] = 'n';
	name[256] = 0;
	FAILS(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
}

static void types_and_numbers(void)
{
	struct dirent *e;
	struct stat st;
	int total = 0;
	DIR *dir;

	make_dir("d", 0755);
	make_file("d/file", 0644);
	make_dir("d/dir", 0755);
	OK(symlink("x", "d/link"));
	OK(mkfifo("d/fifo", 0644));
	OK(mknod("d/sock", S_IFSOCK | 0644, 0));
	OK(link("d/file", "d/hard"));
	dir = open_dir("d");
	while ((e = readdir(dir))) {
		OK(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
		if (strcmp(e->d_name, "..") != 0)
			EQUAL(e->d_ino, st.st_ino);
		if (e->d_type != DT_UNKNOWN)
			EQUAL(DTTOIF(e->d_type), st.st_mode & S_IFMT);
		total++;
	}
	EQUAL(total, 8);
	closedir(dir);
}

static void dots(void)
{
	make_dir("d", 0755);
	make_dir("d/e", 0755);
	EQUAL(times_listed("d/e", "."), 1);
	EQUAL(times_listed("d/e", ".."), 1);
	EQUAL(stat_of("d/e/.").st_ino, stat_of("d/e").st_ino);
	EQUAL(stat_of("d/e/..").st_ino, stat_of("d").st_ino);
	EQUAL(stat_of("d/e/../../d/e").st_ino, stat_of("d/e").st_ino);
}

static void links_of_directories(void)
{
	make_dir("d", 0755);
	EQUAL(stat_of("d").st_nlink, 2);
	make_dir("d/a", 0755);
	make_dir("d/b", 0755);
	make_file("d/f", 0644);
	OK(symlink("a", "d/s"));
	EQUAL(stat_of("d").st_nlink, 4);
	EQUAL(stat_of("d/a").st_nlink, 2);
	OK(rmdir("d/a"));
	EQUAL(stat_of("d").st_nlink, 3);
}

static void removed_current_directory(void)
{
	char buf[4096];

	make_dir("d", 0755);
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(open("a", O_CREAT | O_WRONLY, 0644), ENOENT);
	FAILS(mkdir("a", 0755), ENOENT);
	FAILS(mkfifo("a", 0644), ENOENT);
	FAILS(access("a", F_OK), ENOENT);
	FAILS(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
	EQUAL(times_listed(".", "a"), 0);
	OK(chdir(".."));
	FAILS(chdir("d"), ENOENT);
}

static void errors(void)
{
	char buf[1024];
	int fd;

	make_file("f", 0644);
	TRUE(!opendir("none") && errno == ENOENT);
	TRUE(!opendir("f") && errno == ENOTDIR);
	fd = (int)OK(open("f", O_RDONLY));
	FAILS(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOTDIR);
	fd = (int)OK(open(".", O_RDONLY));
	FAILS(syscall(SYS_getdents64, fd, buf, 1), EINVAL);
	FAILS(syscall(SYS_getdents64, fd, -1L, 1024), EFAULT);
	FAILS(read(fd, buf, 10), EISDIR);
	FAILS(open(".", O_WRONLY), EISDIR);
	FAILS(chdir("f"), ENOTDIR);
}

/* Deeper than PATH_MAX, one step at a time. */
static void deep(void)
{
	enum { LEVELS = 60 };
	const char *name = name_of_length(200);

	for (int n = 0; n < LEVELS; n++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	write_file("bottom", "text");
	expect_content("bottom", "text");
	OK(unlink("bottom"));
	for (int n = 0; n < LEVELS; n++) {
		OK(chdir(".."));
		OK(rmdir(name));
	}
}

static void permissions(void)
{
	make_dir("list", 0744);
	make_file("list/f", 0666);
	make_dir("search", 0711);
	make_file("search/f", 0666);
	AS_USER(65534, 65534, 0)
	{
		struct stat st;

		EQUAL(times_listed("list", "f"), 1);
		FAILS(stat("list/f", &st), EACCES);
		FAILS(chdir("list"), EACCES);
		TRUE(!opendir("search") && errno == EACCES);
		OK(stat("search/f", &st));
	}
}

const struct test_case dir_cases[] = {
	{ "many_once", many_once, false },
	{ "rewind_sees_news", rewind_sees_news, false },
	{ "tell_and_seek", tell_and_seek, false },
	{ "unlink_while_listing", unlink_while_listing, false },
	{ "change_while_listing", change_while_listing, false },
	{ "all_bytes", all_bytes, false },
	{ "unicode", unicode, false },
	{ "long_names", long_names, false },
	{ "types_and_numbers", types_and_numbers, false },
	{ "dots", dots, false },
	{ "links_of_directories", links_of_directories, false },
	{ "removed_current_directory", removed_current_directory, false },
	{ "errors", errors, false },
	{ "deep", deep, false },
	{ "permissions", permissions, true },
	{ 0 },
};
