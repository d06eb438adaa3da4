/* SPDX-License-Identifier: MIT */
/* rename(2), with NOREPLACE and EXCHANGE. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "store/store_i.h"

struct side {
	struct inode *dir, *inode; /* inode: NULL where the name is not there */
	struct dent_view entry;
	const char *name;
};

static int side_find(struct store *s, uint64_t parent, const char *name, struct side *side)
{
	size_t len = strlen(name);
	int r;

	side->name = name;
	if (!len || strchr(name, '/'))
		return -EINVAL;
	if (len > ZCF_NAME_MAX)
		return -ENAMETOOLONG;
	r = inode_get(s, parent, &side->dir);
	if (r == 0 && !S_ISDIR(side->dir->mode))
		r = -ENOTDIR;
	if (r == 0)
		r = dent_find(s, parent, name, len, &side->entry);
	return r < 0 ? r : inode_get(s, side->entry.ino, &side->inode);
}

/* Is `dir` the directory `i`, or below it? */
static int below(struct store *s, struct inode *start, const struct inode *i)
{
	for (struct inode *dir = start;;) {
		uint64_t parent = dir->parent;
		struct inode *up;
		int r;

		if (dir == i)
			return 1;
		if (dir->ino == ZCF_ROOT_INO)
			return 0;
		r = inode_get(s, parent, &up);
		if (dir != start)
			inode_put(s, dir);
		if (r < 0)
			return r;
		dir = up;
	}
}

static int check_directories(struct store *s, const struct side *a, const struct side *b,
			     unsigned flags)
{
	int r;

	if (S_ISDIR(a->inode->mode)) {
		r = below(s, b->dir, a->inode);
		if (r)
			return r < 0 ? r : -EINVAL;
	}
	if (!b->inode)
		return 0;
	if (flags & RENAME_EXCHANGE) {
		if (!S_ISDIR(b->inode->mode))
			return 0;
		r = below(s, a->dir, b->inode);
		return r > 0 ? -EINVAL : r;
	}
	if (S_ISDIR(a->inode->mode) && !S_ISDIR(b->inode->mode))
		return -ENOTDIR;
	if (!S_ISDIR(a->inode->mode) && S_ISDIR(b->inode->mode))
		return -EISDIR;
	if (S_ISDIR(b->inode->mode) && b->inode->now.size)
		return -ENOTEMPTY;
	return 0;
}

/* A directory went from one parent to another. */
static void reparent(struct store *s, struct inode *i, struct inode *from, struct inode *to)
{
	if (!S_ISDIR(i->mode) || from == to)
		return;
	i->parent = to->ino;
	from->nlink--;
	to->nlink++;
	inode_dirty(s, from);
	inode_dirty(s, to);
}

static void dir_changed(struct store *s, struct inode *dir)
{
	dir->now.mtime = dir->ctime = store_now();
	inode_dirty(s, dir);
}

static void moved(struct store *s, struct inode *i, bool capture)
{
	/* A3: the data go with the name. */
	if (capture && S_ISREG(i->mode))
		i->capture = true;
	inode_touch(i);
	inode_dirty(s, i);
}

static int exchange(struct store *s, struct side *a, struct side *b)
{
	int r = dent_set(s, a->dir->ino, &a->entry, b->inode->ino, b->inode->mode);

	if (r == 0)
		r = dent_set(s, b->dir->ino, &b->entry, a->inode->ino, a->inode->mode);
	if (r < 0)
		return r;
	reparent(s, a->inode, a->dir, b->dir);
	reparent(s, b->inode, b->dir, a->dir);
	moved(s, a->inode, true);
	moved(s, b->inode, true);
	dir_changed(s, a->dir);
	dir_changed(s, b->dir);
	return 0;
}

static int replace(struct store *s, struct side *a, struct side *b)
{
	struct inode *old = b->inode;
	int r = dent_set(s, b->dir->ino, &b->entry, a->inode->ino, a->inode->mode);

	if (r == 0)
		r = dent_del(s, a->dir, &a->entry);
	if (r < 0)
		return r;
	if (S_ISDIR(old->mode)) {
		b->dir->nlink--;
		old->nlink = 0;
	} else {
		old->nlink--;
	}
	inode_touch(old);
	inode_dirty(s, old);
	reparent(s, a->inode, a->dir, b->dir);
	moved(s, a->inode, true);
	dir_changed(s, b->dir);
	return 0;
}

static int move(struct store *s, struct side *a, struct side *b)
{
	int r;

	if (!b->dir->nlink)
		return -ENOENT;
	r = dent_add(s, b->dir, b->name, strlen(b->name), a->inode->ino, a->inode->mode);
	if (r == 0)
		r = dent_del(s, a->dir, &a->entry);
	if (r < 0)
		return r;
	reparent(s, a->inode, a->dir, b->dir);
	moved(s, a->inode, false);
	return 0;
}

static int rename_locked(struct store *s, struct side *a, struct side *b, unsigned flags)
{
	int r;

	if (b->inode && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!b->inode && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (a->inode == b->inode)
		return 0;
	r = check_directories(s, a, b, flags);
	if (r < 0)
		return r;
	if (flags & RENAME_EXCHANGE)
		return exchange(s, a, b);
	return b->inode ? replace(s, a, b) : move(s, a, b);
}

int store_rename(struct store *s, uint64_t parent, const char *name, uint64_t new_parent,
		 const char *new_name, unsigned flags)
{
	LOCKED(s);
	struct side a = { 0 }, b = { 0 };
	int r = store_may_change(s);

	if (r < 0)
		return r;
	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r = side_find(s, parent, name, &a);
	if (r < 0)
		return r;
	r = side_find(s, new_parent, new_name, &b);
	if (r == -ENOENT && b.dir && !b.inode)
		r = 0;
	if (r == 0)
		r = rename_locked(s, &a, &b, flags);
	inode_put(s, a.inode);
	if (b.inode && b.inode != a.inode)
		inode_put(s, b.inode);
	return r;
}
