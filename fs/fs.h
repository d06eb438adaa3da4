/* SPDX-License-Identifier: MIT */
/*
 * fs.h - what the files of the daemon share. One process serves one mount: `fs`.
 *
 * Threads: the main thread waits for signals and for the end; the workers (worker.c) read requests
 * and answer them; the delivery thread (delivery.c) and the store's commit thread answer requests
 * that were parked; the control server has a thread of its own. A worker never waits for a commit,
 * a delivery or another request. No lock of the daemon is held across a call of the store.
 *
 * A request is answered exactly once. Most come through libfuse's low-level API (`fuse_req_t`,
 * handlers ll_*); those that the packaged library cannot decode fully, and the hot ones, are
 * decoded here (`struct request`, handlers native_*).
 */
#ifndef FS_FS_H
#define FS_FS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ledger.h"
#include "proto.h"
#include "store/store.h"

enum {
	FS_PAGE = 4096,
	FS_MAX_IO = 1 << 20, /* bytes of a READ or WRITE */
	FS_MAX_WORKERS = 64,
};

/* Nobody else changes the store, so the kernel may believe what it was told for a day. */
#define FS_TIMEOUT 86400u

/* How payloads of WRITEs come (receive.c). */
enum write_way { WRITE_AUTO, WRITE_SPLICE, WRITE_COPY };

/* What carries the bytes of a READ. */
enum read_way { READ_AUTO, READ_SPLICE, READ_MAP, READ_COPY };

#define READ_AHEAD_KEEP UINT32_MAX /* the mount's read-ahead stays as it is */

enum passthrough { PASSTHROUGH_OFF, PASSTHROUGH_MARKED, PASSTHROUGH_ALL };

/* What idle CPUs do while requests come in. */
enum idle_way { IDLE_AUTO, IDLE_POLL, IDLE_HALT };

struct options {
	char *store;  /* absolute */
	char *mnt;    /* absolute */
	char *fuse;   /* options for libfuse, comma-separated and escaped */
	char *fsname; /* of -o, or NULL */
	bool foreground;
	bool debug;
	bool read_only;
	bool writeback;
	bool direct; /* files are opened past the kernel's cache */
	enum passthrough passthrough;
	bool allow_root;
	bool explicit_policy;
	unsigned commit_seconds;
	unsigned log_mib; /* of the intent log */
	unsigned lock_seconds;
	unsigned workers;
	bool follow; /* workers follow the client */
	enum idle_way idle;
	enum write_way write;
	uint64_t pipe_size; /* bytes, 0: as large as needed */
	bool no_direct_io;  /* as if the host filesystem had no O_DIRECT */
	enum read_way read;
	unsigned read_ahead; /* KiB, 0: the default */
	bool no_map;	     /* for tests */
	bool no_splice;	     /* for tests */
	uint64_t live_limit; /* bytes, 0: a quarter of the memory */
};

struct mountpoint {
	unsigned major, minor;
};

struct fs {
	struct options opt;
	struct store *store;
	struct fuse_session *session;
	_Atomic uint64_t deliveries; /* since the mount */
	uid_t owner;
	struct mountpoint mounted; /* minor 0: nothing yet */
	/* What INIT agreed upon, for the information and the tests. */
	uint64_t init_offered, init_flags;
	uint32_t init_minor;
};
extern struct fs fs;

/* ---- log.c ------------------------------------------------------------------------------ */

