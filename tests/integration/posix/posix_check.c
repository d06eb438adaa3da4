/* SPDX-License-Identifier: MIT */
/*
 * posix_check DIR [NAME...] - does the filesystem of DIR do what POSIX and Linux define? Runs all
 * cases, or those whose names begin with NAME, each in a new directory below DIR. Failures print
 * "not ok NAME: ..."; exit status 0 when none failed.
 */
#include <ftw.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "posix.h"

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 77, CASE_SECONDS = 200 };

static const char *current = "";

static const struct {
	const char *name;
	const struct test_case *cases;
} tables[] = {
	{ "chmod", chmod_cases },
	{ "chown", chown_cases },
	{ "open", open_cases },
	{ "truncate", truncate_cases },
	{ "utimensat", utimensat_cases },
	{ "mkdir", mkdir_cases },
	{ "mknod", mknod_cases },
	{ "link", link_cases },
	{ "unlink", unlink_cases },
	{ "rename", rename_cases },
	{ "rmdir", rmdir_cases },
	{ "symlink", symlink_cases },
	{ "xattr", xattr_cases },
	{ "data", data_cases },
	{ "dir", dir_cases },
	{ "lock", lock_cases },
};

void failed(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	va_list ap;

	printf("not ok %s: %s:%d: ", current, base ? base + 1 : file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(EXIT_FAILED);
}

void skip(const char *why)
{
	printf("skip %s: %s\n", current, why);
	fflush(stdout);
	_exit(EXIT_SKIPPED);
}

bool user_begin(uid_t uid, gid_t gid, gid_t extra)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)OK(fork());
	if (!pid) {
		OK(setgroups(extra != 0, &extra));
		OK(setresgid(gid, gid, gid));
		OK(setresuid(uid, uid, uid));
		return true;
	}
	OK(waitpid(pid, &status, 0));
	if (!WIFEXITED(status))
		failed(__FILE__, __LINE__, "the child of the case was killed by signal %d",
		       WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	return false;
}

bool user_end(void)
{
	fflush(stdout);
	_exit(0);
}

void make_file(const char *name, mode_t mode)
{
	int fd = (int)OK(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600));

	OK(fchmod(fd, mode));
	OK(close(fd));
}

void make_dir(const char *name, mode_t mode)
{
	OK(mkdir(name, 0700));
	OK(chmod(name, mode));
}

void write_file(const char *name, const char *content)
{
	int fd = (int)OK(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	EQUAL(write(fd, content, strlen(content)), strlen(content));
	OK(close(fd));
}

void expect_content(const char *name, const char *content)
{
	char got[4096];
	int fd = (int)OK(open(name, O_RDONLY));
	ssize_t n = OK(read(fd, got, sizeof(got)));

	OK(close(fd));
	EQUAL(n, strlen(content));
	TRUE(memcmp(got, content, (size_t)n) == 0);
}

struct stat stat_of(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return st;
}

bool exists(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

const char *name_of_length(size_t n)
{
	static char name[5000];

	memset(name, 'a', n);
	name[n] = 0;
	return name;
}

const char *path_of_length(size_t n)
{
	static char path[10000];
	size_t at = 0;

	while (at + 2 < n) {
		path[at++] = '.';
		path[at++] = '/';
	}
	while (at < n)
		path[at++] = 'x';
	path[at] = 0;
	return path;
}

void tick(void)
{
	usleep(20000);
}

int later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

const char *changed_times(const struct stat *before, const char *name)
{
	static char which[4];
	struct stat now = stat_of(name);
	char *p = which;

	if (later(now.st_atim, before->st_atim))
		*p++ = 'a';
	if (later(now.st_mtim, before->st_mtim))
		*p++ = 'm';
	if (later(now.st_ctim, before->st_ctim))
		*p++ = 'c';
	*p = 0;
	return which;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* One case: 0 passed, 1 failed, 77 skipped. */
static int run_case(const struct test_case *c, const char *dir)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(CASE_SECONDS);
		umask(022);
		OK(mkdir(dir, 0755));
		OK(chdir(dir));
		if (c->root && getuid() != 0)
			skip("only root can");
		c->run();
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return EXIT_FAILED;
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("not ok %s: killed by signal %d\n", current, WTERMSIG(status));
	return EXIT_FAILED;
}

static bool wanted(int argc, char **argv, const char *name)
{
	for (int n = 2; n < argc; n++)
		if (strncmp(name, argv[n], strlen(argv[n])) == 0)
			return true;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failures = 0, skipped = 0;
	char dir[4096], name[200];

	if (argc < 2) {
		fprintf(stderr, "usage: posix_check DIR [NAME...]\n");
		return 2;
	}
	current = name;
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct test_case *c = tables[t].cases; c->name; c++) {
			int r;

			snprintf(name, sizeof(name), "%s.%s", tables[t].name, c->name);
			if (!wanted(argc, argv, name))
				continue;
			snprintf(dir, sizeof(dir), "%s/%s.%d", argv[1], name, (int)getpid());
			r = run_case(c, dir);
			passed += r == 0;
			skipped += r == EXIT_SKIPPED;
			failures += r != 0 && r != EXIT_SKIPPED;
		}
	printf("%u passed, %u failed, %u skipped\n", passed, failures, skipped);
	return failures || !passed ? EXIT_FAILED : 0;
}
