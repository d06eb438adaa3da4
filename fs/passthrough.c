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
 * `lock` guards the table and what is in it, the memory of an image excepted, which may be used by
 * who is counted in `users`. It is held across system calls that do not wait, and no call of the store.
 */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include "passthrough_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum { BUCKETS = 1024, INLINE_FILL = 256 << 10 };

enum state { NEW, PAGED, FILLING, READY };

struct commit {
	struct commit *next;
	store_commit_fn *done;
	void *arg;
};

struct inode {
	LIST_ENTRY(inode) link;
	uint64_t ino, epoch;
	enum state state;
	unsigned opens, writers, attached, users;
	int32_t backing; /* 0: none */
	bool written;	 /* somebody could write since it was filled */
	bool again;	 /* FILLING: the store has another size meanwhile */
	bool lingers;	 /* could not be retired */
	bool retiring;	 /* is, or will be soon */
	uint64_t counted;
	int64_t committed_ms;
	struct passthrough_opening *waiting;
	struct commit *commits;
	struct pt_memory memory;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(bucket, inode) table[BUCKETS];
static _Atomic unsigned images;
static unsigned images_max;
static uint64_t bytes, limit; /* of all images, by their size when filled or at the last tick */
static struct passthrough_totals totals;

/* ---- the table; lock held ---------------------------------------------------------------- */

static struct inode *find(uint64_t ino)
{
	struct inode *i;

	LIST_FOREACH(i, &table[ino % BUCKETS], link)
		if (i->ino == ino)
			break;
	return i;
}

static struct inode *find_or_add(uint64_t ino)
{
	struct inode *i = find(ino);

	if (i)
		return i;
	i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	i->ino = ino;
	i->memory.fd = -1;
	LIST_INSERT_HEAD(&table[ino % BUCKETS], i, link);
	return i;
}

static void remove_inode(struct inode *i)
{
	LIST_REMOVE(i, link);
	bytes -= i->counted;
	if (i->state == READY || i->state == FILLING)
		atomic_fetch_sub(&images, 1);
}

static bool idle(const struct inode *i)
{
	return i->state == READY && !i->opens && !i->attached && !i->users;
}

static void retire(uint64_t ino, void *arg);

static void retire_soon(struct inode *i)
{
	if (!idle(i) || i->retiring)
		return;
	i->retiring = pt_job(retire, i->ino, NULL) == 0;
	i->lingers = !i->retiring; /* the next tick tries again */
}

/* ---- using an image ---------------------------------------------------------------------- */

static struct inode *use(uint64_t ino)
{
	struct inode *i;

