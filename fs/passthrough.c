/* SPDX-License-Identifier: MIT */
/*
 * passthrough.c - which inodes have an image, from when to when.
 *
 * The kernel refuses (EIO) to have one inode open through its page cache and by passthrough at once,
 * or by two backing objects. So the first handle decides the mode of an inode, and it is kept until
 * the last one is released:
 *
 *	(none) --open--> PAGED -------------------last release--> (none)
 *	(none) --open--> FILLING --filled--> READY --last release--> READY, idle --retired--> (none)
 *	                     \--cannot--> PAGED
 *
 * A write to a memfd is durable for the kernel when it is done, so O_SYNC and O_DSYNC would be lost on
 * it: such a handle is direct as well, which sends its reads and writes, not its mappings, here.
 *
 * PAGED is the page cache, or direct I/O: these two may be mixed. FILLING parks the opens. An image
 * outlives its last handle, for a mapping does: the kernel puts the memfd in the place of the file
 * when it is mapped, and tells nobody when it goes. So an idle image is retired only when nobody else
 * has the memfd open or mapped; until then an open finds it again. Its backing object goes with the
 * last handle.
 *
 * The last bytes go to the store while the image is alone: who could write would have to open it
 * first, which changes `epoch`. Then the kernel drops what it has cached of the inode from before it
 * had an image; and only if the epoch is still the same the image is dropped.
 *
 * passthrough_i.h says who guards what.
 */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <syslog.h>
#include <unistd.h>

#include "live.h"
#include "passthrough_i.h"

enum { INLINE_FILL = 256 << 10 };

/* ---- messages to the kernel -------------------------------------------------------------- */

/* Make it forget the attributes of an inode, and its pages too unless `offset` is below 0. */
static void forget_cached(uint64_t ino, int64_t offset)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inval;
	} out = {
		.header = { .len = sizeof(out), .error = FUSE_NOTIFY_INVAL_INODE },
		.inval = { .ino = ino, .off = offset },
	};

	/* ENOENT: the kernel does not know the inode. */
	(void)!write(wire_fd(0), &out, sizeof(out));
}

/* By a thread that serves no requests: the kernel waits for those that fill the pages. */
static void forget_job(uint64_t ino, void *arg)
{
	forget_cached(ino, 0);
}

void passthrough_cached(uint64_t ino)
{
	if (pt_job(forget_job, ino, NULL) < 0)
		log_text(LOG_WARNING, "inode %llu: the kernel may show old bytes of it: %s",
			 (unsigned long long)ino, strerror(ENOMEM));
}

