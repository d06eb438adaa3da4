/* SPDX-License-Identifier: MIT */
/* setattr: mode, owner, size and times. */
#include <errno.h>
#include <string.h>

#include "store/store_i.h"

void inode_kill_privs(struct store *s, struct inode *i)
{
	mode_t kill = S_ISUID;

	if (!S_ISREG(i->mode))
		return;
	if (i->mode & S_IXGRP)
		kill |= S_ISGID;
	if (i->mode & kill) {
		i->mode &= ~kill;
		inode_touch(i);
		inode_dirty(s, i);
	}
	if (!i->no_xattrs && xattr_get(s, i, "security.capability", 19, NULL, 0) >= 0) {
		xattr_del(s, i, "security.capability", 19);
		inode_dirty(s, i);
	}
}

static int set_mode(struct store *s, struct inode *i, unsigned set, mode_t mode)
{
	int r = xattr_chmod(s, i, mode);

	if (r < 0)
		return r;
	i->mode = (i->mode & S_IFMT) | (mode & 07777);
	if (set & STORE_SET_KILL_SGID)
		i->mode &= ~(mode_t)S_ISGID;
	return 0;
}

static void set_times(struct store *s, struct inode *i, unsigned set, const struct store_attr *attr,
		      struct timespec now)
{
	if (set & (STORE_SET_ATIME | STORE_SET_ATIME_NOW)) {
		i->atime = set & STORE_SET_ATIME_NOW ? now : attr->atime;
		inode_dirty(s, i);
	}
	if (set & (STORE_SET_MTIME | STORE_SET_MTIME_NOW)) {
		i->now.mtime = set & STORE_SET_MTIME_NOW ? now : attr->mtime;
		inode_data_dirty(s, i);
	}
}

/* ctime goes with the half that changed; the kernel may bring its own. */
static void set_ctime(struct store *s, struct inode *i, unsigned set, const struct store_attr *attr,
		      struct timespec now)
{
	unsigned names = STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID | STORE_SET_KILL_SUID |
			 STORE_SET_ATIME | STORE_SET_ATIME_NOW;

	if (set & STORE_SET_CTIME)
		now = attr->ctime;
	if (set & names || !S_ISREG(i->mode)) {
		i->ctime = now;
		inode_dirty(s, i);
	} else if (!(set & STORE_SET_KEEP_TIMES) || (set & STORE_SET_CTIME)) {
		i->now.ctime = now;
		inode_data_dirty(s, i);
	}
}

int store_setattr(struct store *s, uint64_t ino, unsigned set, const struct store_attr *attr,
		  struct store_attr *ret_attr)
{
	LOCKED(s);
	struct timespec now = store_now();
	struct inode *i;
	int r = store_may_change(s);

	if (r == 0)
		r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	i->pins++; /* truncation may give up the lock */
	if (set & STORE_SET_SIZE)
		r = data_truncate(s, i, attr->size);
	if (r == 0 && (set & STORE_SET_SIZE) && !(set & STORE_SET_KEEP_TIMES))
		i->now.mtime = now;
	if (r == 0 && (set & STORE_SET_KILL_SUID))
		inode_kill_privs(s, i);
	if (r == 0 && (set & STORE_SET_MODE))
		r = set_mode(s, i, set, attr->mode);
	if (r == 0) {
		if (set & STORE_SET_UID)
			i->uid = attr->uid;
		if (set & STORE_SET_GID)
			i->gid = attr->gid;
		if (set & (STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID))
			inode_dirty(s, i);
		set_times(s, i, set, attr, now);
		if (set & ~(unsigned)STORE_SET_KEEP_TIMES)
			set_ctime(s, i, set, attr, now);
		inode_attr(i, ret_attr);
	}
	i->pins--;
	inode_put(s, i);
	return r;
}
