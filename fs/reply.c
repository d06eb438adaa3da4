/* SPDX-License-Identifier: MIT */
/* reply.c - answers in the two forms: libfuse's and the wire's. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs.h"
#include "live.h"
#include "passthrough.h"

void reply_fix_attr(struct store_attr *attr)
{
	if (!passthrough_attr(attr))
		fs_live_attr(attr);
}

void reply_fix_entry(struct store_attr *attr)
{
	if (!passthrough_entry(attr))
		fs_live_entry(attr);
}

void reply_stat(const struct store_attr *from, struct stat *st)
{
	struct store_attr now = *from;
	const struct store_attr *attr = &now;

	reply_fix_attr(&now);
	memset(st, 0, sizeof(*st));
	st->st_ino = attr->ino;
	st->st_mode = attr->mode;
	st->st_nlink = attr->nlink;
	st->st_uid = attr->uid;
	st->st_gid = attr->gid;
	st->st_rdev = attr->rdev;
	st->st_size = (off_t)attr->size;
	st->st_blksize = FS_PAGE;
	st->st_blocks = (blkcnt_t)attr->blocks;
	st->st_atim = attr->atime;
	st->st_mtim = attr->mtime;
	st->st_ctim = attr->ctime;
}

/* The kernel's 32-bit device numbers: minor in bits 0-7 and 20-31, major in bits 8-19. */
static uint32_t wire_device(dev_t dev)
{
	return (minor(dev) & 0xff) | ((major(dev) & 0xfff) << 8) | ((minor(dev) & ~0xffu) << 12);
}

void reply_wire_attr(const struct store_attr *attr, struct fuse_attr *ret_attr)
{
	*ret_attr = (struct fuse_attr){
		.ino = attr->ino,
		.size = attr->size,
		.blocks = attr->blocks,
		.atime = (uint64_t)attr->atime.tv_sec,
		.mtime = (uint64_t)attr->mtime.tv_sec,
		.ctime = (uint64_t)attr->ctime.tv_sec,
		.atimensec = (uint32_t)attr->atime.tv_nsec,
		.mtimensec = (uint32_t)attr->mtime.tv_nsec,
		.ctimensec = (uint32_t)attr->ctime.tv_nsec,
		.mode = attr->mode,
		.nlink = (uint32_t)attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.rdev = wire_device(attr->rdev),
		.blksize = FS_PAGE,
	};
}

void reply_wire_entry(const struct store_attr *attr, struct fuse_entry_out *ret_entry)
{
	*ret_entry = (struct fuse_entry_out){
		.nodeid = attr->ino,
		.generation = attr->generation,
		.entry_valid = FS_TIMEOUT,
		.attr_valid = passthrough_timeout(attr),
	};
	reply_wire_attr(attr, &ret_entry->attr);
}

void reply_entry(fuse_req_t req, const struct store_attr *attr)
{
	struct fuse_entry_param entry = {
		.ino = attr->ino,
		.generation = attr->generation,
		.entry_timeout = FS_TIMEOUT,
	};

	entry.attr_timeout = (double)passthrough_timeout(attr);
	reply_stat(attr, &entry.attr);
	/* The caller was killed meanwhile: the kernel does not know the inode. */
	if (fuse_reply_entry(req, &entry) == -ENOENT)
		store_forget(fs.store, attr->ino, 1);
}

void reply_result(fuse_req_t req, int result)
{
	fuse_reply_err(req, -result);
}

void reply_cred(fuse_req_t req, struct store_cred *cred)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	*cred = (struct store_cred){ .uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask };
}