	if (atomic_load(&images) == 0)
		return NULL;
	pthread_mutex_lock(&lock);
	i = find(ino);
	if (i && i->state == READY)
		i->users++;
	else
		i = NULL;
	pthread_mutex_unlock(&lock);
	return i;
}

static void unuse(struct inode *i)
{
	pthread_mutex_lock(&lock);
	i->users--;
	retire_soon(i);
	pthread_mutex_unlock(&lock);
}

bool passthrough_has(uint64_t ino)
{
	struct inode *i;
	bool has;

	if (atomic_load(&images) == 0)
		return false;
	if (ino == 0)
		return true;
	pthread_mutex_lock(&lock);
	i = find(ino);
	has = i && (i->state == READY || i->state == FILLING);
	pthread_mutex_unlock(&lock);
	return has;
}

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

static int backing_open(int fd)
{
	struct proto_backing_map map = { .fd = fd };
	int id = ioctl(wire_fd(0), PROTO_IOC_BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

static void backing_close(struct inode *i)
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

static int make(struct inode *i)
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
		pthread_mutex_lock(&lock);
		i->again = false;
		pthread_mutex_unlock(&lock);
		r = pt_memory_fill(&i->memory, i->ino);
		if (r == 0 && !i->backing) {
			int id = backing_open(i->memory.fd);

			i->backing = id < 0 ? 0 : id;
			r = id < 0 ? id : 0;
		}
		pthread_mutex_lock(&lock);
		if (r == 0 && !i->again)
			i->state = READY;
		pthread_mutex_unlock(&lock);
	} while (r == 0 && i->state != READY);
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
	struct inode *i = arg;
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
	pthread_mutex_lock(&lock);
	if (r < 0) {
		i->state = PAGED;
		bytes -= i->counted;
		i->counted = 0;
		atomic_fetch_sub(&images, 1);
		totals.refused++;
	}
	waiting = i->waiting;
	i->waiting = NULL;
	backing = i->backing;
	pthread_mutex_unlock(&lock);
	answer_all(waiting, r < 0 ? 0 : backing);
}

/* ---- opens ------------------------------------------------------------------------------- */

/* Lock held: of the first handle of an inode. */
static void choose(struct inode *i, bool wanted, uint64_t size)
{
	if (fs_live_direct && fs_live_direct(i->ino))
		wanted = false;
	if (wanted && bytes + size <= limit && images < images_max) {
		i->state = FILLING;
		i->counted = size;
		bytes += size;
		atomic_fetch_add(&images, 1);
		return;
	}
	i->state = PAGED;
	totals.refused += wanted;
}

static bool can_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void count_open(struct inode *i, bool writable)
{
	i->opens++;
	i->epoch++;
	i->writers += writable;
	i->written = i->written || writable;
	i->lingers = false;
}

/* Lock held. READY: the kernel's number of the image. */
static int answer_ready(struct inode *i, uint32_t flags, uint32_t *ret_flags, int32_t *ret_backing)
{
	int r;

	if (!i->backing) {
		r = backing_open(i->memory.fd);
		if (r < 0)
			return r;
		i->backing = r;
	}
	totals.opens++;
	*ret_flags = open_flags(flags);
	*ret_backing = i->backing;
	return 0;
}

int passthrough_open(struct passthrough_opening *o, uint32_t *ret_flags, int32_t *ret_backing)
{
	uint64_t size = 0;
	bool wanted = wants(o->ino, &size), first;
	struct inode *i;
	int r = 0;

	pthread_mutex_lock(&lock);
	i = find_or_add(o->ino);
	if (!i) {
		pthread_mutex_unlock(&lock);
		return -ENOMEM;
	}
	first = i->state == NEW;
	if (first)
		choose(i, wanted, size);
	count_open(i, can_write(o->flags));
	if (i->state == FILLING) {
		o->next = i->waiting;
		i->waiting = o;
		totals.opens++;
		r = 1;
	} else if (i->state == READY) {
		r = answer_ready(i, o->flags, ret_flags, ret_backing);
	} else {
		*ret_flags = 0;
		*ret_backing = 0;
	}
	pthread_mutex_unlock(&lock);
	if (r < 0)
		passthrough_release(o->ino, can_write(o->flags));
	/* Small ones at once; so are all if there is no memory for a job. */
	if (r == 1 && first && (size <= INLINE_FILL || pt_job(fill, o->ino, i) < 0))
		fill(i->ino, i);
	return r;
}

void passthrough_release(uint64_t ino, bool writable)
{
	struct inode *i, *gone = NULL;

	pthread_mutex_lock(&lock);
	i = find(ino);
	if (i) {
		i->opens--;
		i->writers -= writable;
		if (!i->opens && i->state == PAGED)
			gone = i;
		else if (!i->opens)
			backing_close(i);
		retire_soon(i);
	}
	if (gone)
		remove_inode(gone);
	pthread_mutex_unlock(&lock);
	free(gone);
}

/* ---- the end of an image ----------------------------------------------------------------- */

static int store_last(struct inode *i)
{
	struct store_attr attr;
	int r = store_getattr(fs.store, i->ino, &attr);

	/* Nobody can ever see it again. */
	if (r < 0 || attr.nlink == 0)
		return 0;
	r = pt_memory_store(&i->memory, i->ino, false);
	if (r < 0 && !i->lingers)
		log_text(LOG_ERR, "inode %llu: its live bytes cannot be stored: %s",
			 (unsigned long long)i->ino, strerror(-r));
	return r;
}

static void drop(struct inode *i)
{
	pt_memory_drop(&i->memory);
	store_forget(fs.store, i->ino, 1);
	free(i);
}

static void retire(uint64_t ino, void *arg)
{
	struct inode *i;
	uint64_t epoch = 0;
	bool written = false, keep = false, alone;
	int r = 0;

	pthread_mutex_lock(&lock);
	i = find(ino);
	if (i && idle(i)) {
		i->users++;
		epoch = i->epoch;
		written = i->written;
	} else {
		if (i)
			i->retiring = false;
		i = NULL;
	}
	pthread_mutex_unlock(&lock);
	if (!i)
		return;
	alone = pt_memory_alone(&i->memory);
	if (alone && written)
		r = store_last(i);
	if (alone && r == 0)
		forget_cached(ino, 0);
	pthread_mutex_lock(&lock);
	i->users--;
	i->retiring = false;
	if (alone && r == 0 && idle(i) && i->epoch == epoch)
		remove_inode(i);
	else
		keep = true;
	i->lingers = keep && idle(i);
	pthread_mutex_unlock(&lock);
	if (!keep)
		drop(i);
}

/* ---- in place of the store --------------------------------------------------------------- */

bool passthrough_attr(struct store_attr *attr)
{
	struct inode *i;

	if (atomic_load(&images) == 0)
		return false;
	pthread_mutex_lock(&lock);
	i = find(attr->ino);
	if (i && i->state == READY)
		pt_memory_attr(&i->memory, attr);
	else
		i = NULL;
	pthread_mutex_unlock(&lock);
	return i != NULL;
}

/* Of a file that may have an image at any moment nothing is kept: between a look at the store and one
 * at the image, the image may have gone to the store. */
uint64_t passthrough_timeout(const struct store_attr *attr)
{
	if (fs.opt.passthrough && S_ISREG(attr->mode) &&
	    (fs.opt.passthrough == PASSTHROUGH_ALL || attr->flags & STORE_INODE_LIVE ||
	     passthrough_has(attr->ino)))
		return 0;
	return FS_TIMEOUT;
}

static void note_written(struct inode *i)
{
	pthread_mutex_lock(&lock);
	i->written = true;
	i->epoch++;
	pthread_mutex_unlock(&lock);
}

int passthrough_truncate(uint64_t ino, uint64_t size)
{
	struct inode *i = use(ino);
	int r;

	if (!i)
		return -ENOENT;
	note_written(i);
	if (size > (uint64_t)INT64_MAX - FS_PAGE)
		r = -EFBIG;
	else
		r = ftruncate(i->memory.fd, (off_t)size) < 0 ? -errno : 0;
	unuse(i);
	return r;
}

int passthrough_fallocate(uint64_t ino, int mode, uint64_t offset, uint64_t length)
{
	struct inode *i = use(ino);
	int r;

	if (!i)
		return -ENOENT;
	note_written(i);
	r = pt_memory_fallocate(&i->memory, mode, offset, length);
	unuse(i);
	return r;
}

int passthrough_seek(uint64_t ino, uint64_t offset, int whence, uint64_t *ret_offset)
{
	struct inode *i = use(ino);
	off_t at;
	int r = 0;

	if (!i)
		return -ENOENT;
	at = lseek(i->memory.fd, (off_t)offset, whence);
	if (at < 0)
		r = -errno;
	else
		*ret_offset = (uint64_t)at;
	unuse(i);
	return r;
}

ssize_t passthrough_read(uint64_t ino, void *buf, size_t size, uint64_t offset)
{
	struct inode *i = use(ino);
	ssize_t n;

	if (!i)
		return -ENOENT;
	n = zu_pread_full(i->memory.fd, buf, size, (off_t)offset);
	unuse(i);
	return n;
}

ssize_t passthrough_write(uint64_t ino, const void *buf, size_t size, uint64_t offset)
{
	struct inode *i = use(ino);
	ssize_t n;

	if (!i)
		return -ENOENT;
	note_written(i);
	n = zu_pwrite_full(i->memory.fd, buf, size, (off_t)offset);
	unuse(i);
	return n;
}

int passthrough_resized(uint64_t ino, uint64_t size)
{
	struct inode *i;
	int r;

	if (atomic_load(&images) == 0)
		return 0;
	pthread_mutex_lock(&lock);
	i = find(ino);
	if (i && i->state == FILLING)
		i->again = true;
	pthread_mutex_unlock(&lock);
	r = passthrough_truncate(ino, size);
	return r == -ENOENT ? 0 : r;
}

void passthrough_timed(uint64_t ino)
{
	struct inode *i;

	if (atomic_load(&images) == 0)
		return;
	pthread_mutex_lock(&lock);
	i = find(ino);
	if (i && i->state == READY)
		pt_memory_set_times(&i->memory);
	pthread_mutex_unlock(&lock);
}

/* ---- commits ----------------------------------------------------------------------------- */

static int store_one(uint64_t ino, bool held)
{
	struct inode *i = use(ino);
	int r = 0;

	if (!i)
		return 0;
	if (i->written)
		r = pt_memory_store(&i->memory, ino, held);
	if (r == 0) {
		pthread_mutex_lock(&lock);
		i->committed_ms = fs_now_ms();
		pthread_mutex_unlock(&lock);
	}
	unuse(i);
	return r;
}

int passthrough_store(uint64_t ino)
{
	return store_one(ino, false);
}

static void store_job(uint64_t ino, void *arg)
{
	store_one(ino, false);
}

int passthrough_store_held(uint64_t ino)
{
	int r = store_one(ino, true);

	/* Half of it may be there: that can be mended only when the store is not held. */
	if (r < 0)
		pt_job(store_job, ino, NULL);
	return r;
}

/* The inodes that have an image which may differ from the store. */
static uint64_t *list_written(size_t *ret_n)
{
	unsigned room = atomic_load(&images) + 64;
	uint64_t *inos = reallocarray(NULL, room, sizeof(*inos));
	struct inode *i;
	size_t n = 0;

	pthread_mutex_lock(&lock);
	for (unsigned b = 0; b < BUCKETS && inos; b++)
		LIST_FOREACH(i, &table[b], link)
			if (i->state == READY && i->written && n < room)
				inos[n++] = i->ino;
	pthread_mutex_unlock(&lock);
	*ret_n = inos ? n : 0;
	return inos;
}

static bool is_explicit(uint64_t ino)
{
	struct store_attr attr;

	return store_getattr(fs.store, ino, &attr) < 0 || attr.flags & STORE_INODE_EXPLICIT;
}

int passthrough_store_all(bool also_explicit)
{
	zu_cleanup_free uint64_t *inos = NULL;
	size_t n;
	int r = 0, result;

	if (atomic_load(&images) == 0)
		return 0;
	inos = list_written(&n);
	if (!inos)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		if (!also_explicit && is_explicit(inos[k]))
			continue;
		result = passthrough_store(inos[k]);
		r = r < 0 ? r : result;
	}
	return r;
}

