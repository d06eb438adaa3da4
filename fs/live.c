/* SPDX-License-Identifier: MIT */
/*
 * live.c - see live.h.
 *
 * Threads: workers, and those of lib/live's pool, which may wait. A request that is handed over to the
 * pool is copied; the kernel's caller waits for its answer meanwhile, so there are as many of them as
 * there are callers; their payload is bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include "fs.h"
#include "live.h"
#include "passthrough.h"

#define PARKED_MOST (128u << 20)
/* The owner of images: nobody. Those who are, and root, may open one anew as they like. */
#define IMAGE_OWNER 0xffffff00u

struct live *fs_live;
struct live_room *fs_live_room;
static _Atomic uint64_t parked_bytes;

struct parked {
	size_t size;
	struct fuse_in_header in; /* and what follows it */
};

bool fs_live_is(uint64_t ino)
{
	return fs_live && (ino ? live_is(fs_live, ino) : live_any(fs_live));
}

bool fs_live_direct(uint64_t ino)
{
	return fs_live_is(ino);
}

void fs_live_attr(struct store_attr *attr)
{
	if (fs_live)
		live_fix_attr(fs_live, attr);
}

void fs_live_entry(struct store_attr *attr)
{
	if (fs_live)
		live_fix_entry(fs_live, attr);
}

int fs_live_flush(uint64_t ino)
{
	return fs_live ? live_flush(fs_live, &ino, 1) : 0;
}

int fs_live_rollback(uint64_t ino, struct store_attr *ret_attr)
{
	return fs_live ? live_rollback(fs_live, ino, ret_attr)
		       : store_rollback(fs.store, ino, ret_attr);
}

/* ---- requests ----------------------------------------------------------------------------- */

/* As ever, while no image is begun. */
static void serve_plain(const struct request *r)
{
	struct fuse_buf buf = { .mem = (void *)(uintptr_t)r->in, .size = sizeof(*r->in) + r->size };

	if (!native_dispatch(r))
		fuse_session_process_buf(fs.session, &buf);
}

static void reply_written(uint64_t unique, uint32_t size)
{
	struct fuse_write_out out = { .size = size };

	wire_reply_data(unique, &out, sizeof(out));
}

