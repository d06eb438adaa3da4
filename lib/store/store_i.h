/* SPDX-License-Identifier: MIT */
/*
 * store_i.h - what the files of lib/store share.
 *
 * Threads and locks. Any number of threads call store.h; one commit thread (commit.c) alone writes
 * LMDB. `store->lock` guards everything in memory, and the one read transaction `rtxn`, which
 * shows the last commit. It is never held across a sync or a write; a page is read under it only
 * where a file's last page is completed. A commit: freeze under the lock (the changes so far become
 * `frozen`, new ones go on top), write and apply without it, finish under it.
 *
 * What answers a question about metadata, in this order: the inode in memory (if cached), the
 * overlay `active`, the overlay `frozen`, LMDB. About a file's pages: inode->pend, inode->cap,
 * LMDB.
 *
 * Life of a store page: free -> busy (allocated by a write, in a file's pend) -> named by a
 * committed record -> replaced -> in quarantine until no read can still use it -> free. In memory
 * one bit per page says "busy", which is everything but free.
 */
#ifndef STORE_I_H
#define STORE_I_H

#include <pthread.h>
#include <stdatomic.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "abi/zc_format.h"
#include "store/kv.h"
#include "store/record.h"
#include "store/store.h"

#define PAGE ZCF_PAGE_SIZE
#define PAGE_DOWN(x) ((x) & ~(uint64_t)(PAGE - 1))
#define PAGE_UP(x) (((x) + PAGE - 1) & ~(uint64_t)(PAGE - 1))
#define CHUNK_BYTES ((uint64_t)PAGE * ZCF_CHUNK_PAGES)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- pages of files (chunk.c, pending.c) -------------------------------------------------- */

/*
 * Flags of a run in a pending (or captured) chunk:
 * RUN_FRESH   allocated since the last capture, named by this chunk alone: dropped when replaced
 * RUN_SHARED  taken from another place by a clone: counted in `pins` while pending
 * neither     also named by the committed record of this chunk, at the same position
 * RUN_FILLED  neither, and unwritten there: written in its place since the last capture
 */
struct chunk {
	RB_ENTRY(chunk) node;
	uint64_t index;
	unsigned count, room;
	struct run *runs; /* sorted by `first`, disjoint */
	uint32_t *sums;	  /* of all places, where the store keeps them (sum.c); else NULL */
};
RB_HEAD(chunk_tree, chunk);

/* The changes of a file's data since its last capture. Chunks that are neither here nor below
 * `cut` are as they were. */
struct pending {
	struct chunk_tree chunks; /* whole new contents of the chunks that changed */
	uint64_t cut;		  /* chunks >= cut that are not in `chunks` are empty */
};

/* ---- inodes (inode.c) --------------------------------------------------------------------- */

/* The data half, as it is now and as it was captured last. */
struct data_half {
	uint64_t size; /* of a directory: entries */
	uint64_t pages;
	struct timespec mtime, ctime;
};

struct inode {
	TAILQ_ENTRY(inode) idle; /* in store->idle, if idle_listed */
	uint64_t ino;
	uint64_t refs; /* of the kernel */
	uint32_t pins; /* calls in progress that unlock: it stays where it is */
	uint64_t parent;
	uint64_t hint; /* store page after the last one written */
	struct data_half now, kept;
	struct timespec atime, ctime /* of the namespace half */, btime;
	dev_t rdev;
	mode_t mode;
	uint32_t uid, gid, nlink, flags, generation;
	bool stored;	 /* has a record in LMDB, or in the commit in flight */
	bool dirty;	 /* the namespace half is on store->dirty */
	bool data_dirty; /* the data half differs from `kept`: on store->data_dirty */
	bool capture;	 /* A3: its data go with the next commit */
	bool frozen;	 /* part of the commit in flight, or in the intent log */
	bool orphan;	 /* has an orphan record */
	bool unnamed;	 /* made by store_tmpfile(): may get a first name */
	bool dead;	 /* no name, no reference: everything of it goes */
	bool no_xattrs;	 /* certainly has none */
	bool idle_listed;
	bool used; /* since it was looked at for being idle */
	struct inode *dirty_prev, *dirty_next;
	struct inode *data_prev, *data_next;
	struct pending *pend; /* changes of pages since the last capture, or NULL */
	struct pending *cap;  /* captured by the commit in flight, or in the intent log; or NULL */
};

