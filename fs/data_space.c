/* SPDX-License-Identifier: MIT */
/*
 * data_space.c - fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range.
 *
 * The kernel writes its dirty pages back before fallocate and copy_file_range, but not before
 * lseek: what it has not delivered would look like a hole. So an lseek in a file that is open for
 * writing waits for a delivery.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs.h"
#include "passthrough.h"

/* Valid replies: err */
void ll_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	int r = -EBUSY;

	if (!rollback_swallows(ino))
		r = passthrough_fallocate(ino, mode, (uint64_t)offset, (uint64_t)length);
	if (r == -ENOENT)
		r = store_fallocate(fs.store, ino, mode, (uint64_t)offset, (uint64_t)length);
	reply_result(req, r);
}

struct parked {
	fuse_req_t req;
	uint64_t ino, offset;
	int whence;
};

static void reply_seek(const struct parked *p)
{
	uint64_t at = 0;
	int r = passthrough_seek(p->ino, p->offset, p->whence, &at);

	if (r == -ENOENT)
		r = store_seek(fs.store, p->ino, p->offset, p->whence, &at);
	if (r < 0)
		reply_result(p->req, r);
	else
		fuse_reply_lseek(p->req, (off_t)at);
}

static void seek_delivered(void *arg, int result)
{
	struct parked *p = arg;

	if (result < 0)
		reply_result(p->req, result);
	else
		reply_seek(p);
	free(p);
}

/* Valid replies: lseek, err */
void ll_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct parked now = {
		.req = req, .ino = ino, .offset = (uint64_t)offset, .whence = whence
	};
	const uint64_t inos[] = { ino };
	struct parked *p;
	int r;

	if (passthrough_has(ino) || !delivery_needed(ino)) {
		reply_seek(&now);
		return;
	}
	p = malloc(sizeof(*p));
	if (!p) {
		reply_result(req, -ENOMEM);
		return;
	}
	*p = now;
	r = delivery_request(inos, 1, seek_delivered, p);
	if (r < 0)
		seek_delivered(p, r);
}

/* Valid replies: write, err */
void ll_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset,
			struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_offset,
			struct fuse_file_info *out_fi, size_t length, int flags)
{
	ssize_t n = -EBUSY;

	if (passthrough_has(in) || passthrough_has(out))
		n = -EXDEV; /* the kernel copies then, by way of the images */
	else if (!rollback_swallows(out))
		n = store_copy_range(fs.store, in, (uint64_t)in_offset, out, (uint64_t)out_offset,
				     length);
	if (n < 0)
		reply_result(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* Valid replies: copy_file_range_out, error */
void native_copy_range_64(const struct request *r)
{
	const struct fuse_copy_file_range_in *in = r->arg;
	struct proto_copy_file_range_out out = { 0 };
	ssize_t n = -EINVAL;

	if (r->size >= sizeof(*in) && in->flags == 0 &&
	    (passthrough_has(r->in->nodeid) || passthrough_has(in->nodeid_out)))
		n = -EXDEV; /* as above */
	else if (r->size >= sizeof(*in) && in->flags == 0 && rollback_swallows(in->nodeid_out))
		n = -EBUSY;
	else if (r->size >= sizeof(*in) && in->flags == 0)
		n = store_copy_range(fs.store, r->in->nodeid, in->off_in, in->nodeid_out,
				     in->off_out, in->len);
	if (n < 0) {
		wire_reply_error(r->in->unique, (int)n);
		return;
	}
	out.bytes_copied = (uint64_t)n;
	wire_reply_data(r->in->unique, &out, sizeof(out));
}
