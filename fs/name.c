/* SPDX-License-Identifier: MIT */
/* name.c - names made and removed. rename(2) and link(2) have a file of their own. */
#include <errno.h>

#include "fs.h"

static void reply_made(fuse_req_t req, int result, const struct store_attr *attr)
{
	if (result < 0)
		reply_result(req, result);
	else
		reply_entry(req, attr);
}

/* Valid replies: entry, err */
void ll_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct store_cred cred;
	struct store_attr attr;

	reply_cred(req, &cred);
	reply_made(req, store_mknod(fs.store, parent, name, mode, rdev, &cred, &attr), &attr);
}

/* Valid replies: entry, err */
void ll_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct store_cred cred;
	struct store_attr attr;

	reply_cred(req, &cred);
	reply_made(req, store_mkdir(fs.store, parent, name, mode & 07777, &cred, &attr), &attr);
}

/* Valid replies: entry, err */
void ll_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct store_cred cred;
	struct store_attr attr;

	reply_cred(req, &cred);
	reply_made(req, store_symlink(fs.store, parent, name, target, &cred, &attr), &attr);
}

/* Valid replies: error (also 0) */
void native_unlink(const struct request *r)
{
	const char *name = request_name(r);

	wire_reply_error(r->in->unique,
			 name ? store_unlink(fs.store, r->in->nodeid, name) : -EINVAL);
}

/* Valid replies: error (also 0) */
void native_rmdir(const struct request *r)
{
	const char *name = request_name(r);

	wire_reply_error(r->in->unique,
			 name ? store_rmdir(fs.store, r->in->nodeid, name) : -EINVAL);
}
