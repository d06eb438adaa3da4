/* SPDX-License-Identifier: MIT */
/* Operations on attributes: modes, owners, times, extended attributes; listings. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "model.h"

static bool any_place(struct place *p)
{
	if (chance(75))
		return place_existing(p, S_IFREG);
	return place_existing(p, S_IFDIR);
}

void op_chmod(void)
{
	mode_t mode = (mode_t)below(010000);
	struct place p;

	if (!any_place(&p))
		return;
	if (S_ISDIR(p.node->mode))
		mode &= 01777; /* a set-gid directory would pass its group on */
	if (!W.root)
		mode = (mode & 01777) | S_IRUSR | S_IWUSR | (S_ISDIR(p.node->mode) ? S_IXUSR : 0);
	note("chmod %s to %#o (was %#o)", p.path, mode, p.node->mode);
	expect(chmod(p.path, mode), 0, "chmod");
	p.node->mode = (p.node->mode & S_IFMT) | mode;
}

void op_chown(void)
{
	uid_t uid = below(5);
	gid_t gid = below(5);
	struct place p;

	if (!W.root || !(chance(15) ? place_existing(&p, S_IFLNK) : any_place(&p)))
		return;
	note("lchown %s to %u:%u (mode %#o)", p.path, uid, gid, p.node->mode);
	expect(lchown(p.path, uid, gid), 0, "lchown");
	p.node->uid = uid;
	p.node->gid = gid;
	if (!S_ISDIR(p.node->mode)) {
		/* Also for root; set-gid without group execute means something else. */
		p.node->mode &= ~(mode_t)S_ISUID;
		if (p.node->mode & S_IXGRP)
			p.node->mode &= ~(mode_t)S_ISGID;
	}
}

void op_utimens(void)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT } };
	struct place p;

	if (!(chance(15) ? place_existing(&p, S_IFLNK) : any_place(&p)))
		return;
	ts[1].tv_sec = (time_t)(rng() % 0xffffffffu) - 0x10000000;
	ts[1].tv_nsec = (long)below(1000000000);
	if (chance(50))
		ts[0] = ts[1];
	else if (chance(20))
		ts[1].tv_nsec = UTIME_NOW;
	note("utimensat %s to %lld.%09ld", p.path, (long long)ts[1].tv_sec, ts[1].tv_nsec);
	expect(utimensat(AT_FDCWD, p.path, ts, AT_SYMLINK_NOFOLLOW), 0, "utimensat");
	p.node->mtime = ts[1];
	p.node->mtime_known = ts[1].tv_nsec != UTIME_NOW && !p.node->map_dirty;
}

static void xattr_name(char *out, unsigned i)
{
	static const char *const tail[MAX_XATTRS] = { "a", "b", "c.d", "e f", "\xc3\xa9", NULL };

	if (tail[i]) {
		sprintf(out, "user.m.%s", tail[i]);
	} else {
		strcpy(out, "user.m.");
		memset(out + 7, 'x', 200);
		out[207] = 0;
	}
}

void op_setxattr(void)
{
	unsigned i = below(MAX_XATTRS);
	int flags = chance(30) ? (chance(50) ? XATTR_CREATE : XATTR_REPLACE) : 0;
	int len = chance(10) ? 0 : (int)below(XATTR_MAX + 1), want = 0;
	char name[256];
	struct place p;
	struct xattr *x;

	if (!any_place(&p))
		return;
	xattr_name(name, i);
	x = &p.node->x[i];
	if (flags == XATTR_CREATE && x->used)
		want = EEXIST;
	if (flags == XATTR_REPLACE && !x->used)
		want = ENODATA;
	note("setxattr %s %.20s len %d flags %d", p.path, name, len, flags);
	fill_random(W.buf, (size_t)len);
	expect(setxattr(p.path, name, W.buf, (size_t)len, flags), want, "setxattr");
	if (want)
		return;
	x->used = true;
	x->len = len;
	memcpy(x->val, W.buf, (size_t)len);
}

void op_removexattr(void)
{
	unsigned i = below(MAX_XATTRS);
	char name[256];
	struct place p;

	if (!any_place(&p))
		return;
	xattr_name(name, i);
	note("removexattr %s %.20s", p.path, name);
	expect(removexattr(p.path, name), p.node->x[i].used ? 0 : ENODATA, "removexattr");
	p.node->x[i].used = false;
}

/* All names that are ours, then each value. */
void check_xattrs(const char *path, const struct node *n)
{
	char list[8192], name[256];
	uint8_t val[XATTR_MAX + 1];
	ssize_t len = llistxattr(path, list, sizeof(list));
	int ours = 0, want = 0;

	expect(len, 0, "llistxattr");
	for (char *s = list; s < list + len; s += strlen(s) + 1)
		ours += !strncmp(s, "user.m.", 7);
	for (unsigned i = 0; i < MAX_XATTRS; i++) {
		const struct xattr *x = &n->x[i];
		ssize_t got;

		xattr_name(name, i);
		got = lgetxattr(path, name, val, sizeof(val));
		if (S_ISLNK(n->mode))
			continue;
		expect(got, x->used ? 0 : ENODATA, "lgetxattr");
		if (!x->used)
			continue;
		want++;
		if (got != x->len || memcmp(val, x->val, (size_t)got))
			differ("xattr %s of %s: %zd bytes, want %d, or other bytes", name, path,
			       got, x->len);
	}
	if (ours != want)
		differ("%s lists %d xattrs, want %d", path, ours, want);
}

void op_listxattr(void)
{
	struct place p;

	if (!any_place(&p))
		return;
	note("listxattr and getxattr %s", p.path);
	check_xattrs(p.path, p.node);
}

void op_readdir(void)
{
	struct node *d = W.dirs[below((unsigned)W.ndirs)];
	char path[PATH_CAP];

	dir_path(d, path);
	note("readdir %s (%d entries)", path, d->nents);
	check_listing(d, chance(50));
}

void op_stat(void)
{
	struct handle *h = handle_random(O_RDONLY);
	struct stat st;
	struct place p;

	if (h && chance(40)) {
		note("fstat fd %d", h->fd);
		expect(fstat(h->fd, &st), 0, "fstat");
		check_stat(&st, h->node, "fstat");
		return;
	}
	place_random(&p);
	note("lstat %s (%s)", p.path, node_kind(p.node));
	expect(lstat(p.path, &st), p.node ? 0 : ENOENT, "lstat");
	if (p.node)
		check_stat(&st, p.node, p.path);
}
