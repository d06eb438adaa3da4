/* SPDX-License-Identifier: MIT */
/* commit.c - requests for durability: parked, and answered by the store's commit thread. */
#include <errno.h>
#include <stdlib.h>

#include "fs.h"

static void committed(void *arg, int result)
{
	reply_result(arg, result);
}

/* Valid replies: err */
void ll_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const uint64_t inos[] = { ino };

	store_commit_start(fs.store, inos, 1, 0, committed, req);
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

	if (!unique) {
		wire_reply_error(r->in->unique, -ENOMEM);
		return;
	}
	*unique = r->in->unique;
	store_commit_start(fs.store, NULL, 0, STORE_COMMIT_ALL, synced, unique);
}