/* -EAGAIN: not now, ask where it may wait; -ENOENT: not live. Otherwise it is answered. */
static int serve_write(const struct request *r, bool wait)
{
	const struct fuse_write_in *in = r->arg;
	uint64_t ino = r->in->nodeid;
	bool cached = in->write_flags & FUSE_WRITE_CACHE;
	bool sync = !cached && in->flags & O_DSYNC;
	struct store_attr attr = { 0 };
	ssize_t n;

	if (r->size < sizeof(*in) || in->size > r->size - sizeof(*in)) {
		wire_reply_error(r->in->unique, -EINVAL);
		return 0;
	}
	if (sync && !wait)
		return -EAGAIN;
	n = live_write(fs_live, ino, in + 1, in->size, in->offset,
		       (wait ? LIVE_WAIT : 0) | (cached ? LIVE_CACHED : 0));
	if (n == -EAGAIN || n == -ENOENT)
		return (int)n;
	if (n >= 0 && in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		store_setattr(fs.store, ino, STORE_SET_KILL_SUID, &attr, &attr);
	if (n >= 0 && sync) {
		int e = live_commit(fs_live, &ino, 1, 0, NULL);

		n = e < 0 ? e : n;
	}
	if (n < 0) {
		handles_note_error(ino, (int)n);
		if (cached)
			handles_note_lost(ino, (int)n);
		wire_reply_error(r->in->unique, (int)n);
		return 0;
	}
	ledger_path(LEDGER_WRITE, (uint64_t)n);
	ledger_path(LEDGER_WRITE_IMAGE, (uint64_t)n);
	reply_written(r->in->unique, (uint32_t)n);
	return 0;
}

/* The image gets the size, the store all else. */
static int serve_setattr(const struct request *r)
{
	struct {
		struct fuse_in_header in;
		struct fuse_setattr_in arg;
	} rest = { .in = *r->in };
	struct request without = { .in = &rest.in, .arg = &rest.arg, .size = sizeof(rest.arg) };
	int result;

	memcpy(&rest.arg, r->arg, sizeof(rest.arg));
	if (fs.opt.allow_root && r->in->uid != fs.owner && r->in->uid != 0)
		result = -EACCES;
	else
		result = live_truncate(fs_live, r->in->nodeid, rest.arg.size);
	if (result == -ENOENT)
		return result;
	if (result < 0) {
		wire_reply_error(r->in->unique, result);
		return 0;
	}
	rollback_told_size(r->in->nodeid, rest.arg.size);
	rest.arg.valid &= ~(uint32_t)FATTR_SIZE;
	if (!fs.opt.writeback || !(rest.arg.valid & FATTR_MTIME))
		rest.arg.valid |= FATTR_MTIME | FATTR_MTIME_NOW;
	native_setattr(&without);
	return 0;
}

static int serve_fallocate(const struct request *r)
{
	const struct fuse_fallocate_in *in = r->arg;
	int result = -EINVAL;

	if (r->size >= sizeof(*in))
		result = live_fallocate(fs_live, r->in->nodeid, (int)in->mode, in->offset,
					in->length);
	if (result == -ENOENT)
		return result;
	wire_reply_error(r->in->unique, result);
	return 0;
}

static int serve_fsync(const struct request *r)
{
	uint64_t ino = r->in->nodeid;

	if (handles_any(ino))
		handles_note_lost(ino, 0);
	wire_reply_error(r->in->unique, live_commit(fs_live, &ino, 1, 0, NULL));
	return 0;
}

static int serve_syncfs(const struct request *r)
{
	int result = live_flush_all(fs_live, false);

	if (result < 0)
		wire_reply_error(r->in->unique, result);
	else
		native_syncfs(r);
	return 0;
}

/* In the pool. */
static int serve_slowly(const struct request *r)
{
	switch (r->in->opcode) {
	case FUSE_WRITE:
		return serve_write(r, true);
	case FUSE_SETATTR:
		return serve_setattr(r);
	case FUSE_FALLOCATE:
		return serve_fallocate(r);
	case FUSE_FSYNC:
		return serve_fsync(r);
	default:
		return serve_syncfs(r);
	}
}

static void parked_run(void *arg)
{
	struct parked *p = arg;
	const struct request r = {
		.in = &p->in,
		.arg = &p->in + 1,
		.size = p->size - sizeof(p->in),
	};

	while (serve_slowly(&r) == -ENOENT)
		if (live_enter(fs_live, r.in->nodeid)) {
			serve_plain(&r);
			live_leave(fs_live, r.in->nodeid);
			break;
		}
	atomic_fetch_sub(&parked_bytes, p->size);
	free(p);
}

static void park(const struct request *r)
{
	size_t size = sizeof(*r->in) + r->size;
	/* (Nobody waits for somebody else's fsync; for writes the kernel may.) */
	uid_t uid = r->in->opcode == FUSE_FSYNC ? r->in->uid : 0;
	struct parked *p = NULL;
	int result = -EBUSY;

	if (atomic_fetch_add(&parked_bytes, size) + size <= PARKED_MOST) {
		p = malloc(sizeof(p->size) + size + 16);
		result = -ENOMEM;
	}
	if (p) {
		p->size = size;
		memcpy(&p->in, r->in, sizeof(p->in));
		memcpy(&p->in + 1, r->arg, r->size);
		result = live_run(fs_live, LIVE_OF_KERNEL, r->in->nodeid, uid, parked_run, p);
	}
	if (result < 0) {
		atomic_fetch_sub(&parked_bytes, size);
		free(p);
		wire_reply_error(r->in->unique, result);
	}
}

static bool changes(const struct request *r)
{
	const struct fuse_setattr_in *set = r->arg;

	switch (r->in->opcode) {
	case FUSE_WRITE:
	case FUSE_FALLOCATE:
		return true;
	case FUSE_SETATTR:
		return r->size >= sizeof(*set) && set->valid & FATTR_SIZE;
	default:
		return false;
	}
}

static bool serve_read(const struct request *r)
{
	const struct fuse_read_in *in = r->arg;
	ssize_t n;

	if (!live_any(fs_live) || r->size < sizeof(*in) || in->size > FS_MAX_IO)
		return false;
	n = live_read(fs_live, r->in->nodeid, r->out, in->size, in->offset,
		      (in->fh & (HANDLE_WRITABLE | HANDLE_CACHED)) != HANDLE_WRITABLE);
	if (n == -ENOENT)
		return false;
	if (n < 0) {
		wire_reply_error(r->in->unique, (int)n);
		return true;
	}
	ledger_path(LEDGER_READ, (uint64_t)n);
	ledger_path(LEDGER_READ_IMAGE, (uint64_t)n);
	wire_reply_data(r->in->unique, r->out, (size_t)n);
	return true;
}

static bool serve_seek(const struct request *r)
{
	const struct fuse_lseek_in *in = r->arg;
	struct fuse_lseek_out out;
	int result;

	if (!live_any(fs_live) || r->size < sizeof(*in))
		return false;
	result = live_seek(fs_live, r->in->nodeid, in->offset, (int)in->whence, &out.offset);
	if (result == -ENOENT)
		return false;
	if (result < 0)
		wire_reply_error(r->in->unique, result);
	else
		wire_reply_data(r->in->unique, &out, sizeof(out));
	return true;
}

/* The kernel copies itself then, by reading and writing. */
static bool serve_copy(const struct request *r, bool *ret_entered)
{
	const struct fuse_copy_file_range_in *in = r->arg;

	if (r->size < sizeof(*in))
		return false;
	if (!fs_live_is(r->in->nodeid) && live_enter(fs_live, in->nodeid_out)) {
		*ret_entered = true;
		return false;
	}
	wire_reply_error(r->in->unique, -EXDEV);
	return true;
}

bool fs_live_serve(const struct request *r, bool *ret_entered)
{
	*ret_entered = false;
	if (!fs_live)
		return false;
	switch (r->in->opcode) {
	case FUSE_READ:
		return serve_read(r);
	case FUSE_LSEEK:
		return serve_seek(r);
	case FUSE_COPY_FILE_RANGE:
	case PROTO_COPY_FILE_RANGE_64:
		return serve_copy(r, ret_entered);
	case FUSE_FSYNC:
		if (!fs_live_is(r->in->nodeid))
			return false;
		park(r);
		return true;
	case FUSE_SYNCFS:
		if (!fs_live_is(0))
			return false;
		park(r);
		return true;
	}
	if (!changes(r))
		return false;
	for (;;) {
		int result = -EAGAIN;

		if (live_enter(fs_live, r->in->nodeid)) {
			*ret_entered = true;
			return false;
		}
		/* An image is memory. */
		if (receive_pull(r->from) < 0) {
			wire_reply_error(r->in->unique, -EIO);
			return true;
		}
		if (r->in->opcode == FUSE_WRITE)
			result = serve_write(r, false);
		if (result == -EAGAIN)
			park(r);
		if (result != -ENOENT)
			return true;
	}
}

void fs_live_left(const struct request *r, bool entered)
{
	const struct fuse_copy_file_range_in *copy = r->arg;

	if (!entered)
		return;
	if (r->in->opcode == FUSE_COPY_FILE_RANGE || r->in->opcode == PROTO_COPY_FILE_RANGE_64)
		live_leave(fs_live, copy->nodeid_out);
	else
		live_leave(fs_live, r->in->nodeid);
}

/* ---- hooks of lib/live -------------------------------------------------------------------- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
	int result;
};

static void delivered(void *arg, int result)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	w->result = result;
	w->is_done = true;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
}

static int deliver(void *arg, uint64_t ino)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
	int r;

	/* (An image of the other kind may have begun since it was asked for.) */
	if (rollback_swallows(ino) || passthrough_has(ino))
		return -EBUSY;
	r = delivery_request(&ino, 1, delivered, &w);
	if (r < 0)
		return r;
	pthread_mutex_lock(&w.lock);
	while (!w.is_done)
		pthread_cond_wait(&w.done, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.result;
}

static int others_begin(void *arg, const uint64_t *inos, size_t n, void **ret_others)
{
	struct passthrough_hold *hold = NULL;
	int r = passthrough_hold_begin(inos, n, &hold);

	if (r == 0)
		*ret_others = hold;
	return r;
}

static int others_store(void *others)
{
	return passthrough_hold_store(others);
}

static void others_end(void *others)
{
	passthrough_hold_end(others);
}

static unsigned others_taken_back(void *arg, const uint64_t *inos, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += passthrough_taken_back(inos[i]);
	return sum;
}

static bool cached_writers(void *arg, uint64_t ino, bool own)
{
	return handles_cached(ino) > (own ? 1u : 0u);
}

static uint64_t default_limit(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages / 4 * (uint64_t)size : 1ull << 30;
}

int fs_live_start(void)
{
	struct live_options options = {
		.store = fs.store,
		.commit_seconds = fs.opt.commit_seconds,
		.owner = geteuid() == 0 ? IMAGE_OWNER : (uid_t)-1,
		.log = log_store,
		.deliver = deliver,
		.others_begin = fs.opt.passthrough ? others_begin : NULL,
		.others_store = others_store,
		.others_end = others_end,
		.others_taken_back = others_taken_back,
		.cached_writers = cached_writers,
	};
	struct rlimit files;
	int r;

	r = live_room_new(fs.opt.live_limit ? fs.opt.live_limit : default_limit(), &fs_live_room);
	if (r < 0 || fs.opt.read_only)
		return r;
	options.room = fs_live_room;
	/* Each client takes two descriptors, each image one. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return live_new(&options, &fs_live);
}

void fs_live_stop(void)
{
	live_free(fs_live);
	fs_live = NULL;
}

void fs_live_room_end(void)
{
	live_room_free(fs_live_room);
	fs_live_room = NULL;
}