TAILQ_HEAD(inode_list, inode);
#define IDLE_MOST 8192u /* idle inodes in memory */

/* What is known of an inode number (table.c): the inode in memory, or nothing but how often the
 * kernel refers to it. */
struct known {
	uint64_t ino;	/* 0: an empty slot */
	uintptr_t what; /* a pointer, or references * 2 + 1 */
};

struct table {
	struct known *slots;
	size_t size, count;
	unsigned shift;
};

/* ---- names and xattrs that changed (layer.c) ---------------------------------------------- */

struct dent {
	RB_ENTRY(dent) node;
	uint64_t parent, cookie, ino;
	uint8_t type, namelen; /* mode >> 12 */
	bool gone;
	char name[];
};
RB_HEAD(dent_tree, dent);

struct xent {
	RB_ENTRY(xent) node;
	uint64_t ino;
	uint32_t size;
	uint8_t namelen;
	bool gone;
	char name[]; /* namelen bytes, then the value */
};
RB_HEAD(xent_tree, xent);

struct layer {
	struct dent_tree dents;
	struct xent_tree xents;
	uint64_t count;
};

/* ---- pages not yet on disk (buffer.c), shared pages (pin.c) ------------------------------- */

struct buffer {
	RB_ENTRY(buffer) node;
	struct buffer *next; /* of the spare ones */
	uint64_t page;	     /* store page */
	bool busy;	     /* being written by somebody: read it, don't change it */
	bool dead;	     /* dropped while busy: whoever writes it releases the page */
	bool logged;	     /* in the intent log: stays as it is until the page file has it */
	uint8_t *data;	     /* PAGE bytes, aligned */
};
RB_HEAD(buffer_tree, buffer);

struct pin {
	RB_ENTRY(pin) node;
	uint64_t page;
	uint64_t count;
};
RB_HEAD(pin_tree, pin);

/* A list of runs of store pages. */
struct extent {
	uint64_t page, count;
};
struct extents {
	struct extent *items;
	size_t count, room;
};

struct region {
	uint64_t *busy;	  /* a bit per page; NULL: not loaded */
	uint64_t *placed; /* a bit per page that the intent log names; NULL: none */
	uint32_t free;	  /* bits that are clear, or the summary's count while not loaded */
	uint32_t next;	  /* where to look first */
	uint32_t longest; /* no run of free pages is longer (when last looked at) */
	bool known;	  /* `free` is */
};

/* ---- commits (commit.c) ------------------------------------------------------------------- */

struct commit_request {
	struct commit_request *next;
	store_commit_fn *done;
	void *arg;
	unsigned flags;
	size_t count;
	uint64_t inos[];
};

struct frozen_inode {
	struct inode *inode;
	struct rec_inode rec;
	struct pending *cap; /* or NULL: the data stay as they are */
	bool put, remove, orphan_put, orphan_del;
};

/* One commit, between freeze and finish. */
struct commit {
	struct frozen_inode *inodes;
	size_t count, room;
	struct layer *layer;
	struct buffer **buffers;
	size_t nbuffers, buffers_room;
	struct commit_request *requests;
	struct rec_super super;
	struct extents freed; /* pages that no record names any more */
	size_t entries;	      /* bytes, of one into the intent log */
	uint64_t placed;      /* pages, the same */
};

/* The intent log (intent.c). */
struct intent {
	int fd;	       /* -1: none */
	bool usable;   /* this process has synced all that the log would build on */
	bool refused;  /* can't be made here */
	bool replayed; /* what was in it is pending */
	uint64_t size; /* bytes */
	uint64_t pos;  /* of the next record */
	uint64_t sequence;
	/* What is in the log and not in LMDB. */
	struct frozen_inode *inodes;
	size_t count, room;
	uint64_t commits, bytes; /* logged since the store was opened */
	uint64_t placed;	 /* pages that it names by their places */
	uint64_t pages;		 /* pages that it has the bytes of */
	struct extents released; /* those of them that nothing else names any more */
	uint64_t waiting;	 /* pages in that list: part of what is in quarantine */
	/* The record being made. */
	uint8_t *entries;
	struct iovec *iov;
	size_t niov;
};

