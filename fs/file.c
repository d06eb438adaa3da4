/* SPDX-License-Identifier: MIT */
/*
 * file.c - files opened, made and released. Decoded here for the flag that drops set-id bits, and
 * because the packaged libfuse knows no O_TMPFILE. A handle's number says whether it can write;
 * there is nothing else to remember.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs.h"

struct opened {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};
static_assert(sizeof(struct opened) == 144, "on the wire");

static bool can_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* Take a handle. A nearly full store must fail write(2) itself, not some later write-back: what is
 * opened for writing then goes around the page cache. */
static int take_handle(uint64_t ino, uint32_t flags, struct fuse_open_out *ret_open)
{
	bool writes = can_write(flags);
	int r = writes ? handles_add(ino) : 0;

	if (r < 0)
		return r;
	*ret_open = (struct fuse_open_out){ .fh = writes ? HANDLE_WRITABLE : 0 };
	if (!fs.opt.writeback || (writes && info_low_on_space()))
		ret_open->open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	else
		ret_open->open_flags = FOPEN_KEEP_CACHE;
	return 0;
}

static void drop_handle(uint64_t ino, uint64_t fh)
{
	if (fh & HANDLE_WRITABLE)
		handles_drop(ino);
}

static int kill_privileges(uint64_t ino)
{
	struct store_attr attr = { 0 };
	int r = store_getattr(fs.store, ino, &attr);

	if (r < 0 || !(attr.mode & (S_ISUID | S_ISGID)))
		return r;
	return store_setattr(fs.store, ino, STORE_SET_KILL_SUID, &attr, &attr);
}

/* Valid replies: open_out, error */
void native_open(const struct request *r)
{
	const struct fuse_open_in *in = r->arg;
	struct fuse_open_out out;
	int result = 0;

	if (r->size < sizeof(*in))
		result = -EINVAL;
	else if (in->open_flags & FUSE_OPEN_KILL_SUIDGID)
		result = kill_privileges(r->in->nodeid);
	if (result == 0)
		result = take_handle(r->in->nodeid, in->flags, &out);
	if (result < 0)
		wire_reply_error(r->in->unique, result);
	else if (wire_reply_data(r->in->unique, &out, sizeof(out)) == -ENOENT)
		drop_handle(r->in->nodeid, out.fh); /* the caller was killed: no RELEASE follows */
}

static void reply_opened(const struct request *r, uint32_t flags, const struct store_attr *attr)
{
	struct opened out;
	int result = take_handle(attr->ino, flags, &out.open);

	if (result < 0) {
		store_forget(fs.store, attr->ino, 1);
		wire_reply_error(r->in->unique, result);
		return;
	}
	reply_wire_entry(attr, &out.entry);
	if (wire_reply_data(r->in->unique, &out, sizeof(out)) == -ENOENT) {
		drop_handle(attr->ino, out.open.fh);
		store_forget(fs.store, attr->ino, 1);
	}
}

static struct store_cred cred_of(const struct request *r, uint32_t umask)
{
	return (struct store_cred){ .uid = r->in->uid, .gid = r->in->gid, .umask = umask };
}

/* Valid replies: entry_out + open_out, error */
void native_create(const struct request *r)
{
	const struct fuse_create_in *in = r->arg;
	const char *name = (const char *)(in + 1);
	struct store_cred cred;
	struct store_attr attr;
	int result;

	if (r->size <= sizeof(*in) || !memchr(name, '\0', r->size - sizeof(*in))) {
		wire_reply_error(r->in->unique, -EINVAL);
		return;
	}
	cred = cred_of(r, in->umask);
	result = store_mknod(fs.store, r->in->nodeid, name, S_IFREG | (in->mode & 07777), 0, &cred,
			     &attr);
	if (result < 0)
		wire_reply_error(r->in->unique, result);
	else
		reply_opened(r, in->flags, &attr);
}

/* Valid replies: entry_out + open_out, error */
void native_tmpfile(const struct request *r)
{
	const struct fuse_create_in *in = r->arg;
	struct store_cred cred;
	struct store_attr attr;
	int result;

	if (r->size < sizeof(*in)) {
		wire_reply_error(r->in->unique, -EINVAL);
		return;
	}
	cred = cred_of(r, in->umask);
	result = store_tmpfile(fs.store, r->in->nodeid, S_IFREG | (in->mode & 07777), &cred, &attr);
	if (result < 0)
		wire_reply_error(r->in->unique, result);
	else
		reply_opened(r, in->flags, &attr);
}

/* Valid replies: err */
void ll_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	drop_handle(ino, fi->fh);
	fuse_reply_err(req, 0);
}
