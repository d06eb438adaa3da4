/* SPDX-License-Identifier: MIT */
/* Operations on names: open, create, link, rename, remove. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

static mode_t random_mode(void)
{
	mode_t m = (mode_t)below(01000);

	if (chance(10) && W.root)
		m |= S_ISUID;
	/* Who is not root must be able to go on with its files; its writes clear set-id bits. */
	return W.root ? m : m | S_IRUSR | S_IWUSR;
}

static int random_open_flags(void)
{
	static const int acc[] = { O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY };
	int flags = acc[below(5)];

	if (flags != O_RDONLY && chance(25))
		flags |= O_APPEND;
	if (flags != O_RDONLY && chance(15))
		flags |= O_TRUNC;
	if (chance(2))
		flags |= chance(50) ? O_SYNC : O_DSYNC;
	return flags;
}

static void opened(struct node *n, int fd, int flags)
{
	struct handle *h = handle_slot();

	if (flags & O_TRUNC) {
		node_resize(n, 0);
		touch(n);
	}
	handle_open(h, n, fd, flags);
}

/* open with O_CREAT: a new name, or one that exists; O_EXCL or not. */
void op_create(void)
{
	int flags = random_open_flags() | O_CREAT | (chance(30) ? O_EXCL : 0);
	mode_t mode = random_mode();
	struct place p;
	int fd, want = 0;

	if (W.nfiles >= MAX_FILES)
		return;
	if (chance(80))
		place_free(&p);
	else
		place_random(&p);
	if (p.node && (flags & O_EXCL))
		want = EEXIST;
	else if (p.node && S_ISDIR(p.node->mode))
		want = EISDIR;
	else if (p.node && S_ISLNK(p.node->mode))
		return; /* where links lead is not part of the model */
	note("open %s flags %#o mode %#o (%s)", p.path, (unsigned)flags, mode, node_kind(p.node));
	fd = open(p.path, flags, mode);
	expect(fd, want, "open O_CREAT");
	if (want)
		return;
	if (!p.node) {
		p.node = node_new(S_IFREG | mode);
		p.node->nlink = 1;
		entry_add(p.dir, p.name, p.node);
	}
	opened(p.node, fd, flags);
}

void op_open(void)
{
	int flags = random_open_flags();
	struct place p;
	int fd;

	if (chance(5)) {
		place_free(&p);
		note("open %s, which does not exist", p.path);
		expect(open(p.path, flags), ENOENT, "open");
		return;
	}
	if (!place_existing(&p, S_IFREG))
		return;
	note("open %s flags %#o (size %lld)", p.path, (unsigned)flags, (long long)p.node->size);
	fd = open(p.path, flags);
	expect(fd, 0, "open");
	opened(p.node, fd, flags);
}

void op_close(void)
{
	struct handle *h = &W.h[below(MAX_HANDLES)];

	if (!h->node)
		return;
	note("close fd %d", h->fd);
	handle_close(h);
}

void op_tmpfile(void)
{
	mode_t mode = random_mode();
	char path[PATH_CAP];
	struct node *n;
	int fd;

	if (W.nfiles >= MAX_FILES)
		return;
	dir_path(W.dirs[below((unsigned)W.ndirs)], path);
	note("open %s O_TMPFILE mode %#o", path, mode);
	fd = open(path, O_TMPFILE | O_RDWR, mode);
	expect(fd, 0, "open O_TMPFILE");
	n = node_new(S_IFREG | mode);
	n->linkable = true;
	opened(n, fd, O_RDWR);
}

void op_link_tmpfile(void)
{
	char fdpath[64];
	struct place p;
	struct handle *h = NULL;

	for (int i = 0; i < MAX_HANDLES; i++)
		if (W.h[i].node && W.h[i].node->linkable)
			h = &W.h[i];
	if (!h)
		return;
	place_random(&p);
	snprintf(fdpath, sizeof(fdpath), "/proc/self/fd/%d", h->fd);
	note("linkat fd %d to %s (%s)", h->fd, p.path, node_kind(p.node));
	expect(linkat(AT_FDCWD, fdpath, AT_FDCWD, p.path, AT_SYMLINK_FOLLOW), p.node ? EEXIST : 0,
	       "linkat of an unnamed file");
	if (p.node)
		return;
	h->node->linkable = false;
	h->node->nlink = 1;
	entry_add(p.dir, p.name, h->node);
}

void op_link(void)
{
	struct place from, to;

	if (!place_existing(&from, chance(95) ? 0 : S_IFDIR))
		return;
	if (chance(80))
		place_free(&to);
	else
		place_random(&to);
	note("link %s (%s) to %s (%s)", from.path, node_kind(from.node), to.path,
	     node_kind(to.node));
	if (to.node || S_ISDIR(from.node->mode)) {
		expect(link(from.path, to.path), to.node ? EEXIST : EPERM, "link");
		return;
	}
	expect(link(from.path, to.path), 0, "link");
	from.node->nlink++;
	entry_add(to.dir, to.name, from.node);
}

void op_symlink(void)
{
	static const unsigned lens[] = { 1, 10, 59, 60, 255, 1000, 4000 };
	unsigned len = lens[below(7)];
	char target[4096];
	struct place p;

	if (W.nfiles >= MAX_FILES)
		return;
	place_random(&p);
	for (unsigned i = 0; i < len; i++)
		target[i] = (char)('a' + below(26));
	target[len] = 0;
	note("symlink %s (%s), target of %u bytes", p.path, node_kind(p.node), len);
	expect(symlink(target, p.path), p.node ? EEXIST : 0, "symlink");
	if (p.node)
		return;
	p.node = node_new(S_IFLNK | 0777);
	p.node->nlink = 1;
	p.node->target = strdup(target);
	p.node->size = len;
	entry_add(p.dir, p.name, p.node);
}

