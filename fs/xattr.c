/* SPDX-License-Identifier: MIT */
/* xattr.c - extended attributes; the store knows what is special about some of them. */
#include <errno.h>
#include <string.h>

#include "fs.h"

enum { VALUE_MAX = 65536 };

static bool begins(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* The namespaces of local filesystems. */
static bool is_known(const char *name)
{
	return begins(name, "user.") || begins(name, "trusted.") || begins(name, "security.") ||
	       !strcmp(name, "system.posix_acl_access") ||
	       !strcmp(name, "system.posix_acl_default");
}

/* trusted.* is root's: others do not see the names. */
static ssize_t hide_trusted(char *buf, ssize_t n)
{
	char *to = buf;

	for (char *at = buf; at < buf + n;) {
		size_t length = strlen(at) + 1;

		if (!begins(at, "trusted.")) {
			memmove(to, at, length);
			to += length;
		}
		at += length;
	}
	return to - buf;
}

static void reply_bytes(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		reply_result(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/* Valid replies: buf (size > 0), xattr (size 0), err */
void ll_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *buf = worker_buffer();

	if (!is_known(name)) {
		reply_result(req, -EOPNOTSUPP);
		return;
	}
	if (size > VALUE_MAX)
		size = VALUE_MAX;
	reply_bytes(req, store_getxattr(fs.store, ino, name, buf, size), buf, size);
}

/* Valid replies: buf (size > 0), xattr (size 0), err */
void ll_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *buf = worker_buffer();
	ssize_t n = store_listxattr(fs.store, ino, buf, FS_MAX_IO);

	if (n > 0 && fuse_req_ctx(req)->uid != 0)
		n = hide_trusted(buf, n);
	if (n > (ssize_t)size && size > 0)
		n = -ERANGE;
	reply_bytes(req, n, buf, size);
}

/* Valid replies: err */
void ll_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_result(req, is_known(name) ? store_removexattr(fs.store, ino, name) : -EOPNOTSUPP);
}

/* Valid replies: error. Decoded here for FUSE_SETXATTR_ACL_KILL_SGID. */
void native_setxattr(const struct request *r)
{
	const struct fuse_setxattr_in *in = r->arg;
	const char *name = (const char *)(in + 1), *end;
	int flags, result = -EINVAL;

	if (r->size > sizeof(*in) && (end = memchr(name, '\0', r->size - sizeof(*in))) != NULL &&
	    in->size <= r->size - sizeof(*in) - (size_t)(end + 1 - name)) {
		flags = (int)in->flags;
		if (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
			flags |= STORE_XATTR_KILL_SGID;
		result = is_known(name) ? store_setxattr(fs.store, r->in->nodeid, name, end + 1,
							 in->size, flags)
					: -EOPNOTSUPP;
	}
	wire_reply_error(r->in->unique, result);
}