int passthrough_reset(uint64_t ino)
{
	struct inode *i = use(ino);
	int r;

	if (!i)
		return 0;
	r = pt_memory_reset(&i->memory, ino);
	unuse(i);
	return r;
}

static void commits_done(void *arg, int result)
{
	struct commit *c = arg;

	while (c) {
		struct commit *next = c->next;

		c->done(c->arg, result);
		free(c);
		c = next;
	}
}

/* All who wait for a commit of the inode are served by one. */
static void commit_job(uint64_t ino, void *arg)
{
	struct inode *i = arg;
	struct commit *c;
	int r;

	pthread_mutex_lock(&lock);
	c = i->commits;
	i->commits = NULL;
	pthread_mutex_unlock(&lock);
	r = passthrough_store(ino);
	unuse(i);
	if (r < 0)
		commits_done(c, r);
	else
		store_commit_start(fs.store, &ino, 1, 0, commits_done, c);
}

static void commit_all_job(uint64_t ino, void *arg)
{
	int r = passthrough_store_all(false);

	if (r < 0)
		commits_done(arg, r);
	else
		store_commit_start(fs.store, NULL, 0, STORE_COMMIT_ALL, commits_done, arg);
}

static int start_commit_of(struct inode *i, struct commit *c)
{
	bool first;
	int r = 0;

	pthread_mutex_lock(&lock);
	first = !i->commits;
	if (first)
		r = pt_job(commit_job, i->ino, i);
	if (r == 0) {
		c->next = i->commits;
		i->commits = c;
	}
	pthread_mutex_unlock(&lock);
	if (r < 0 || !first)
		unuse(i);
	return r;
}