struct store {
	pthread_mutex_t lock;
	char *path;
	int dir_fd, lock_fd;
	int page_fd;   /* buffered */
	int direct_fd; /* O_DIRECT, or the same as page_fd */
	struct put_queue *put_queue;
	unsigned memory_align; /* of what O_DIRECT takes */
	const uint8_t *map;    /* of the page file, or NULL */
	uint64_t map_length;
	struct store_options options;
	bool read_only, checksum, direct, can_allocate, can_punch;
	struct kv *kv;
	struct kv_txn *rtxn;
	struct kv_cursor *dent_cursor; /* of rtxn, for names */
	struct rec_super super;	       /* as committed last; counters below are ahead of it */
	uint64_t next_ino, inodes_now;

	struct table known;
	size_t cached;		/* of those, inodes in memory */
	struct inode_list idle; /* of these, those that may be idle, the oldest first */
	size_t nidle, idle_most;
	struct inode *dirty, *data_dirty; /* heads */
	size_t ndirty, ndata_dirty;

	struct layer *active, *frozen;
	struct buffer_tree buffers;
	size_t nbuffers;
	struct buffer *spare; /* not in use, linked by `next` */
	size_t nspare;
	struct pin_tree pins;
	size_t npins;
	struct extents unpinned; /* during a commit: what to look at when it is finished */

	struct region *regions;
	size_t nregions;
	uint64_t pages;	     /* length of the page file, in pages */
	uint64_t free_pages; /* not busy, in loaded and unloaded regions */
	uint64_t cursor;     /* next-fit */
	uint64_t phantoms;   /* pages that are in memory only: of a store opened read-only */
	unsigned epoch;
	uint64_t readers[2];
	struct extents quarantine[2];
	uint64_t quarantined;

	pthread_t thread;
	bool thread_runs, stopping, kick;
	pthread_cond_t wake, finished;
	struct commit_request *queue, **queue_tail;
	bool committing;
	bool flushing;	/* somebody makes room among the buffers */
	unsigned holds; /* store_hold_begin() */
	bool freezing;	/* a commit begins: no new holds */
	struct intent intent;
	uint64_t commit_serial; /* finished commits */
	uint64_t freed;		/* changes committed since malloc_trim() */
	atomic_bool page_dirty; /* written to since the last sync */

	int failed;
	char failure[256];
	struct timespec failed_at;
	struct {
		uint64_t bytes, ops;
	} paths[STORE_PATHS]; /* tally_path() */
	uint64_t fallbacks[STORE_FALLBACKS];
	struct store_timing whole, logged; /* under the lock */
	bool warned_direct, warned_allocate, warned_punch;
	atomic_bool low;
	uint64_t meta_reserved;		 /* bytes of data.mdb; the commit thread's */
	atomic_bool meta_low;		 /* it can't grow, and has little room left */
	uint64_t host_pages, host_avail; /* of the host filesystem, when last looked at */
};

static inline void store_lock(struct store *s)
{
	pthread_mutex_lock(&s->lock);
}

void inode_trim(struct store *s);

/* Inodes without a pin may be gone afterwards. */
static inline void store_unlock(struct store *s)
{
	if (s->nidle > s->idle_most)
		inode_trim(s);
	pthread_mutex_unlock(&s->lock);
}

static inline void unlock_cleanup(struct store **s)
{
	if (*s)
		store_unlock(*s);
}
/* Hold the lock to the end of the scope. */
#define LOCKED(s)                                                                \
	__attribute__((cleanup(unlock_cleanup), unused)) struct store *locked_ = \
		(store_lock(s), (s))

