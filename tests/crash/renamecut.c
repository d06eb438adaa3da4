/* SPDX-License-Identifier: MIT */
/*
 * renamecut cut DIR HOW OLD OLDSIZE NEW NEWSIZE US PID
 *   makes "target" (version OLD, committed) unless it is there, and "source" (version NEW, not
 *   synced, open for writing); renames it over, and kills PID US microseconds after the start of
 *   that. Prints "renamed" if the rename returned, "committed" if an fsync of the directory did.
 *   Meanwhile another process commits all the time, so the kill meets commits at every stage.
 *   HOW: write, mmap, sync (written, and the directory is synced after the rename), exchange, or
 *   tmpfile: the source has no name, and is linked as "linked".
 * renamecut verify DIR OLD OLDSIZE NEW NEWSIZE
 *   prints "old" or "new"; anything else is a failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content.h"
#include "crashlib.h"

enum { FILE_ID = 77 };

static const char *dir;

static struct content state(char **argv)
{
	off_t size = strtoll(argv[1], NULL, 0);

	return (struct content){ (uint32_t)strtoul(argv[0], NULL, 0), size, size };
}

static void make_target(struct content c)
{
	int fd = open_at(dir, "target", O_RDWR), rc;

	if (fd >= 0) {
		close(fd);
		return;
	}
	fd = open_at(dir, "target", O_RDWR | O_CREAT);
	if (fd < 0)
		die("target: %s", strerror(-fd));
	rc = content_write(fd, FILE_ID, c.version, c.size);
	if (rc || fsync(fd) || sync_dir(dir))
		die("target: %s", strerror(rc ? -rc : errno));
	close(fd);
}

static int make_source(struct content c, const char *how)
{
	bool map = !strcmp(how, "mmap"), unnamed = !strcmp(how, "tmpfile");
	int fd, rc = 0;
	void *m;

	fd = open_at(dir, unnamed ? "." : "source",
		     O_RDWR | (unnamed ? O_TMPFILE : O_CREAT | O_TRUNC));

	if (fd < 0)
		die("source: %s", strerror(-fd));
	if (!map) {
		rc = content_write(fd, FILE_ID, c.version, c.size);
	} else {
		if (ftruncate(fd, c.size))
			die("source: %m");
		m = mmap(NULL, (size_t)c.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (m == MAP_FAILED)
			die("source: mmap: %m");
		/* Still mapped, as it is still open, when it is renamed. */
		content_fill(m, FILE_ID, c.version, 0, (size_t)c.size);
	}
	if (rc)
		die("source: %s", strerror(-rc));
	return fd;
}

static pid_t killer(unsigned us, pid_t victim, int *go)
{
	int p[2];
	pid_t pid;
	char c;

	if (pipe(p))
		die("pipe: %m");
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (!pid) {
		if (read(p[0], &c, 1) != 1)
			_exit(1);
		sleep_us(us);
		_exit(kill(victim, SIGKILL) ? 1 : 0);
	}
	*go = p[1];
	return pid;
}

/* Every commit takes the names as they are: also the rename, as soon as it was applied. */
static pid_t committer(void)
{
	pid_t pid = fork();
	int fd, rc = 0;

	if (pid < 0)
		die("fork: %m");
	if (pid)
		return pid;
	fd = open_at(dir, "other", O_RDWR | O_CREAT);
	if (fd < 0)
		rc = -fd;
	for (uint32_t n = 0; !rc; n++)
		if (pwrite(fd, &n, sizeof(n), 0) < 0 || fsync(fd))
			rc = errno;
	if (!is_dead(dir, rc))
		die("commits of another file: %s, but the daemon lives", strerror(rc));
	_exit(0);
}

static int replace(const char *how, int fd)
{
	char from[4096], to[4096];
	int rc;

	snprintf(from, sizeof(from), "%s/source", dir);
	snprintf(to, sizeof(to), "%s/target", dir);
	if (!strcmp(how, "tmpfile")) {
		snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
		snprintf(to, sizeof(to), "%s/linked", dir);
		rc = linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
	} else {
		rc = renameat2(AT_FDCWD, from, AT_FDCWD, to,
			       strcmp(how, "exchange") ? 0 : RENAME_EXCHANGE);
	}
	return rc ? errno : 0;
}

static int cut(char **argv)
{
	bool sync = !strcmp(argv[0], "sync");
	struct content old = state(argv + 1), new = state(argv + 3);
	int fd, go, st, rc;
	const char *what = "cut";
	double t;
	pid_t k, c;

	make_target(old);
	k = killer((unsigned)atoi(argv[5]), (pid_t)atoi(argv[6]), &go);
	fd = make_source(new, argv[0]);
	c = committer();
	t = now();
	if (write(go, "x", 1) != 1)
		die("pipe: %m");
	rc = replace(argv[0], fd);
	t = now() - t;
	if (!rc) {
		what = "renamed";
		rc = sync ? -sync_dir(dir) : 0;
		if (sync && !rc)
			what = "committed";
	}
	if (rc && !is_dead(dir, rc))
		die("rename: %s, but the daemon lives", strerror(rc));
	if (waitpid(k, &st, 0) != k || st)
		die("the daemon could not be killed");
	if (waitpid(c, &st, 0) != c || st)
		die("the process that commits ended with status %#x", (unsigned)st);
	printf("%s (rename took %.1f ms)\n", what, t * 1e3);
	close(fd);
	return 0;
}

/* A file that was linked from an unnamed one: all of it, or no such name. */
static int verify_linked(struct content new)
{
	int fd = open_at(dir, "linked", O_RDONLY), rc;
	char path[4096];

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		die("linked: %s", strerror(-fd));
	rc = content_check(fd, "linked", FILE_ID, new);
	close(fd);
	snprintf(path, sizeof(path), "%s/linked", dir);
	if (!rc && (unlink(path) || sync_dir(dir)))
		die("%s: %m", path);
	return rc;
}

static int verify(char **argv)
{
	struct content old = state(argv), new = state(argv + 2);
	int fd = open_at(dir, "target", O_RDONLY);

	if (verify_linked(new))
		return 1;
	if (fd < 0)
		die("target: %s", strerror(-fd));
	if (content_is(fd, FILE_ID, new) == 0) {
		puts("new");
	} else if (content_is(fd, FILE_ID, old) == 0) {
		puts("old");
	} else {
		fprintf(stderr,
			"target is neither the old nor the new content\nagainst the old:\n");
		content_check(fd, "target", FILE_ID, old);
		fprintf(stderr, "against the new:\n");
		content_check(fd, "target", FILE_ID, new);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die("usage: renamecut cut|verify DIR ...");
	dir = argv[2];
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(argv[1], "cut") && argc == 10)
		return cut(argv + 3);
	if (!strcmp(argv[1], "verify") && argc == 7)
		return verify(argv + 3);
	die("usage: renamecut cut|verify DIR ...");
}
