/* SPDX-License-Identifier: MIT */
/*
 * attr.c - attributes.
 *
 * SETATTR is decoded here, because the packaged libfuse drops FATTR_KILL_SUIDGID. With the
 * writeback cache the kernel owns size and times of regular files: it names the times that a
 * truncation changes, so the store must not add any of its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "fs.h"
#include "live.h"
#include "passthrough.h"

static void reply_attr(uint64_t unique, struct store_attr *attr)
{
	struct fuse_attr_out out = { .attr_valid = passthrough_timeout(attr) };

	reply_fix_attr(attr);
	reply_wire_attr(attr, &out.attr);
	wire_reply_data(unique, &out, sizeof(out));
}

/* Valid replies: attr_out, error */
void native_getattr(const struct request *r)
{
	struct store_attr attr;
	int result = store_getattr(fs.store, r->in->nodeid, &attr);

	if (result < 0)
		wire_reply_error(r->in->unique, result);
	else
		reply_attr(r->in->unique, &attr);
}

/* Valid replies: readlink, err */
void ll_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[4096];
	ssize_t n = store_readlink(fs.store, ino, target, sizeof(target) - 1);

	if (n < 0) {
		reply_result(req, (int)n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

/* Valid replies: statfs, err */
void ll_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct store_space space;
	struct statvfs st = { .f_bsize = FS_PAGE, .f_frsize = FS_PAGE, .f_namemax = 255 };

	store_get_space(fs.store, &space);
	st.f_blocks = space.total_pages;
	st.f_bfree = st.f_bavail = space.avail_pages;
	/* There is no table of inodes: as many as there are pages for them. */
	st.f_files = space.inodes + space.avail_pages;
	st.f_ffree = st.f_favail = space.avail_pages;
	fuse_reply_statfs(req, &st);
}

static struct timespec wire_time(uint64_t sec, uint32_t nsec)
{
	return (struct timespec){ .tv_sec = (time_t)sec, .tv_nsec = nsec };
}

static unsigned set_of(const struct fuse_setattr_in *in)
{
	static const struct {
		uint32_t wire;
		unsigned set;
	} table[] = {
		{ FATTR_MODE, STORE_SET_MODE },
		{ FATTR_UID, STORE_SET_UID },
		{ FATTR_GID, STORE_SET_GID },
		{ FATTR_SIZE, STORE_SET_SIZE },
		{ FATTR_ATIME, STORE_SET_ATIME },
		{ FATTR_MTIME, STORE_SET_MTIME },
		{ FATTR_CTIME, STORE_SET_CTIME },
		{ FATTR_ATIME_NOW, STORE_SET_ATIME_NOW },
		{ FATTR_MTIME_NOW, STORE_SET_MTIME_NOW },
		{ FATTR_KILL_SUIDGID, STORE_SET_KILL_SUID },
	};
	unsigned set = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (in->valid & table[i].wire)
			set |= table[i].set;
	if (set & STORE_SET_ATIME_NOW)
		set &= ~(unsigned)STORE_SET_ATIME;
	if (set & STORE_SET_MTIME_NOW)
		set &= ~(unsigned)STORE_SET_MTIME;
	/* The kernel's own now, where it comes with that: both times are to be the same. */
	if (set & STORE_SET_ATIME_NOW && set & STORE_SET_MTIME)
		set ^= STORE_SET_ATIME_NOW | STORE_SET_ATIME;
	return set;
}

/* Does the change end the privileges of the file? chown does, also to the same owner, which shows
 * as a change of ctime alone; the kernel asks for it without naming any field. */
static bool ends_privileges(uint32_t valid)
{
	valid &= ~(uint32_t)(FATTR_FH | FATTR_LOCKOWNER);
	return valid & (FATTR_UID | FATTR_GID | FATTR_KILL_SUIDGID) || valid == 0 ||
	       valid == FATTR_CTIME;
}

/* What a rollback swallows. */
#define DATA_HALF (STORE_SET_SIZE | STORE_SET_MTIME | STORE_SET_MTIME_NOW | STORE_SET_CTIME)

/* An image is cut at once; the store learns of its size by the next commit. */
static int cut_image(uint64_t ino, uint64_t size, unsigned *set)
{
	int r = *set & STORE_SET_SIZE ? passthrough_truncate(ino, size) : -ENOENT;

	if (r == 0)
		*set &= ~(unsigned)STORE_SET_SIZE;
	return r == -ENOENT ? 0 : r;
}

static int apply(uint64_t ino, const struct fuse_setattr_in *in, struct store_attr *ret_attr)
{
	struct store_attr attr = {
		.mode = in->mode & 07777,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = wire_time(in->atime, in->atimensec),
		.mtime = wire_time(in->mtime, in->mtimensec),
		.ctime = wire_time(in->ctime, in->ctimensec),
	};
	unsigned set = set_of(in);
	bool sized = set & STORE_SET_SIZE;
	bool ends = ends_privileges(in->valid);
	struct pt_inode *timed = NULL;
	int r;

	if (set & DATA_HALF && rollback_swallows(ino)) {
		set &= ~(unsigned)DATA_HALF;
		if (!(set & ~(unsigned)STORE_SET_KILL_SUID)) {
			r = store_getattr(fs.store, ino, ret_attr);
			if (r == 0 && sized)
				rollback_told_size(ino, ret_attr->size);
			return r;
		}
	}
	if (ends || set & STORE_SET_SIZE) {
		r = store_getattr(fs.store, ino, ret_attr);
		if (r < 0)
			return r;
		if (set & STORE_SET_SIZE && fs.opt.writeback && S_ISREG(ret_attr->mode))
			set |= STORE_SET_KEEP_TIMES;
		if (ends && !S_ISDIR(ret_attr->mode)) {
			/* (Without the writeback cache, chown to the same owner has no field.) */
			if (ret_attr->mode & (S_ISUID | S_ISGID) || !set)
				set |= STORE_SET_KILL_SUID;
			r = store_removexattr(fs.store, ino, "security.capability");
			if (r < 0 && r != -ENODATA)
				return r;
		}
		if (ends && S_ISDIR(ret_attr->mode))
			set &= ~(unsigned)STORE_SET_KILL_SUID;
	}
	if (!set) /* chown to nobody else: only ctime moves */
		set = STORE_SET_KILL_SUID;
	r = cut_image(ino, in->size, &set);
	if (r == 0 && set & (STORE_SET_MTIME | STORE_SET_MTIME_NOW))
		timed = passthrough_times_begin(ino);
	if (r == 0)
		r = set ? store_setattr(fs.store, ino, set, &attr, ret_attr)
			: store_getattr(fs.store, ino, ret_attr);
	passthrough_times_end(timed, r == 0);
	if (r == 0 && set & STORE_SET_SIZE)
		r = passthrough_resized(ino, in->size);
	return r;
}

/* Valid replies: attr_out, error */
void native_setattr(const struct request *r)
{
	struct store_attr attr;
	int result;

	if (r->size < sizeof(struct fuse_setattr_in)) {
		wire_reply_error(r->in->unique, -EINVAL);
		return;
	}
	result = apply(r->in->nodeid, r->arg, &attr);
	if (result < 0) {
		wire_reply_error(r->in->unique, result);
		return;
	}
	reply_attr(r->in->unique, &attr);
}

static struct proto_sx_time sx_time(struct timespec t)
{
	return (struct proto_sx_time){ .sec = t.tv_sec, .nsec = (uint32_t)t.tv_nsec };
}

/* Valid replies: statx_out, error. Asked for when somebody wants the time of birth. */
void native_statx(const struct request *r)
{
	struct proto_statx_out out = { 0 };
	struct proto_statx *sx = &out.stat;
	struct store_attr a;
	int result = store_getattr(fs.store, r->in->nodeid, &a);

	if (result < 0) {
		wire_reply_error(r->in->unique, result);
		return;
	}
	reply_fix_attr(&a);
	out.attr_valid = passthrough_timeout(&a);
	sx->mask = STATX_BASIC_STATS | STATX_BTIME;
	sx->blksize = FS_PAGE;
	sx->nlink = (uint32_t)a.nlink;
	sx->uid = a.uid;
	sx->gid = a.gid;
	sx->mode = (uint16_t)a.mode;
	sx->ino = a.ino;
	sx->size = a.size;
	sx->blocks = a.blocks;
	sx->atime = sx_time(a.atime);
	sx->btime = sx_time(a.btime);
	sx->ctime = sx_time(a.ctime);
	sx->mtime = sx_time(a.mtime);
	sx->rdev_major = major(a.rdev);
	sx->rdev_minor = minor(a.rdev);
	wire_reply_data(r->in->unique, &out, sizeof(out));
}