static void drop_name(struct place *p)
{
	struct node *n = p->node;

	entry_del(p->dir, p->name);
	n->nlink = S_ISDIR(n->mode) ? 0 : n->nlink - 1;
	node_put(n);
}

/* Bytes of a file that just lost its last name must stay readable through its handles. */
static void read_unlinked(struct node *n)
{
	for (int i = 0; i < MAX_HANDLES; i++) {
		struct stat st;

		if (W.h[i].node != n || (W.h[i].flags & O_ACCMODE) == O_WRONLY)
			continue;
		expect(fstat(W.h[i].fd, &st), 0, "fstat of an unlinked file");
		check_stat(&st, n, "unlinked file");
		check_content(W.h[i].fd, n, "unlinked file");
		return;
	}
}

void op_unlink(void)
{
	struct place p;
	int want = 0;

	if (chance(90)) {
		if (!place_existing(&p, 0))
			return;
	} else {
		place_random(&p);
		want = !p.node ? ENOENT : S_ISDIR(p.node->mode) ? EISDIR : 0;
	}
	note("unlink %s (%s)", p.path, node_kind(p.node));
	expect(unlink(p.path), want, "unlink");
	if (want)
		return;
	struct node *open_node = p.node->handles ? p.node : NULL;

	drop_name(&p);
	if (open_node && !open_node->nlink)
		read_unlinked(open_node);
}

void op_mkdir(void)
{
	mode_t mode = random_mode() & 0777;
	struct place p;

	if (W.ndirs >= MAX_DIRS)
		return;
	place_random(&p);
	/* Directory paths must stay short: the long names are for files. */
	if (strlen(p.name) > 60)
		return;
	if (!W.root)
		mode |= S_IRWXU;
	note("mkdir %s mode %#o (%s)", p.path, mode, node_kind(p.node));
	expect(mkdir(p.path, mode), p.node ? EEXIST : 0, "mkdir");
	if (p.node)
		return;
	p.node = node_new(S_IFDIR | mode);
	entry_add(p.dir, p.name, p.node);
}

void op_rmdir(void)
{
	bool empty = chance(60);
	struct place p;
	int want = 0;

	if (!place_existing(&p, chance(90) ? S_IFDIR : 0) || (empty && p.node->nents))
		return;
	if (!S_ISDIR(p.node->mode))
		want = ENOTDIR;
	else if (p.node->nents)
		want = ENOTEMPTY;
	note("rmdir %s (%s of %d)", p.path, node_kind(p.node), p.node->nents);
	expect(rmdir(p.path), want, "rmdir");
	if (!want)
		drop_name(&p);
}

/* The errno that Linux gives, in the order in which it looks. */
static int rename_errno(const struct place *from, const struct place *to, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;

	if (!from->node)
		return ENOENT;
	if ((flags & RENAME_NOREPLACE) && to->node)
		return EEXIST;
	if (exchange && !to->node)
		return ENOENT;
	/* Within one directory the kernel knows no ancestors to look for. */
	if (from->dir != to->dir) {
		if (S_ISDIR(from->node->mode) && is_below(to->dir, from->node))
			return EINVAL;
		if (to->node && S_ISDIR(to->node->mode) && is_below(from->dir, to->node))
			return exchange ? EINVAL : ENOTEMPTY;
	}
	if (from->node == to->node || exchange || !to->node)
		return 0;
	if (S_ISDIR(from->node->mode))
		return !S_ISDIR(to->node->mode) ? ENOTDIR : to->node->nents ? ENOTEMPTY : 0;
	return S_ISDIR(to->node->mode) ? EISDIR : 0;
}

static void apply_rename(struct place *from, struct place *to, unsigned flags)
{
	struct node *a = from->node, *b = to->node;

	if (a == b)
		return;
	entry_del(from->dir, from->name);
	if (b && (flags & RENAME_EXCHANGE)) {
		entry_del(to->dir, to->name);
		entry_add(from->dir, from->name, b);
	} else if (b) {
		drop_name(to);
	}
	entry_add(to->dir, to->name, a);
}

static bool is_long(const struct place *p)
{
	return strlen(p->name) > 60;
}

void op_rename(void)
{
	static const unsigned all[] = { 0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned flags = all[below(6)];
	struct place from, to;
	int want;

	if (chance(5)) {
		place_random(&from);
	} else if (!place_existing(&from, chance(25) ? S_IFDIR : 0)) {
		return;
	}
	if (chance(60) && place_existing(&to, chance(20) ? S_IFDIR : 0))
		;
	else
		place_random(&to);
	if ((is_long(&to) && from.node && S_ISDIR(from.node->mode)) ||
	    (is_long(&from) && to.node && S_ISDIR(to.node->mode)))
		return;
	want = rename_errno(&from, &to, flags);
	note("rename %s (%s) to %s (%s) flags %u", from.path, node_kind(from.node), to.path,
	     node_kind(to.node), flags);
	expect(renameat2(AT_FDCWD, from.path, AT_FDCWD, to.path, flags), want, "rename");
	if (!want)
		apply_rename(&from, &to, flags);
}
