/* SPDX-License-Identifier: MIT */
/* Comparing what the filesystem shows with the reference. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"

void check_stat(const struct stat *st, const struct node *n, const char *what)
{
	if (st->st_mode != n->mode)
		differ("%s: mode %#o, want %#o", what, st->st_mode, n->mode);
	if (st->st_nlink != n->nlink)
		differ("%s: nlink %lu, want %u", what, (unsigned long)st->st_nlink, n->nlink);
	if (!S_ISDIR(n->mode) && st->st_size != n->size)
		differ("%s: size %lld, want %lld", what, (long long)st->st_size,
		       (long long)n->size);
	if (st->st_uid != n->uid || st->st_gid != n->gid)
		differ("%s: owner %u:%u, want %u:%u", what, st->st_uid, st->st_gid, n->uid, n->gid);
	if (n->mtime_known &&
	    (st->st_mtim.tv_sec != n->mtime.tv_sec || st->st_mtim.tv_nsec != n->mtime.tv_nsec))
		differ("%s: mtime %lld.%09ld, want %lld.%09ld as set", what,
		       (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		       (long long)n->mtime.tv_sec, n->mtime.tv_nsec);
}

void check_bytes(const uint8_t *got, const struct node *n, off_t off, size_t len, const char *what)
{
	const uint8_t *want = n->data;
	size_t i = 0, bad = 0;

	if (!len || !memcmp(got, want + off, len))
		return;
	want += off;
	while (got[i] == want[i])
		i++;
	for (size_t k = i; k < len; k++)
		bad += got[k] != want[k];
	differ("%s: byte %lld is %02x, want %02x; %zu of the %zu bytes from %lld differ; size %lld",
	       what, (long long)off + (long long)i, got[i], want[i], bad, len, (long long)off,
	       (long long)n->size);
}

void check_content(int fd, const struct node *n, const char *what)
{
	ssize_t got = pread(fd, W.buf, MAX_SIZE, 0);

	expect(got, 0, what);
	if (got != n->size)
		differ("%s: read %zd bytes, want %lld", what, got, (long long)n->size);
	check_bytes(W.buf, n, 0, (size_t)got, what);
}

static unsigned char dtype(const struct node *n)
{
	return (unsigned char)IFTODT(n->mode);
}

static void check_dirent(struct node *dir, const struct dirent *e, const char *path)
{
	struct node *n = lookup(dir, e->d_name);

	if (!n)
		differ("%s lists \"%s\", which should not exist", path, e->d_name);
	if (e->d_type != dtype(n) && e->d_type != DT_UNKNOWN)
		differ("%s lists \"%s\" with type %d, want %d", path, e->d_name, e->d_type,
		       dtype(n));
}

/* Read on from a told position, twice: both times the same names must come. */
static void check_seek_back(DIR *d, const char *path, int nents)
{
	char name[8][256];
	struct dirent *e;
	long pos;
	int n = 0;

	rewinddir(d);
	for (unsigned skip = below((unsigned)nents + 2); skip; skip--)
		expect(readdir(d) ? 0 : -1, 0, "readdir after rewinddir");
	pos = telldir(d);
	while (n < 8 && (e = readdir(d)))
		snprintf(name[n++], sizeof(name[0]), "%s", e->d_name);
	seekdir(d, pos);
	for (int i = 0; i < n; i++) {
		e = readdir(d);
		if (!e || strcmp(e->d_name, name[i]))
			differ("%s: after seekdir back \"%s\" came, want \"%s\"", path,
			       e ? e->d_name : "(end)", name[i]);
	}
}

void check_listing(struct node *dir, bool seek_back)
{
	char seen[256] = { 0 }, path[PATH_CAP];
	int n = 0, dots = 0;
	struct dirent *e;
	DIR *d;

	dir_path(dir, path);
	d = opendir(path);
	expect(d ? 0 : -1, 0, "opendir");
	while (errno = 0, (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) {
			dots++;
			continue;
		}
		check_dirent(dir, e, path);
		for (int i = 0; i < dir->nents && i < 256; i++)
			if (!strcmp(dir->ents[i].name, e->d_name) && seen[i]++)
				differ("%s lists \"%s\" twice", path, e->d_name);
		n++;
	}
	expect(errno ? -1 : 0, 0, "readdir");
	if (n != dir->nents || dots != 2)
		differ("%s lists %d names and %d dots, want %d and 2", path, n, dots, dir->nents);
	if (seek_back)
		check_seek_back(d, path, dir->nents);
	closedir(d);
}

static void check_symlink(const char *path, const struct node *n)
{
	char target[4200];
	ssize_t len = readlink(path, target, sizeof(target));

	expect(len, 0, "readlink");
	if (len != n->size || memcmp(target, n->target, (size_t)len))
		differ("%s: target of %zd bytes, want %lld, or other bytes", path, len,
		       (long long)n->size);
}

static void check_node(const char *path, struct node *n)
{
	struct stat st;

	expect(lstat(path, &st), 0, path);
	check_stat(&st, n, path);
	check_xattrs(path, n);
	if (S_ISLNK(n->mode)) {
		check_symlink(path, n);
	} else if (S_ISREG(n->mode)) {
		int fd = open(path, O_RDONLY);

		expect(fd, 0, path);
		/* Written back and dropped: then the filesystem answers, not the page cache. */
		if (chance(30))
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		check_content(fd, n, path);
		close(fd);
	}
}

void check_tree(void)
{
	char path[PATH_CAP], child[PATH_CAP + 260];

	for (int i = 0; i < W.ndirs; i++) {
		struct node *d = W.dirs[i];

		dir_path(d, path);
		check_listing(d, true);
		if (!d->parent)
			check_node(path, d);
		for (int k = 0; k < d->nents; k++) {
			snprintf(child, sizeof(child), "%s/%s", path, d->ents[k].name);
			check_node(child, d->ents[k].node);
		}
	}
}

void remount(void)
{
	int rc;

	for (int i = 0; i < MAX_HANDLES; i++)
		if (W.h[i].node)
			handle_close(&W.h[i]);
	if (!W.remount)
		return;
	note("remount: %s", W.remount);
	fflush(NULL);
	rc = system(W.remount);
	if (rc)
		differ("remount command ended with status %d",
		       WIFEXITED(rc) ? WEXITSTATUS(rc) : rc);
	for (int i = 0; i < W.ndirs; i++)
		for (int k = 0; k < W.dirs[i]->nents; k++)
			W.dirs[i]->ents[k].node->map_dirty = false;
}
