// SPDX-License-Identifier: MIT
/* The measured operations on small files: COUNT files for each job, in a directory of its own. */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_FILES 10000u
#define DIR_NAME 64

static void dir_name(char name[DIR_NAME], const struct task *t, unsigned int job)
{
	snprintf(name, DIR_NAME, "files-%u-%u-%u-%u", t->size, t->jobs, t->round, job);
}

static void file_name(char name[16], unsigned int i)
{
	snprintf(name, 16, "f%07u", i);
}

/* A pass may be the first of its process, or one of many. */
static void enter(const struct task *t)
{
	static bool inside;
	char name[DIR_NAME];

	dir_name(name, t, t->job);
	if (!inside && chdir(name) < 0)
		die("%s: cannot enter", name);
	inside = true;
}

static struct result all(const struct task *t, bool data)
{
	return (struct result){ .ops = t->count, .bytes = data ? (uint64_t)t->count * t->size : 0 };
}

static struct result create_pass(struct task *t, int fd)
{
	char name[16];

	enter(t);
	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL);
		stamp_block(t->buf, t->size, i);
		write_at(fd, name, t->buf, t->size, 0);
		close_file(fd, name);
	}
	return all(t, true);
}

static struct result stat_pass(struct task *t, int fd)
{
	char name[16];
	struct stat st;

	(void)fd;
	enter(t);
	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		if (stat(name, &st) < 0)
			die("%s: cannot stat", name);
		errno = 0;
		if (st.st_size != t->size)
			die("%s: size is %lld, not %u", name, (long long)st.st_size, t->size);
	}
	return all(t, false);
}

static struct result read_pass(struct task *t, int fd)
{
	char name[16];

	enter(t);
	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		fd = open_file(name, O_RDONLY);
		read_at(fd, name, t->buf, t->size, 0);
		check_block(t->buf, t->size, i, name);
		close_file(fd, name);
	}
	return all(t, true);
}

static struct result list_pass(struct task *t, int fd)
{
	unsigned int found = 0;
	DIR *dir;

	(void)fd;
	enter(t);
	dir = opendir(".");
	if (!dir)
		die("cannot list the files");
	errno = 0;
	for (struct dirent *de; (de = readdir(dir));)
		found += de->d_name[0] == 'f';
	if (found != t->count)
		die("%u entries listed, not %u", found, t->count);
	closedir(dir);
	return all(t, false);
}

static struct result unlink_pass(struct task *t, int fd)
{
	char name[16];

	(void)fd;
	enter(t);
	for (unsigned int i = 0; i < t->count; i++) {
		file_name(name, i);
		if (unlink(name) < 0)
			die("%s: cannot unlink", name);
	}
	return all(t, false);
}

struct result op_create(struct task *t)
{
	char name[DIR_NAME];

	for (unsigned int job = 0; job < t->jobs; job++) {
		dir_name(name, t, job);
		if (mkdir(name, 0755) < 0)
			die("%s: cannot make the directory", name);
	}
	return once(t, create_pass, -1);
}

struct result op_stat_warm(struct task *t)
{
	return repeat(t, stat_pass, -1);
}

struct result op_stat_once(struct task *t)
{
	return once(t, stat_pass, -1);
}

struct result op_read_warm(struct task *t)
{
	return repeat(t, read_pass, -1);
}

struct result op_read_once(struct task *t)
{
	return once(t, read_pass, -1);
}

struct result op_list_once(struct task *t)
{
	return once(t, list_pass, -1);
}

struct result op_unlink(struct task *t)
{
	int top = open_file(".", O_RDONLY | O_DIRECTORY);
	struct result r = once(t, unlink_pass, -1);
	char name[DIR_NAME];

	for (unsigned int job = 0; job < t->jobs; job++) {
		dir_name(name, t, job);
		if (unlinkat(top, name, AT_REMOVEDIR) < 0)
			die("%s: cannot remove the directory", name);
	}
	close(top);
	return r;
}

/* Many inodes: COUNT empty files in all, DIR_FILES of them in a directory. */

static void many_name(char name[32], unsigned int i)
{
	snprintf(name, 32, "many/%u/f%u", i / DIR_FILES, i);
}

static struct result make_many_pass(struct task *t, int fd)
{
	struct result r = { 0 };
	char name[32];

	(void)fd;
	for (unsigned int i = t->job; i < t->count; i += t->jobs) {
		many_name(name, i);
		if (mknod(name, S_IFREG | 0644, 0) < 0)
			die("%s: cannot make the file", name);
		r.ops++;
	}
	return r;
}

static struct result stat_many_pass(struct task *t, int fd)
{
	struct result r = { 0 };
	struct stat st;
	char name[32];

	(void)fd;
	for (unsigned int i = t->job; i < t->count; i += t->jobs) {
		many_name(name, i);
		if (stat(name, &st) < 0)
			die("%s: cannot stat", name);
		r.ops++;
	}
	return r;
}

struct result op_make_many(struct task *t)
{
	char name[32];

	if (mkdir("many", 0755) < 0)
		die("many: cannot make the directory");
	for (unsigned int i = 0; i < t->count; i += DIR_FILES) {
		snprintf(name, sizeof(name), "many/%u", i / DIR_FILES);
		if (mkdir(name, 0755) < 0)
			die("%s: cannot make the directory", name);
	}
	return once(t, make_many_pass, -1);
}

struct result op_stat_many(struct task *t)
{
	return once(t, stat_many_pass, -1);
}