int passthrough_commit_start(uint64_t ino, store_commit_fn *done, void *arg)
{
	struct inode *i = ino ? use(ino) : NULL;
	struct commit *c;
	int r;

	if (!i && (ino || atomic_load(&images) == 0)) {
		store_commit_start(fs.store, &ino, ino != 0, ino ? 0 : STORE_COMMIT_ALL, done, arg);
		return 0;
	}
	c = malloc(sizeof(*c));
	if (!c) {
		if (i)
			unuse(i);
		return -ENOMEM;
	}
	*c = (struct commit){ .done = done, .arg = arg };
	r = i ? start_commit_of(i, c) : pt_job(commit_all_job, 0, c);
	if (r < 0)
		free(c);
	return r;
}

/* ---- clients ----------------------------------------------------------------------------- */

int passthrough_attach(uint64_t ino, bool writable, int *ret_fd, uint64_t *ret_size)
{
	struct inode *i = use(ino);
	char path[32];
	struct stat st;
	int fd, r = 0;

	if (!i)
		return -ENOENT;
	/* Another open file, so that it is seen as long as it is there. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", i->memory.fd);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		zu_close_fd(&fd);
	} else {
		pthread_mutex_lock(&lock);
		i->attached++;
		i->epoch++;
		i->written = i->written || writable;
		pthread_mutex_unlock(&lock);
		*ret_fd = fd;
		*ret_size = (uint64_t)st.st_size;
	}
	unuse(i);
	return r;
}

void passthrough_detach(uint64_t ino)
{
	struct inode *i;

	pthread_mutex_lock(&lock);
	i = find(ino);
	if (i && i->attached) {
		i->attached--;
		retire_soon(i);
	}
	pthread_mutex_unlock(&lock);
}

/* ---- facts ------------------------------------------------------------------------------- */

static void facts_of(const struct inode *i, struct passthrough_facts *ret_facts)
{
	struct stat st = { 0 };

	fstat(i->memory.fd, &st);
	*ret_facts = (struct passthrough_facts){
		.ino = i->ino,
		.size = (uint64_t)st.st_size,
		.resident = (uint64_t)st.st_blocks * 512,
		.dirty_pages = atomic_load(&i->memory.dirty_pages),
		.opens = i->opens,
		.writers = i->writers,
		.attached = i->attached,
		.committed_ms = i->committed_ms,
	};
}

void passthrough_each(passthrough_fn *fn, void *arg)
{
	struct passthrough_facts facts;
	struct inode *i;

	if (atomic_load(&images) == 0)
		return;
	pthread_mutex_lock(&lock);
	for (unsigned b = 0; b < BUCKETS; b++) {
		LIST_FOREACH(i, &table[b], link) {
			if (i->state != READY)
				continue;
			facts_of(i, &facts);
			fn(arg, &facts);
		}
	}
	pthread_mutex_unlock(&lock);
}

void passthrough_get_totals(struct passthrough_totals *ret_totals)
{
	struct inode *i;

	pthread_mutex_lock(&lock);
	*ret_totals = totals;
	ret_totals->images = atomic_load(&images);
	ret_totals->bytes = bytes;
	ret_totals->lingering = 0;
	for (unsigned b = 0; b < BUCKETS; b++)
		LIST_FOREACH(i, &table[b], link)
			ret_totals->lingering += idle(i);
	pthread_mutex_unlock(&lock);
	ret_totals->compared_bytes = atomic_load(&pt_compared_bytes);
	ret_totals->stored_bytes = atomic_load(&pt_stored_bytes);
}

/* ---- life -------------------------------------------------------------------------------- */

/* Sizes change without the daemon; images linger. */
static void tend(void)
{
	struct inode *i;

	pthread_mutex_lock(&lock);
	for (unsigned b = 0; b < BUCKETS; b++) {
		LIST_FOREACH(i, &table[b], link) {
			struct stat st;

			if (i->state == READY && fstat(i->memory.fd, &st) == 0) {
				bytes += (uint64_t)st.st_size - i->counted;
				i->counted = (uint64_t)st.st_size;
			}
			retire_soon(i);
		}
	}
	pthread_mutex_unlock(&lock);
}

static void tick(void)
{
	static unsigned seconds;

	if (atomic_load(&images) == 0)
		return;
	tend();
	if (fs.opt.commit_seconds && ++seconds >= fs.opt.commit_seconds) {
		seconds = 0;
		passthrough_store_all(false); /* and the periodic commit takes it */
	}
}

int passthrough_probe(struct zu_err *err)
{
	struct pt_memory memory = { .fd = -1 };
	uint32_t id;
	int r;

	if (!fs.opt.passthrough)
		return 0;
	if (!(fs.init_flags & PROTO_PASSTHROUGH))
		return zu_err_set(
			err, EOPNOTSUPP,
			"%s: this kernel cannot pass files through (Linux 6.9 can); leave "
			"the option passthrough out",
			fs.opt.mnt);
	r = pt_memory_make(&memory);
	if (r == 0)
		r = backing_open(memory.fd);
	pt_memory_drop(&memory);
	if (r < 0)
		return zu_err_set(err, -r,
				  "%s: the kernel does not let this process pass files through: "
				  "%s; only root may use the option passthrough",
				  fs.opt.mnt, strerror(-r));
	id = (uint32_t)r;
	ioctl(wire_fd(0), PROTO_IOC_BACKING_CLOSE, &id);
	return 0;
}

int passthrough_start(void)
{
	struct rlimit files;

	if (!fs.opt.passthrough)
		return 0;
	limit = fs.opt.live_limit;
	if (!limit)
		limit = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		images_max = files.rlim_cur / 2 < 65536 ? (unsigned)files.rlim_cur / 2 : 65536;
	}
	return pt_jobs_start(tick);
}

void passthrough_stop(void)
{
	struct inode *i;

	if (!fs.opt.passthrough)
		return;
	pt_jobs_stop();
	passthrough_store_all(true);
	for (unsigned b = 0; b < BUCKETS; b++) {
		while ((i = LIST_FIRST(&table[b])) != NULL) {
			bool image = i->state == READY;

			remove_inode(i);
			if (image)
				drop(i);
			else
				free(i);
		}
	}
}
