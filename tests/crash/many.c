/* SPDX-License-Identifier: MIT */
/* many create|list|stat|unlink DIR N: a directory of N empty files; prints what each step took. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crashlib.h"

static int dfd;

static void name_of(char name[32], unsigned long i)
{
	snprintf(name, 32, "file-%07lu", i);
}

static void each(unsigned long n, const char *what)
{
	for (unsigned long i = 0; i < n; i++) {
		struct stat st;
		char name[32];
		int rc;

		name_of(name, i);
		if (!strcmp(what, "create")) {
			rc = openat(dfd, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
			if (rc >= 0)
				rc = close(rc);
		} else if (!strcmp(what, "stat")) {
			rc = fstatat(dfd, name, &st, AT_SYMLINK_NOFOLLOW);
			if (!rc && (!S_ISREG(st.st_mode) || st.st_size || st.st_nlink != 1))
				die("stat %s: mode %#o size %lld nlink %lu", name, st.st_mode,
				    (long long)st.st_size, (unsigned long)st.st_nlink);
		} else {
			rc = unlinkat(dfd, name, 0);
		}
		if (rc < 0)
			die("%s %s: %m", what, name);
	}
}

/* Each name once, and no other. */
static void list(unsigned long n)
{
	unsigned char *seen = calloc(n + 1, 1);
	DIR *d = fdopendir(dup(dfd));
	unsigned long count = 0, i;
	struct dirent *e;

	if (!d || !seen)
		die("opendir: %m");
	while (errno = 0, (e = readdir(d))) {
		char name[32];

		if (e->d_name[0] == '.')
			continue;
		if (sscanf(e->d_name, "file-%lu", &i) != 1 || i >= n)
			die("list: %s should not exist", e->d_name);
		name_of(name, i);
		if (strcmp(name, e->d_name) || seen[i]++)
			die("list: %s is wrong or comes twice", e->d_name);
		count++;
	}
	if (errno)
		die("readdir: %m");
	if (count != n)
		die("list: %lu names, want %lu", count, n);
	closedir(d);
	free(seen);
}

int main(int argc, char **argv)
{
	unsigned long n = argc == 4 ? strtoul(argv[3], NULL, 0) : 0;
	double t = now();

	if (argc != 4)
		die("usage: many create|list|stat|unlink DIR N");
	dfd = open(argv[2], O_RDONLY | O_DIRECTORY);
	if (dfd < 0)
		die("%s: %m", argv[2]);
	if (!strcmp(argv[1], "list"))
		list(n);
	else if (!strcmp(argv[1], "create") || !strcmp(argv[1], "stat") ||
		 !strcmp(argv[1], "unlink"))
		each(n, argv[1]);
	else
		die("usage: many create|list|stat|unlink DIR N");
	t = now() - t;
	printf("%-7s %8lu files %7.2f s %9.0f/s\n", argv[1], n, t, t > 0 ? (double)n / t : 0.0);
	return 0;
}
