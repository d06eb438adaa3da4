/* SPDX-License-Identifier: MIT */
/*
 * file.c - files opened, made and released. Decoded here for the flag that drops set-id bits, and
 * because the packaged libfuse knows no O_TMPFILE. A handle's number says whether it can write;
 * there is nothing else to remember.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/zc_ioctl.h"
#include "fs.h"
#include "live.h"
#include "passthrough.h"

#define OPENS UINT64_MAX /* for all that wait: few threads */
enum { ENDS_MS = 2500 }; /* so long an open waits for the end of an image: also for a second try */

struct opened {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};
static_assert(sizeof(struct opened) == 144, "on the wire");

/* An open that is going on; it may be parked while the file's image is filled. */
struct opening {
	struct passthrough_opening pass;
	uint64_t unique;
	bool made; /* by CREATE or TMPFILE: the answer has an entry */
	struct store_attr attr;
	struct fuse_open_out out;
	int64_t until; /* ms: waits */
};

static bool can_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void drop_handle(uint64_t ino, uint64_t fh)
{
	if (fh & HANDLE_WRITABLE)
		handles_drop(ino, fh & HANDLE_CACHED);
	if (fs.opt.passthrough)
		passthrough_release(ino, fh & HANDLE_WRITABLE);
}

/* Writes past the cache: a nearly full store must fail write(2) itself, not some later write-back; and
 * what live clients have must not be overwritten by whole pages. Counted first, looked at then: who
 * makes a file live does it the other way round. */
static bool must_be_direct(uint64_t ino, uint32_t flags)
{
	if (fs.opt.direct)
		return true;
	if (!can_write(flags))
		return false;
	if ((flags & ZC_OPEN_LIVE) == ZC_OPEN_LIVE && !fs.opt.passthrough)
		return true;
	/* (A direct handle cannot be mapped, so not one that may be meant for that.) */
	if ((flags & O_ACCMODE) == O_WRONLY && info_low_on_space())
		return true;
	return fs_live_direct(ino);
}

/* With cache=none the kernel maps direct handles, and what is stored to such a mapping is in its page
 * cache. (Nobody maps what was opened with O_DIRECT; libzc's are.) */
static bool may_be_mapped(uint32_t flags)
{
	return fs.opt.direct && (flags & O_ACCMODE) == O_RDWR && !(flags & O_DIRECT);
}

/* Take the handle as it is without passthrough. EBUSY: it may be mapped, and the file is live. */
static int take_handle(uint64_t ino, uint32_t flags, struct fuse_open_out *ret_open)
{
	bool writes = can_write(flags), direct, cached;
	int r = writes ? handles_add(ino, true) : 0;

	if (r < 0)
		return r;
	direct = must_be_direct(ino, flags);
	cached = writes && (!direct || may_be_mapped(flags));
	if (direct && cached && fs_live_direct(ino)) {
		handles_drop(ino, true);
		return -EBUSY;
	}
	if (writes && !cached)
		handles_uncache(ino);
	*ret_open = (struct fuse_open_out){ .fh = writes ? HANDLE_WRITABLE : 0 };
	if (cached)
		ret_open->fh |= HANDLE_CACHED;
	ret_open->open_flags =
		direct ? FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES : FOPEN_KEEP_CACHE;
	return 0;
}

/* By way of an image. It counts as no cached writer: the kernel holds nothing back. */
static int take_passed(uint64_t ino, uint32_t flags, uint32_t open_flags, int32_t backing,
		       struct fuse_open_out *ret_open)
{
	bool writes = can_write(flags);
	int r = writes ? handles_add(ino, false) : 0;

	if (r == 0)
		*ret_open = (struct fuse_open_out){
			.fh = writes ? HANDLE_WRITABLE : 0,
			.open_flags = open_flags,
			.PROTO_BACKING_ID = (uint32_t)backing,
		};
	return r;
}

/* The caller was killed: no RELEASE follows. */
static void take_back(const struct opening *o)
{
	drop_handle(o->pass.ino, o->out.fh);
	if (o->made)
		store_forget(fs.store, o->pass.ino, 1);
}