void log_text(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_store(void *arg, int level, const char *text); /* a store_log_fn */
/* From now on to syslog instead of stderr. */
void log_to_syslog(void);

/* ---- guard.c ---------------------------------------------------------------------------- */

/* From now on the daemon tells what crashes it. */
void guard_start(void);
/* All signals but those that tell of a crash, for the mask of a thread. */
void guard_fill(sigset_t *ret_mask);

/* ---- options.c -------------------------------------------------------------------------- */

/* Parse the command line; prints and exits on --help, --version and errors. */
void options_parse(struct options *opt, int argc, char **argv);
void options_clear(struct options *opt);
/* One list of -o. EINVAL: `err` says which. */
int options_add(struct options *opt, const char *list, struct zu_err *err);

/* ---- mountpoint.c, unmount.c ------------------------------------------------------------ */

/* Make the names of opt absolute and see that the store can be mounted there. */
int mountpoint_check(struct options *opt, struct zu_err *err);
/* What is mounted at `path`, topmost, if it is a zcfs; -ENOENT: nothing is, -EBUSY: something else. Only the table is read. */
int mountpoint_find(const char *path, struct mountpoint *ret_mount);
/* Is it in the table of mounts, covered or not? True also if the table cannot be read. */
bool mountpoint_is_there(const struct mountpoint *m);
/* Mount; the descriptor of the device is the session's. */
int mountpoint_mount(struct zu_err *err);
/* Raise the mount's read-ahead (root only; else nothing happens). */
void mountpoint_read_ahead(void);
void mountpoint_dirty_limit(void); /* let it have more dirty pages: the same */

enum { UNMOUNT_DONE = 0, UNMOUNT_LAZY = 3, UNMOUNT_FAILED = 4 };
/* The child process that unmounts, for a process may not touch the mount it serves. */
int unmount_spawn(pid_t *ret_pid);
int unmount_main(const char *mnt);

/* ---- spawn.c ---------------------------------------------------------------------------- */

/* Run this program again, in a session of its own, with `fds` as 3, 4, ... and no other. */
int spawn_self(const char *const *argv, const int *fds, unsigned count, pid_t *ret_pid);

/* ---- wire.c ----------------------------------------------------------------------------- */

/* A request that is decoded here. */
struct request {
	const struct fuse_in_header *in; /* `unique` carries the number of the descriptor */
	const void *arg;		 /* what follows the header */
	size_t size;			 /* of it */
	void *out;			 /* the worker's output buffer, FS_MAX_IO and a page */
	struct receiver *from;		 /* where it came; NULL: all of it is in memory */
};

int wire_start(unsigned workers);
void wire_stop(void);
int wire_fd(unsigned channel);
/* A new descriptor on the same connection; where the device may not be opened, the same one. */
int wire_clone(void);
/* Tag a request that was read from `channel`; false: it cannot be served. */
bool wire_received(unsigned channel, struct fuse_in_header *in, size_t size);
/* Set once INIT was answered. */
int wire_ready_fd(void);
bool wire_refused(void); /* then: libfuse did not like the kernel's first request */

/* An answer went to the device (wire.c does it for its own): for the ledger. `error`: 0 or negative. */
void wire_answered(uint64_t unique, int error);
int wire_reply(uint64_t unique, int error, struct iovec *iov, int count);
int wire_reply_error(uint64_t unique, int error);
/* The header of an answer of `length` bytes that goes by a pipe, and then all that is in the pipe for it. An
 * error: what is in the pipe is undefined, but the request is answered. */
void wire_header(uint64_t unique, uint64_t length, struct fuse_out_header *ret_header);
int wire_splice(uint64_t unique, int pipe_fd, size_t size, unsigned flags);
int wire_reply_data(uint64_t unique, const void *data, size_t size);

/* ---- init.c ----------------------------------------------------------------------------- */

void init_answer(const struct fuse_init_in *in, struct fuse_init_out *ret_out);

/* ---- receive.c -------------------------------------------------------------------------- */

/* A worker's end of the device. */
struct receiver {
	int fd;
	int pipe[2];		  /* -1: all is read */
	enum ledger_fallback why; /* then: the reason */
	size_t in_pipe; /* bytes of the request, its last ones, that are still in the pipe */
	struct fuse_in_header *in; /* the request */
	char *memory;
};
int receiver_open(struct receiver *r, int fd);
void receiver_close(struct receiver *r);
/* The next request: its length, or -1 and errno as of read(2) of the device. Only the payload of a
 * WRITE longer than 64 KiB may stay in the pipe. */
ssize_t receive(struct receiver *r);
/* Have all of the request in memory. EIO. NULL: it is. */
int receive_pull(struct receiver *r);
/* The request is done with. */
void receive_end(struct receiver *r);
/* The longest WRITE, in pages. Constant once the receivers are open. */
unsigned receive_max_pages(void);
/* The payload of a WRITE as a source for the store, which takes it, all of it, out of the pipe. */
struct store_source receive_source(const struct request *r);

/* ---- worker.c --------------------------------------------------------------------------- */

int workers_start(unsigned n);
int workers_end_fd(void); /* readable once a worker has ended */
unsigned workers_running(void);
/* The mount is gone: what is mounted there now is somebody else's. */
bool workers_unmounted(void);
/* Make them all end, and wait for it. */
void workers_stop(void);
void *worker_buffer(void); /* of this thread: FS_MAX_IO and a page */

/* ---- follow.c --------------------------------------------------------------------------- */

/* Workers run where the client runs, while it pays. */
void follow_start(const pthread_t *workers, unsigned count);
void follow_stop(void);	      /* before they end */
void follow_add_worker(void); /* called by each */
/* A request was read, header and fixed part in memory; and it was served, or parked. */
void follow_taken(const struct fuse_in_header *in);
void follow_served(void);

struct follow_facts {
	bool on;
	int cpu; /* -1: not now */
	uint64_t entries, moves, starved;
};
void follow_get_facts(struct follow_facts *ret_facts);

/* ---- idle.c ----------------------------------------------------------------------------- */

/* Idle CPUs poll while requests come in close to each other. */
void idle_start(void);
void idle_stop(void);
void idle_taken(void); /* a request was read */

struct idle_facts {
	bool on, now;
	uint64_t times;
};
void idle_get_facts(struct idle_facts *ret_facts);

/* ---- native.c --------------------------------------------------------------------------- */

/* Serve the request here; false: it is for libfuse. */
bool native_dispatch(const struct request *r);
extern const struct fuse_lowlevel_ops ll_ops;

/* The name that a request consists of, or NULL. */
const char *request_name(const struct request *r);
void native_lookup(const struct request *r);
void native_forget(const struct request *r);
void native_batch_forget(const struct request *r);
void native_getattr(const struct request *r);
void native_unlink(const struct request *r);
void native_rmdir(const struct request *r);
void native_release(const struct request *r);
void native_open(const struct request *r);
void native_create(const struct request *r);
void native_tmpfile(const struct request *r);
void native_setattr(const struct request *r);
void native_statx(const struct request *r);
void native_setxattr(const struct request *r);
void native_read(const struct request *r);
void native_write(const struct request *r);
void native_copy_range_64(const struct request *r);
void native_syncfs(const struct request *r);

/* ---- reply.c ---------------------------------------------------------------------------- */

/* Attributes that were read from the store: put in what an image knows better. */
void reply_fix_attr(struct store_attr *attr);
void reply_fix_entry(struct store_attr *attr); /* inside store_readdir() */
/* (This one does so.) */
void reply_stat(const struct store_attr *from, struct stat *st);
void reply_wire_attr(const struct store_attr *attr, struct fuse_attr *ret_attr);
void reply_wire_entry(const struct store_attr *attr, struct fuse_entry_out *ret_entry);
/* Answer with an entry; takes the reference back if the kernel did not take it. */
void reply_entry(fuse_req_t req, const struct store_attr *attr);
/* Answer with `result`, a negative errno or 0. */
void reply_result(fuse_req_t req, int result);
void reply_cred(fuse_req_t req, struct store_cred *cred);

/* ---- handles.c -------------------------------------------------------------------------- */

/* Of a handle number: the file is open for writing; and its pages are in the kernel's cache. */
#define HANDLE_WRITABLE 1u
#define HANDLE_CACHED 2u

/* Count the handles open for writing of an inode, and those of them whose writes go through the
 * kernel's cache. */
int handles_add(uint64_t ino, bool cached);
void handles_drop(uint64_t ino, bool cached);
void handles_uncache(uint64_t ino); /* one that was counted as cached is not */
bool handles_any(uint64_t ino);
unsigned handles_cached(uint64_t ino);
/* The first error of writes since handles_deliver(ino, true). */
void handles_note_error(uint64_t ino, int error);
/* The first error of write-backs while the file is open for writing; noting 0 forgets it. */
void handles_note_lost(uint64_t ino, int error);
int handles_lost(uint64_t ino);
void handles_deliver(uint64_t ino, bool begin);
int handles_take_error(uint64_t ino);
bool handles_delivering(uint64_t ino);

/* ---- delivery.c, deliver.c -------------------------------------------------------------- */

typedef void delivery_fn(void *arg, int result);
int delivery_start(void);
void delivery_stop(void);
/* Have the kernel write the dirty pages of `n` (1 or 2) inodes back, then call `done` from the
 * delivery thread. Nothing happens on failure (ENOMEM). */
int delivery_request(const uint64_t *inos, unsigned n, delivery_fn *done, void *arg);
/* May the kernel hold dirty pages of this inode? */
bool delivery_needed(uint64_t ino);

/* Is the inode live by an image of lib/live, so that a handle open for writing has to be direct? */
bool fs_live_direct(uint64_t ino);

struct deliver_message {
	uint64_t id;
	uint64_t ino;
	int64_t result;
};
int deliver_main(const char *connection);

/* ---- ioctl.c ---------------------------------------------------------------------------- */

/* Where tickets are shown. Once. */
void ioctl_set_address(const char *path);
int64_t fs_now_ms(void);

/* ---- rollback.c ------------------------------------------------------------------------- */

/* Is the file in a rollback, so that a change of its data is to be dropped (refused with EBUSY where
 * the kernel would take a new size from the answer)? The second also notes that a WRITE ends at `end`. */
bool rollback_swallows(uint64_t ino);
bool rollback_swallows_write(uint64_t ino, uint64_t end);
/* The kernel is told this size of the file: by the answer to a SETATTR. */
void rollback_told_size(uint64_t ino, uint64_t size);
/* Wait for the end of all; their clients must be gone. */
void rollback_stop(void);

/* ---- info.c ----------------------------------------------------------------------------- */

struct ctl_server;
void info_start(struct ctl_server **ret_server);
/* Is the store so full that write(2) itself should fail? Cheap. */
bool info_low_on_space(void);

/* ---- handlers --------------------------------------------------------------------------- */

void ll_readlink(fuse_req_t req, fuse_ino_t ino);
void ll_statfs(fuse_req_t req, fuse_ino_t ino);
void ll_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ll_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ll_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void ll_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void ll_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags);
void ll_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ll_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ll_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ll_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void ll_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ll_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ll_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ll_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ll_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void ll_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void ll_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void ll_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset,
			struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_offset,
			struct fuse_file_info *out_fi, size_t length, int flags);
void ll_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_size, size_t out_size);

#endif
