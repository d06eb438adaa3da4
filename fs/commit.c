/* SPDX-License-Identifier: MIT */
/* commit.c - requests for durability: parked, and answered by the store's commit thread. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs.h"
#include "passthrough.h"

static void committed(void *arg, int result)
{
	reply_result(arg, result);
}

struct syncing {
	fuse_req_t req;
	uint64_t ino;
};

/* With the writeback cache the kernel keeps the attributes of a file that is open for writing; what
 * it can't know is how many blocks the file has now. An offset below 0 makes it forget attributes
 * alone: no page is touched, so this never waits. */
static void forget_attributes(uint64_t ino)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inval;
	} out = {
		.header = { .len = sizeof(out), .error = FUSE_NOTIFY_INVAL_INODE },
		.inval = { .ino = ino, .off = -1 },
	};

	/* ENOENT: the kernel has forgotten the inode already. */
	(void)!write(wire_fd(0), &out, sizeof(out));
}

/* Did the number of blocks change since the last fsync of the file? The kernel asks for attributes
 * before the next write, so telling it for nothing costs a request each. A slot that another file
 * took means yes. */
static bool blocks_changed(uint64_t ino)
{
	static struct {
		_Atomic uint64_t ino, blocks;
	} seen[1024];
	size_t slot = ino % 1024;
	struct store_attr attr;
	bool same;

	if (store_getattr(fs.store, ino, &attr) < 0)
		return false;
	same = atomic_exchange(&seen[slot].blocks, attr.blocks) == attr.blocks;
	return atomic_exchange(&seen[slot].ino, ino) != ino || !same;
}

static void file_committed(void *arg, int result)
{
	struct syncing *f = arg;

	if (result == 0 && fs.opt.writeback && blocks_changed(f->ino))
		forget_attributes(f->ino);
	committed(f->req, result);
	free(f);
}

/* Valid replies: err */
void ll_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct syncing *f = malloc(sizeof(*f));
	int r;

	if (!f) {
		reply_result(req, -ENOMEM);
		return;
	}
	*f = (struct syncing){ .req = req, .ino = ino };
	/* The kernel asks only after it has told the errors of write-backs. */
	if (handles_any(ino))
		handles_note_lost(ino, 0);
	r = passthrough_commit_start(ino, file_committed, f);
	if (r < 0)
		file_committed(f, r);
}

/* Valid replies: err */
void ll_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	store_commit_start(fs.store, NULL, 0, 0, committed, req);
}

static void synced(void *arg, int result)
{
	uint64_t *unique = arg;

	wire_reply_error(*unique, result);
	free(unique);
}

/* Valid replies: error */
void native_syncfs(const struct request *r)
{
	uint64_t *unique = malloc(sizeof(*unique));
	int result;

	if (!unique) {
		wire_reply_error(r->in->unique, -ENOMEM);
		return;
	}
	*unique = r->in->unique;
	result = passthrough_commit_start(0, synced, unique);
	if (result < 0)
		synced(unique, result);
}