static void answer(struct opening *o)
{
	struct opened all = { .open = o->out };
	int r;

	if (o->made) {
		reply_fix_attr(&o->attr);
		reply_wire_entry(&o->attr, &all.entry);
		r = wire_reply_data(o->unique, &all, sizeof(all));
	} else {
		r = wire_reply_data(o->unique, &all.open, sizeof(all.open));
	}
	if (r == -ENOENT)
		take_back(o);
}

static void refuse(const struct opening *o, int result)
{
	if (o->made)
		store_forget(fs.store, o->pass.ino, 1);
	wire_reply_error(o->unique, result);
}

/* The handle was taken, or not. */
static void settle(struct opening *o, int result)
{
	if (result == 0) {
		answer(o);
		return;
	}
	if (fs.opt.passthrough)
		passthrough_release(o->pass.ino, can_write(o->pass.flags));
	refuse(o, result);
}

/* In lib/live's pool. */
static void take_later(void *arg)
{
	static const struct timespec step = { .tv_nsec = 5000000 };
	struct opening *o = arg;
	int r = -EBUSY;

	while (r == -EBUSY && fs_now_ms() < o->until) {
		nanosleep(&step, NULL);
		if (!fs_live_direct(o->pass.ino))
			r = take_handle(o->pass.ino, o->pass.flags, &o->out);
	}
	settle(o, r);
	free(o);
}

/* The last client may have left this moment: the image goes a little later. */
static bool wait_for_end(const struct opening *o)
{
	struct opening *copy = malloc(sizeof(*copy));

	if (!copy)
		return false;
	*copy = *o;
	copy->until = fs_now_ms() + ENDS_MS;
	if (live_run(fs_live, LIVE_OF_CLIENT, OPENS, o->pass.uid, take_later, copy) == 0)
		return true;
	free(copy);
	return false;
}

static void take_paged(struct opening *o)
{
	int r = take_handle(o->pass.ino, o->pass.flags, &o->out);

	if (r != -EBUSY || !wait_for_end(o))
		settle(o, r);
}

/* The inode's handle is counted by passthrough.c. */
static void finish_passed(struct opening *o, uint32_t open_flags, int32_t backing)
{
	if (open_flags)
		settle(o, take_passed(o->pass.ino, o->pass.flags, open_flags, backing, &o->out));
	else
		take_paged(o);
}

static void passed(struct passthrough_opening *pass, int result, uint32_t open_flags,
		   int32_t backing)
{
	struct opening *o = (struct opening *)pass;

	if (result < 0)
		refuse(o, result);
	else
		finish_passed(o, open_flags, backing);
	free(o);
}

static void open_passed(const struct opening *from)
{
	struct opening *o = malloc(sizeof(*o));
	uint32_t open_flags;
	int32_t backing;
	int r;

	if (!o) {
		refuse(from, -ENOMEM);
		return;
	}
	*o = *from;
	o->pass.done = passed;
	r = passthrough_open(&o->pass, &open_flags, &backing);
	if (r == 0)
		finish_passed(o, open_flags, backing);
	else if (r < 0)
		refuse(o, r);
	if (r <= 0)
		free(o);
}

/* Takes the handle and answers. */
static void open_inode(struct opening *o)
{
	if (fs.opt.passthrough)
		open_passed(o);
	else
		take_paged(o);
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
	struct opening o = {
		.unique = r->in->unique,
		.pass = { .ino = r->in->nodeid, .uid = r->in->uid },
	};
	int result = 0;

	if (r->size < sizeof(*in))
		result = -EINVAL;
	else if (in->open_flags & FUSE_OPEN_KILL_SUIDGID)
		result = kill_privileges(r->in->nodeid);
	if (result < 0) {
		wire_reply_error(r->in->unique, result);
		return;
	}
	o.pass.flags = in->flags;
	open_inode(&o);
}

static void reply_opened(const struct request *r, uint32_t flags, const struct store_attr *attr)
{
	struct opening o = {
		.unique = r->in->unique,
		.pass = { .ino = attr->ino, .flags = flags, .uid = r->in->uid },
		.made = true,
		.attr = *attr,
	};

	open_inode(&o);
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

/* Valid replies: error (also 0) */
void native_release(const struct request *r)
{
	const struct fuse_release_in *in = r->arg;

	if (r->size >= sizeof(*in))
		drop_handle(r->in->nodeid, in->fh);
	wire_reply_error(r->in->unique, r->size >= sizeof(*in) ? 0 : -EINVAL);
}
