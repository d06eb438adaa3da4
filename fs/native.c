/* SPDX-License-Identifier: MIT */
/* native.c - which request is served by what. */
#include <errno.h>
#include <string.h>

#include "fs.h"

static void native_interrupt(const struct request *r)
{
	/* No request waits for anything that could be given up: do not tell again. */
	wire_reply_error(r->in->unique, -ENOSYS);
}

const char *request_name(const struct request *r)
{
	return memchr(r->arg, '\0', r->size) ? r->arg : NULL;
}

typedef void native_fn(const struct request *r);

static native_fn *handler(uint32_t opcode, bool *ret_starts)
{
	*ret_starts = false;
	switch (opcode) {
	case FUSE_READ:
		return native_read;
	case FUSE_WRITE:
		return native_write;
	case FUSE_FORGET:
		return native_forget;
	case FUSE_BATCH_FORGET:
		return native_batch_forget;
	case FUSE_RELEASE:
		return native_release;
	case FUSE_INTERRUPT:
		return native_interrupt;
	}
	/* Those that need no open file: `allow_root` is checked. */
	*ret_starts = true;
	switch (opcode) {
	case FUSE_LOOKUP:
		return native_lookup;
	case FUSE_GETATTR:
		return native_getattr;
	case FUSE_UNLINK:
		return native_unlink;
	case FUSE_RMDIR:
		return native_rmdir;
	case FUSE_OPEN:
		return native_open;
	case FUSE_CREATE:
		return native_create;
	case FUSE_TMPFILE:
		return native_tmpfile;
	case FUSE_SETATTR:
		return native_setattr;
	case FUSE_SETXATTR:
		return native_setxattr;
	case FUSE_SYNCFS:
		return native_syncfs;
	case PROTO_STATX:
		return native_statx;
	case PROTO_COPY_FILE_RANGE_64:
		return native_copy_range_64;
	default:
		return NULL;
	}
}

bool native_dispatch(const struct request *r)
{
	bool starts;
	native_fn *fn = handler(r->in->opcode, &starts);

	if (!fn)
		return false;
	if (starts && fs.opt.allow_root && r->in->uid != fs.owner && r->in->uid != 0)
		wire_reply_error(r->in->unique, -EACCES);
	else
		fn(r);
	return true;
}

/* No flush: with the writeback cache the kernel has written everything back, and has looked for
 * errors, before it would ask; else write(2) itself has told. No access: the kernel checks. No
 * locks: they are the kernel's. */
const struct fuse_lowlevel_ops ll_ops = {
	.readlink = ll_readlink,
	.statfs = ll_statfs,
	.mknod = ll_mknod,
	.mkdir = ll_mkdir,
	.symlink = ll_symlink,
	.link = ll_link,
	.rename = ll_rename,
	.opendir = ll_opendir,
	.releasedir = ll_releasedir,
	.readdir = ll_readdir,
	.readdirplus = ll_readdirplus,
	.fsync = ll_fsync,
	.fsyncdir = ll_fsyncdir,
	.getxattr = ll_getxattr,
	.listxattr = ll_listxattr,
	.removexattr = ll_removexattr,
	.fallocate = ll_fallocate,
	.lseek = ll_lseek,
	.copy_file_range = ll_copy_file_range,
	.ioctl = ll_ioctl,
};