/* open.c, util.c */
void store_log(struct store *s, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The store failed for good: read-only from now on. Takes no lock: called with it held. */
void store_fail(struct store *s, int error, const char *what);
/* 0, or why names, attributes or data can't be changed. */
int store_may_change(const struct store *s);
int store_may_write(const struct store *s);
struct timespec store_now(void);
bool time_after(const struct timespec *a, const struct timespec *b);
void meta_reserve(struct store *s); /* before the thread runs, and by it */
int extents_add(struct extents *list, uint64_t page, uint64_t count);
void extents_sort(struct extents *list); /* and merge */
void extents_clear(struct extents *list);

/* format.c */
int format_write(int dir_fd, const char *path, const uint8_t uuid[16], struct zu_err *err);
int format_read(int dir_fd, const char *path, uint8_t uuid[16], struct zu_err *err);
int format_lock(const char *path, int dir_fd, bool shared, unsigned seconds,
		const struct store_options *options, int *ret_fd, struct zu_err *err);
int format_features(const char *path, const struct rec_super *super, bool read_only,
		    struct zu_err *err);

/* try.c: refuse metadata whose reading crashes. */
int try_metadata(const char *path, const char *dir, struct zu_err *err);

/* table.c */
struct known *table_find(const struct table *t, uint64_t ino);
int table_add(struct table *t, const struct known *k);
void table_remove(struct table *t, struct known *k); /* other slots move */
void table_free(struct table *t);

/* trim.c: gives the lock up meanwhile */
void memory_trim(struct store *s);

/* inode.c */
int inode_get(struct store *s, uint64_t ino, struct inode **ret_inode); /* -ENOENT */
/* Its attributes, and `refs` references more for the kernel, without taking it into memory. */
int inode_look(struct store *s, uint64_t ino, unsigned refs, struct store_attr *ret_attr);
void inode_forget(struct store *s, uint64_t ino, uint64_t n);
struct inode *inode_new(struct store *s, mode_t mode);
struct inode *inode_cached(struct store *s, uint64_t ino);
void inode_dirty(struct store *s, struct inode *i);
void inode_data_dirty(struct store *s, struct inode *i);
void inode_data_clean(struct store *s, struct inode *i);
void inode_undirty(struct store *s, struct inode *i);
/* Free it from memory if nothing needs it; when it lost its last name and reference: dead. */
void inode_put(struct store *s, struct inode *i);
void inode_attr(const struct inode *i, struct store_attr *ret_attr);
void inode_record(const struct inode *i, struct rec_inode *ret_rec);
void inode_free_all(struct store *s);
void inode_touch(struct inode *i); /* ctime of the namespace half: now */
/* Only these have ZCF_INODE_FLAGS. */
static inline bool inode_has_flags(const struct inode *i)
{
	return S_ISREG(i->mode) || S_ISDIR(i->mode);
}

/* layer.c */
struct layer *layer_new(void);
void layer_free(struct layer *l);
struct dent *layer_dent(struct layer *l, uint64_t parent, uint64_t cookie); /* exact or NULL */
struct dent *layer_dent_from(struct layer *l, uint64_t parent, uint64_t cookie);
struct dent *layer_dent_next(struct layer *l, struct dent *d);
int layer_set_dent(struct layer *l, uint64_t parent, uint64_t cookie, uint64_t ino, uint8_t type,
		   const char *name, size_t namelen, bool gone);
struct xent *layer_xent(struct layer *l, uint64_t ino, const char *name, size_t namelen);
struct xent *layer_xent_from(struct layer *l, uint64_t ino);
struct xent *layer_xent_next(struct layer *l, struct xent *x);
int layer_set_xent(struct layer *l, uint64_t ino, const char *name, size_t namelen,
		   const void *value, size_t size, bool gone);
RB_PROTOTYPE(dent_tree, dent, node, dent_compare)
RB_PROTOTYPE(xent_tree, xent, node, xent_compare)

/* dirent.c: the merged view of a directory's entries */
struct dent_view {
	uint64_t cookie, ino;
	uint8_t type, namelen;
	char name[ZCF_NAME_MAX + 1];
};
/* The first entry with a cookie >= `cookie` and <= `last`. -ENOENT */
int dent_next(struct store *s, uint64_t parent, uint64_t cookie, uint64_t last,
	      struct dent_view *ret_view);
int dent_find(struct store *s, uint64_t parent, const char *name, size_t namelen,
	      struct dent_view *ret_view);
int dent_add(struct store *s, struct inode *parent, const char *name, size_t namelen, uint64_t ino,
	     mode_t mode);
int dent_set(struct store *s, uint64_t parent, const struct dent_view *view, uint64_t ino,
	     mode_t mode); /* the same name, another inode */
int dent_del(struct store *s, struct inode *parent, const struct dent_view *view);

/* xattr.c */
ssize_t xattr_get(struct store *s, const struct inode *i, const char *name, size_t namelen,
		  void *buf, size_t size);
int xattr_set(struct store *s, struct inode *i, const char *name, size_t namelen, const void *value,
	      size_t size);
int xattr_del(struct store *s, struct inode *i, const char *name, size_t namelen);
void xattr_drop_all(struct store *s, struct inode *i); /* of an inode that was never stored */
/* The access ACL follows a chmod to `mode`. */
int xattr_chmod(struct store *s, struct inode *i, mode_t mode);
/* Mode and ACLs of a new inode from its directory's default ACL, or the umask. */
int xattr_inherit(struct store *s, struct inode *dir, struct inode *i, mode_t umask);

/* chunk.c */
RB_PROTOTYPE(chunk_tree, chunk, node, chunk_compare)
struct chunk *chunk_new(uint64_t index);
void chunk_free(struct chunk *c);
/* Replace [first, first+count) of a chunk by pages from `page` on, or by nothing (flags = HOLE).
 * The pages that go are released (FRESH), unpinned (SHARED), or left to the commit. */
#define RUN_HOLE 0x80u
int chunk_set(struct store *s, struct inode *i, struct chunk *c, unsigned first, unsigned count,
	      uint64_t page, uint64_t birth, uint8_t flags);
/* The runs of a chunk as they are now, into `runs` (ZCF_CHUNK_PAGES): their number. */
int chunk_read(struct store *s, struct inode *i, uint64_t index, struct run *runs);
/* The chunk in i->pend, made from what is there. */
int chunk_change(struct store *s, struct inode *i, uint64_t index, struct chunk **ret_chunk);
/* The run that holds page `n` of the file, cut to start there: 1, or 0 for a hole (then
 * `count` says how long it is inside the chunk). */
int chunk_find(struct store *s, struct inode *i, uint64_t n, struct run *ret_run);
/* The next chunk from `index` on that may hold pages, or UINT64_MAX. */
uint64_t chunk_next(struct store *s, struct inode *i, uint64_t index);
int pending_get(struct inode *i);		       /* make i->pend */
int pending_merge(struct store *s, struct inode *i);   /* i->pend into i->cap, which is there */
void pending_drop(struct store *s, struct pending *p); /* releases its pages */
void pending_free(struct pending *p);		       /* only the memory */
struct chunk *pending_chunk(const struct pending *p, uint64_t index);
/* Number of runs of the record, 0 if there is none; `pages`: length of the page file. */
int map_load(struct kv_txn *txn, uint64_t pages, uint64_t ino, uint64_t index, struct run *runs);

/* sum.c */
uint32_t sum_page(const void *page);
int sums_load(struct kv_txn *txn, uint64_t ino, uint64_t index, uint32_t *sums);
int sums_put(struct kv_txn *txn, uint64_t ino, const struct chunk *c, uint64_t commit);
int sums_del(struct kv_txn *txn, uint64_t ino, uint64_t index);
/* Of a chunk, or of one page, as they are now. */
int sums_read(struct store *s, struct inode *i, uint64_t index, uint32_t *sums);
int sum_find(struct store *s, struct inode *i, uint64_t n, uint32_t *ret_sum);
/* Of pages that were just placed in i->pend. Nothing where the store keeps none. */
void sum_set(struct store *s, struct inode *i, uint64_t n, uint64_t count, const uint32_t *sums);

/* pin.c */
RB_PROTOTYPE(pin_tree, pin, node, pin_compare)
int pin_add(struct store *s, uint64_t page, uint64_t count);
void pin_drop(struct store *s, uint64_t page, uint64_t count);
uint64_t pin_next(struct store *s, uint64_t page, uint64_t end); /* first pinned page, or end */
void pin_free_all(struct store *s);
bool pin_named_elsewhere(struct store *s, uint64_t page);
void pin_settle(struct store *s); /* after a commit: free what is pinned by nobody any more */

/* buffer.c */
RB_PROTOTYPE(buffer_tree, buffer, node, buffer_compare)
#define BUFFER_LIMIT (32u << 20)
struct buffer *buffer_find(struct store *s, uint64_t page);
struct buffer *buffer_from(struct store *s, uint64_t page, uint64_t end); /* first in range */
struct buffer *buffer_add(struct store *s, uint64_t page);
/* Forget the buffer of a page that is given up: false if it is being written just now, and its
 * writer gives the page back. */
bool buffer_drop(struct store *s, uint64_t page);
/* Give pages up that nobody names any more, with their buffers. */
void buffer_release(struct store *s, uint64_t page, uint64_t count);
/* Forget the buffers of pages that stay what they are. */
void buffer_forget(struct store *s, uint64_t page, uint64_t count);
int buffer_collect(struct store *s, uint64_t page, uint64_t count, bool logged,
		   struct buffer ***list, size_t *n, size_t *room);
/* Write `n` busy buffers (sorted inside); without the lock. */
int buffer_write(struct store *s, struct buffer **list, size_t n);
void buffer_done(struct store *s, struct buffer **list, size_t n);   /* with the lock */
void buffer_logged(struct store *s, struct buffer **list, size_t n); /* the same: they stay */
void buffer_free_all(struct store *s);
/* All of them (or those that the log does not have), with the lock, which it gives up meanwhile. */
int buffer_flush(struct store *s, bool logged);

/* alloc.c, region.c, release.c */
int alloc_open(struct store *s);
void alloc_close(struct store *s);
/* Up to `want` pages in one run; the lock may be given up to make room (a commit). */
int alloc_pages(struct store *s, uint64_t hint, uint64_t want, uint64_t *ret_page,
		uint64_t *ret_count);
/* The same, without a hint and as long as can be found: for scattered pages that go down together. */
int alloc_run(struct store *s, uint64_t want, uint64_t *ret_page, uint64_t *ret_count);
/* One page: `hint` if it is free, else the first of a long run, so that those which follow lie behind it. */
int alloc_one(struct store *s, uint64_t hint, uint64_t *ret_page);
/* Pages that nobody names any more: into the quarantine. */
void alloc_release(struct store *s, uint64_t page, uint64_t count);
/* Pages that a record of the intent log names by their places are not used again before the log
 * begins anew: what a replay finds there must be what it says, and each page is said once. */
int alloc_place(struct store *s, uint64_t page, uint64_t count);
void alloc_unplace_all(struct store *s);
/* Take pages that a record names, at a replay. -EBADMSG: they are not free. */
int alloc_claim(struct store *s, uint64_t page, uint64_t count);
/* Pages that the last commit freed: first held busy, all of them, then released where no pin
 * holds them. */
int alloc_hold(struct store *s, const struct extents *freed);
void alloc_freed(struct store *s, uint64_t page, uint64_t count);
bool alloc_committed_free(struct store *s, uint64_t page); /* as of rtxn */
void quarantine_advance(struct store *s);
uint64_t alloc_available(const struct store *s);
void alloc_look_at_host(struct store *s);
void alloc_update_low(struct store *s);

/* pagefile.c */
int pagefile_open(struct store *s, struct zu_err *err);
void pagefile_close(struct store *s);
int pagefile_grow(struct store *s, uint64_t least); /* pages; sets s->pages */
int pagefile_read(struct store *s, uint64_t page, void *buf, size_t length);
/* `buf` NULL: from the pipe. -errno; memory of any alignment. */
int pagefile_write(struct store *s, uint64_t page, uint64_t count, const void *buf, int pipe_fd);
int pagefile_sync(struct store *s);
int pagefile_gather(int fd, struct iovec *iov, size_t n, off_t pos); /* all of it; changes iov */

/* put.c */
/* Adjacent pages of the page file. Devices take up to 254 pieces in a request, and the kernel makes bios
 * of 256: one that is full would be cut in two. */
#define PUT_PAGES 250u
struct put {
	uint64_t page;
	unsigned count;
	struct iovec *iov; /* count of them, a page each */
};
struct put_queue;
struct put_queue *put_queue_new(void); /* or NULL */
void put_queue_free(struct put_queue *q);
/* Write them all, at once where possible. May change what `iov` points to. */
int pagefile_put(struct store *s, const struct put *puts, size_t n);

/* data_write.c */
/* Change [off, off+len) inside page `n` of a file; `src` NULL: zeros. The lock is given up while
 * an old page is read. A hole stays one when zeros are written to it. */
int page_change(struct store *s, struct inode *i, uint64_t n, unsigned off, unsigned len,
		const void *src);
/* Drop pages [first, end) of a file. */
int pages_punch(struct store *s, struct inode *i, uint64_t first, uint64_t end);
int data_truncate(struct store *s, struct inode *i, uint64_t size);
int data_cut(struct store *s, struct inode *i, uint64_t first); /* forget pages >= first */
void data_modified(struct store *s, struct inode *i, bool keep_times);
void inode_kill_privs(struct store *s, struct inode *i);

/* freeze.c: all under the lock */
/* Take the requests, and what they and `flags` capture, for a commit. */
int freeze(struct store *s, struct commit *c, unsigned flags);
/* The same for one into the intent log, which intent_suits(); c->inodes are those it changes. */
int freeze_logged(struct store *s, struct commit *c);

/* intent.c */
#define INTENT_PAGES 960u /* most pages of one record */
#define INTENT_ENTRIES (1u << 20)
#define INTENT_PLACED (1u << 15) /* most pages that the log names by their places */
struct intent_record {
	uint64_t length, entries;
	uint32_t files;
	const uint8_t *at; /* the whole record */
};
int intent_open(int dir_fd); /* for reading */
/* Is there a record behind `pos` that came after number `sequence`? Then what is at `pos` was not being
 * written when the power went: it is damaged. */
bool intent_goes_on(int fd, const struct rec_super *super, uint64_t pos, uint64_t sequence);
/* Read the record at `pos` of a log into `*buf`, which grows: 1, or 0 at the end of the log. */
int intent_read(int fd, const struct rec_super *super, uint64_t pos, uint64_t sequence,
		uint8_t **buf, size_t *room, struct intent_record *ret_record);
bool intent_wanted(const struct store *s);
void intent_prepare(struct store *s); /* have the log's file; without the lock */
void intent_refuse(struct store *s, int error);
bool intent_fits(const struct store *s, uint64_t pages, uint64_t entries, uint64_t placed);
/* Without the lock; intent_written() follows with it. */
int intent_write(struct store *s, uint32_t files, size_t entries, uint64_t *ret_length);
void intent_written(struct store *s, uint64_t length, uint64_t placed);
void intent_reset(struct store *s); /* after an LMDB commit */
void intent_close(struct store *s);
/* intent_entries.c: may the requests that wait go into the log; what is in c->inodes, as entries */
enum intent_way {
	INTENT_WAY_LMDB,
	INTENT_WAY_LOG,	  /* one write */
	INTENT_WAY_SYNC,  /* after a sync of the page file */
	INTENT_WAY_FLUSH, /* when its buffers are in the page file: INTENT_WAY_SYNC */
};
enum intent_way intent_suits(struct store *s);
int intent_entries(struct store *s, struct commit *c, size_t *ret_length);
/* intent_replay.c: what the log has becomes pending. 1: there was something */
int intent_replay(struct store *s, struct zu_err *err);
/* The places that a record names. -EBADMSG: it is not well-formed; else what `fn` returns below 0. */
typedef int intent_place_fn(void *arg, uint64_t page, uint64_t count);
int intent_each_place(const struct intent_record *rec, intent_place_fn *fn, void *arg);

/* commit.c, commit_ask.c */
int commit_start_thread(struct store *s);
/* With the lock, which it gives up meanwhile; one at a time. */
void commit_once(struct store *s, unsigned flags);
void commit_stop_thread(struct store *s);
#define COMMIT_WHOLE 4u /* into LMDB, also where the intent log would do */
int commit_wait_locked(struct store *s, unsigned flags); /* gives the lock up meanwhile */
void commit_kick(struct store *s);
/* apply.c, apply_data.c, apply_free.c: into LMDB, without the lock */
int commit_apply(struct store *s, struct commit *c);
struct apply;
int apply_data(struct apply *a, const struct frozen_inode *f);
int apply_remove_data(struct apply *a, uint64_t ino);
int apply_pages(struct apply *a);

/* What the apply files share. */
struct apply {
	struct store *store;
	struct commit *commit;
	struct kv_txn *txn;
	uint64_t number;	/* of this commit */
	struct extents fresh;	/* pages that get their first name */
	struct extents shared;	/* pages that get one more, one item per reference */
	struct extents dropped; /* pages that lose one */
};

/* ---- tally.c: what was done --------------------------------------------------------------- */

/* Bytes that have taken a path; each call is one operation. Any thread, no lock. */
void tally_path(struct store *s, enum store_path path, uint64_t bytes);
void tally_fallback(struct store *s, enum store_fallback reason);
uint64_t tally_clock(void); /* ns */
/* One more that began at `start` and ends now. With the lock held. */
void tally_time(struct store_timing *timing, uint64_t start);
void tally_get(struct store *s, struct store_info *o);

#endif
