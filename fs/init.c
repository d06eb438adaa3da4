/* SPDX-License-Identifier: MIT */
/* init.c - what is agreed upon with the kernel. */
#include <string.h>

#include "fs.h"

/* What zcfs takes of what the kernel offers:
 * - HANDLE_KILLPRIV_V2: no question for security.capability before each write;
 * - INIT_EXT, SETXATTR_EXT: forms of messages;
 * - DIRECT_IO_ALLOW_MMAP: mmap also with cache=none; not elsewhere, for what is direct there is a live
 *   file, and must not be mapped by way of the kernel's cache;
 * - PASSTHROUGH only where asked for: the kernel refuses it together with the writeback cache;
 * - not ATOMIC_O_TRUNC: a truncation is always a SETATTR; not EXPORT_SUPPORT, no locks. */
static const uint64_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DONT_MASK |
			       FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
			       FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_ABORT_ERROR |
			       FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2 |
			       FUSE_SETXATTR_EXT | FUSE_INIT_EXT;

void init_answer(const struct fuse_init_in *in, struct fuse_init_out *ret_out)
{
	uint64_t offered = in->flags;
	uint64_t take = wanted | (fs.opt.writeback ? FUSE_WRITEBACK_CACHE : 0) |
			(fs.opt.passthrough ? PROTO_PASSTHROUGH : 0) |
			(fs.opt.direct ? PROTO_DIRECT_IO_ALLOW_MMAP : 0);

	if (in->flags & FUSE_INIT_EXT)
		offered |= (uint64_t)in->flags2 << 32;
	take &= offered;
	fs.init_offered = offered;
	fs.init_flags = take;
	fs.init_minor = in->minor;
	*ret_out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = FS_MAX_IO,
		.flags = (uint32_t)take,
		.flags2 = (uint32_t)(take >> 32),
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = receive_max_pages() * FS_PAGE,
		.time_gran = 1,
		.max_pages = (uint16_t)receive_max_pages(),
		.PROTO_MAX_STACK_DEPTH = take & PROTO_PASSTHROUGH ? 1 : 0,
	};
}
