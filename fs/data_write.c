/* SPDX-License-Identifier: MIT */
/*
 * data_write.c - WRITE. The payload is in the worker's pipe, from where the store splices it into the
 * page file, or on a page boundary of the worker's buffer (receive.c), so that the store writes it from
 * there.
 *
 * Write-backs of the kernel's cache leave the times alone: the kernel owns them and sends them in a
 * SETATTR of their own, which may overtake the data. Those that a delivery asks for set them, for
 * then the SETATTR comes much later, and the name that the file gets is committed before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs.h"
#include "passthrough.h"

struct parked {
	uint64_t unique;
	uint32_t size;
};

static void reply_written(uint64_t unique, uint32_t size)
{
	struct fuse_write_out out = { .size = size };

	wire_reply_data(unique, &out, sizeof(out));
}

static void committed(void *arg, int result)
{
	struct parked *p = arg;

	if (result < 0)
		wire_reply_error(p->unique, result);
	else
		reply_written(p->unique, p->size);
	free(p);
}

/* O_SYNC and O_DSYNC without the page cache: durable before the answer. */
static void commit_then_reply(uint64_t ino, uint64_t unique, uint32_t size)
{
	struct parked *p = malloc(sizeof(*p));
	int r;

	if (!p) {
		wire_reply_error(unique, -ENOMEM);
		return;
	}
	*p = (struct parked){ .unique = unique, .size = size };
	r = passthrough_commit_start(ino, committed, p);
	if (r < 0)
		committed(p, r);
}

static unsigned flags_of(const struct request *r, const struct fuse_write_in *in)
{
	unsigned flags = 0;

	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		flags |= STORE_WRITE_KILL_SUID;
	if (in->write_flags & FUSE_WRITE_CACHE && fs.opt.writeback &&
	    !(atomic_load_explicit(&fs.deliveries, memory_order_relaxed) &&
	      handles_delivering(r->in->nodeid)))
		flags |= STORE_WRITE_KEEP_TIMES;
	return flags;
}

/* -ENOENT: the file has no image. */
static ssize_t write_image(const struct request *r, const struct fuse_write_in *in)
{
	struct store_attr attr;
	ssize_t n;

	if (!passthrough_has(r->in->nodeid))
		return -ENOENT;
	if (receive_pull(r->from) < 0)
		return -EIO;
	n = passthrough_write(r->in->nodeid, in + 1, in->size, in->offset);
	if (n >= 0 && in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		store_setattr(fs.store, r->in->nodeid, STORE_SET_KILL_SUID, &attr, &attr);
	if (n >= 0)
		ledger_path(LEDGER_WRITE_IMAGE, (uint64_t)n);
	return n;
}

static ssize_t write_store(const struct request *r, const struct fuse_write_in *in)
{
	struct store_source source = receive_source(r);

	return store_write(fs.store, r->in->nodeid, in->offset, in->size, &source, flags_of(r, in));
}

/* Valid replies: write_out, error */
void native_write(const struct request *r)
{
	const struct fuse_write_in *in = r->arg;
	ssize_t n = -EINVAL;

	if (r->size >= sizeof(*in) && in->size <= r->size - sizeof(*in)) {
		if (rollback_swallows_write(r->in->nodeid, in->offset + in->size)) {
			reply_written(r->in->unique, in->size);
			return;
		}
		n = write_image(r, in);
		if (n == -ENOENT)
			n = write_store(r, in);
		/* One that began meanwhile has to know what the kernel takes for the size. */
		rollback_swallows_write(r->in->nodeid, in->offset + in->size);
	}
	if (n < 0) {
		handles_note_error(r->in->nodeid, (int)n);
		if (r->size >= sizeof(*in) && in->write_flags & FUSE_WRITE_CACHE)
			handles_note_lost(r->in->nodeid, (int)n);
		wire_reply_error(r->in->unique, (int)n);
		return;
	}
	ledger_path(LEDGER_WRITE, (uint64_t)n);
	if (!(in->write_flags & FUSE_WRITE_CACHE) && in->flags & O_DSYNC) /* O_SYNC has its bit */
		commit_then_reply(r->in->nodeid, r->in->unique, (uint32_t)n);
	else
		reply_written(r->in->unique, (uint32_t)n);
}
