/* SPDX-License-Identifier: MIT */
/* lookup.c - names to inodes, and inodes forgotten. */
#include <errno.h>

#include "fs.h"

/* Valid replies: entry_out (inode 0: there is no such name, for as long), error */
void native_lookup(const struct request *r)
{
	struct fuse_entry_out out = { .entry_valid = FS_TIMEOUT };
	const char *name = request_name(r);
	struct store_attr attr;
	int result = name ? store_lookup(fs.store, r->in->nodeid, name, &attr) : -EINVAL;

	if (result < 0 && result != -ENOENT) {
		wire_reply_error(r->in->unique, result);
		return;
	}
	if (result == 0) {
		reply_fix_attr(&attr);
		reply_wire_entry(&attr, &out);
	}
	/* The caller was killed meanwhile: the kernel does not know the inode. */
	if (wire_reply_data(r->in->unique, &out, sizeof(out)) == -ENOENT && result == 0)
		store_forget(fs.store, attr.ino, 1);
}

static void forget(uint64_t ino, uint64_t n)
{
	if (ino != FUSE_ROOT_ID)
		store_forget(fs.store, ino, n);
}

/* Valid replies: none */
void native_forget(const struct request *r)
{
	const struct fuse_forget_in *in = r->arg;

	if (r->size >= sizeof(*in))
		forget(r->in->nodeid, in->nlookup);
}

/* Valid replies: none */
void native_batch_forget(const struct request *r)
{
	const struct fuse_batch_forget_in *in = r->arg;
	const struct fuse_forget_one *one = (const struct fuse_forget_one *)(in + 1);

	if (r->size < sizeof(*in) || in->count > (r->size - sizeof(*in)) / sizeof(*one))
		return;
	for (uint32_t n = 0; n < in->count; n++)
		forget(one[n].nodeid, one[n].nlookup);
}