int pt_backing_open(int fd)
{
	struct proto_backing_map map = { .fd = fd };
	int id = ioctl(wire_fd(0), PROTO_IOC_BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

static void backing_close(struct pt_inode *i)
{
	uint32_t id = (uint32_t)i->backing;

	if (id)
		ioctl(wire_fd(0), PROTO_IOC_BACKING_CLOSE, &id);
	i->backing = 0;
}

/* ---- filling ----------------------------------------------------------------------------- */

static bool wants(uint64_t ino, uint64_t *ret_size)
{
	struct store_attr attr;

	if (store_getattr(fs.store, ino, &attr) < 0 || !S_ISREG(attr.mode))
		return false;
	if (fs.opt.passthrough != PASSTHROUGH_ALL && !(attr.flags & STORE_INODE_LIVE))
		return false;
	*ret_size = attr.size;
	return true;
}

static int make(struct pt_inode *i)
{
	struct store_attr attr;
	int r = pt_memory_make(&i->memory);

	if (r == 0)
		r = store_ref(fs.store, i->ino, &attr);
	if (r < 0) {
		pt_memory_drop(&i->memory);
		return r;
	}
	do {
		pthread_mutex_lock(&pt.lock);
		i->again = false;
		pthread_mutex_unlock(&pt.lock);
		r = pt_memory_fill(&i->memory, i->ino);
		if (r == 0 && !i->backing) {
			int id = pt_backing_open(i->memory.fd);

			i->backing = id < 0 ? 0 : id;
			r = id < 0 ? id : 0;
		}
		pthread_mutex_lock(&pt.lock);
		if (r == 0 && !i->again)
			i->state = PT_READY;
		pthread_mutex_unlock(&pt.lock);
	} while (r == 0 && i->state != PT_READY);
	if (r < 0) {
		backing_close(i);
		pt_memory_drop(&i->memory);
		store_forget(fs.store, i->ino, 1);
	}
	return r;
}

static uint32_t open_flags(uint32_t flags)
{
	return PROTO_FOPEN_PASSTHROUGH |
	       (flags & O_DSYNC && (flags & O_ACCMODE) != O_RDONLY ? FOPEN_DIRECT_IO : 0);
}

/* `backing` 0: by the page cache. */
static void answer_all(struct passthrough_opening *waiting, int32_t backing)
{
	while (waiting) {
		struct passthrough_opening *o = waiting;

		waiting = o->next;
		o->done(o, 0, backing ? open_flags(o->flags) : 0, backing);
	}
}

/* The parked opens keep the inode. */
static void fill(uint64_t ino, void *arg)
{
	struct pt_inode *i = arg;
	struct passthrough_opening *waiting;
	int32_t backing;
	int r = make(i);

	if (r < 0)
		log_text(
			LOG_WARNING,
			"inode %llu cannot be passed through, it is served from the page cache: %s",
			(unsigned long long)ino, strerror(-r));
	else
		forget_cached(ino, -1);
	pthread_mutex_lock(&pt.lock);
	if (r < 0) {
		i->state = PT_PAGED;
		pt_count(i, 0);
		atomic_fetch_sub(&pt.images, 1);
		pt.totals.refused++;
	}
	waiting = i->waiting;
	i->waiting = NULL;
	backing = i->backing;
	pthread_mutex_unlock(&pt.lock);
	answer_all(waiting, r < 0 ? 0 : backing);
}

/* ---- opens ------------------------------------------------------------------------------- */

/* Lock held: of the first handle of an inode. */
static void choose(struct pt_inode *i, uint32_t uid, bool wanted, uint64_t size)
{
	/* Counted first, looked at then: lib/live does it the other way round. */
	unsigned before = atomic_fetch_add(&pt.images, 1);

	if (fs_live_direct(i->ino))
		wanted = false;
	if (wanted && before < pt.images_max && live_room_take(fs_live_room, uid, size) == 0) {
		i->state = PT_FILLING;
		i->uid = uid;
		i->counted = size;
		pt.bytes += size;
		return;
	}
	atomic_fetch_sub(&pt.images, 1);
	i->state = PT_PAGED;
	pt.totals.refused += wanted;
}

static bool can_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void count_open(struct pt_inode *i, bool writable)
{
	i->opens++;
	i->epoch++;
	i->writers += writable;
	i->written = i->written || writable;
	i->lingers = false;
}

/* Lock held. READY: the kernel's number of the image. */
static int answer_ready(struct pt_inode *i, uint32_t flags, uint32_t *ret_flags,
			int32_t *ret_backing)
{
	int r;

	if (!i->backing) {
		r = pt_backing_open(i->memory.fd);
		if (r < 0)
			return r;
		i->backing = r;
	}
	pt.totals.opens++;
	*ret_flags = open_flags(flags);
	*ret_backing = i->backing;
	return 0;
}

int passthrough_open(struct passthrough_opening *o, uint32_t *ret_flags, int32_t *ret_backing)
{
	uint64_t size = 0;
	bool wanted = wants(o->ino, &size), first;
	struct pt_inode *i;
	int r = 0;

	pthread_mutex_lock(&pt.lock);
	i = pt_find_or_add(o->ino);
	if (!i) {
		pthread_mutex_unlock(&pt.lock);
		return -ENOMEM;
	}
	first = i->state == PT_NEW;
	if (first)
		choose(i, o->uid, wanted, size);
	count_open(i, can_write(o->flags));
	if (i->state == PT_FILLING) {
		o->next = i->waiting;
		i->waiting = o;
		pt.totals.opens++;
		r = 1;
	} else if (i->state == PT_READY) {
		r = answer_ready(i, o->flags, ret_flags, ret_backing);
	} else {
		*ret_flags = 0;
		*ret_backing = 0;
	}
	pthread_mutex_unlock(&pt.lock);
	if (r < 0)
		passthrough_release(o->ino, can_write(o->flags));
	/* Small ones at once; so are all if there is no memory for a job. */
	if (r == 1 && first && (size <= INLINE_FILL || pt_job(fill, o->ino, i) < 0))
		fill(i->ino, i);
	return r;
}

void passthrough_release(uint64_t ino, bool writable)
{
	struct pt_inode *i, *gone = NULL;

	pthread_mutex_lock(&pt.lock);
	i = pt_find(ino);
	if (i) {
		i->opens--;
		i->writers -= writable;
		if (!i->opens && i->state == PT_PAGED)
			gone = i;
		else if (!i->opens)
			backing_close(i);
		pt_retire_soon(i);
	}
	if (gone)
		pt_remove(gone);
	pthread_mutex_unlock(&pt.lock);
	free(gone);
}

/* ---- the end of an image ----------------------------------------------------------------- */

static int store_last(struct pt_inode *i)
{
	struct store_attr attr;
	int r = store_getattr(fs.store, i->ino, &attr);

	/* Nobody can ever see it again. */
	if (r < 0 || attr.nlink == 0)
		return 0;
	r = pt_memory_store(&i->memory, i->ino);
	if (r < 0 && !i->lingers)
		log_text(LOG_ERR, "inode %llu: its live bytes cannot be stored: %s",
			 (unsigned long long)i->ino, strerror(-r));
	return r;
}

void pt_drop(struct pt_inode *i)
{
	pt_memory_drop(&i->memory);
	store_forget(fs.store, i->ino, 1);
	free(i);
}

void pt_retire(uint64_t ino, void *arg)
{
	struct pt_inode *i;
	uint64_t epoch = 0;
	bool written = false, keep = false, alone = false;
	int r = 0;

	pthread_mutex_lock(&pt.lock);
	i = pt_find(ino);
	if (i && pt_idle(i)) {
		i->users++;
		epoch = i->epoch;
		written = i->written;
		/* (With the lock: no open that the kernel does now meets the lease.) */
		alone = pt_memory_alone(&i->memory);
	} else {
		if (i)
			i->retiring = false;
		i = NULL;
	}
	pthread_mutex_unlock(&pt.lock);
	if (!i)
		return;
	if (alone && written)
		r = store_last(i);
	if (alone && r == 0)
		forget_cached(ino, 0);
	pthread_mutex_lock(&pt.lock);
	i->users--;
	i->retiring = false;
	if (alone && r == 0 && pt_idle(i) && i->epoch == epoch)
		pt_remove(i);
	else
		keep = true;
	i->lingers = keep && pt_idle(i);
	pthread_mutex_unlock(&pt.lock);
	if (!keep)
		pt_drop(i);
}
