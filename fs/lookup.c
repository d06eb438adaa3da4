/* SPDX-License-Identifier: MIT */
/* lookup.c - names to inodes, and inodes forgotten. */
#include <errno.h>

#include "fs.h"

/* Valid replies: entry (inode 0: there is no such name, for as long), err */
void ll_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param none = { .entry_timeout = FS_TIMEOUT };
	struct store_attr attr;
	int r = store_lookup(fs.store, parent, name, &attr);

	if (r == 0)
		reply_entry(req, &attr);
	else if (r == -ENOENT)
		fuse_reply_entry(req, &none);
	else
		reply_result(req, r);
}

/* Valid replies: none */
void ll_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	if (ino != FUSE_ROOT_ID)
		store_forget(fs.store, ino, n);
	fuse_reply_none(req);
}

/* Valid replies: none */
void ll_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		if (forgets[i].ino != FUSE_ROOT_ID)
			store_forget(fs.store, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
