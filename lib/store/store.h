/* SPDX-License-Identifier: MIT */
/*
 * store.h - the page store, without FUSE. The only header of lib/store for others.
 *
 * Conventions for every call: the result is 0 (or a count) or a negative errno; outputs (`ret_`)
 * are untouched on failure; every call may be made from any thread unless it says otherwise and
 * none keeps a pointer it was given. Offsets and lengths are bytes. Besides the errors named at a
 * call, any of them may give -ENOMEM, -EIO (damaged metadata, or a read that failed), -EUCLEAN is
 * never used; calls that change something give -EROFS on a store that is open read-only or was
 * turned read-only by an error, and -EIO for data of files after such an error. Since version 0.1.
 */
#ifndef ZC_STORE_H
#define ZC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "util/err.h"

struct store;

/* ---- life of a store -------------------------------------------------------------------- */

struct store_create_options {
	uint64_t limit; /* bytes of data at most, rounded up to pages; 0: what the host has */
	uid_t uid;	/* owner of the root directory */
	gid_t gid;
	mode_t mode;   /* of the root directory, e.g. 0755 */
	bool checksum; /* keep the CRC-32C of every page */
};

/* Make the store `path` (a directory, made if missing, else empty). Errors are in `err`. */
int store_create(const char *path, const struct store_create_options *options, struct zu_err *err);

enum store_log_level { STORE_LOG_ERROR = 3, STORE_LOG_WARNING = 4, STORE_LOG_INFO = 6 };
typedef void store_log_fn(void *arg, int level, const char *text);

struct store_options {
	bool read_only;		 /* take a shared lock, change nothing */
	bool explicit_policy;	 /* new files of directories without a policy are `explicit` */
	unsigned commit_seconds; /* periodic commit; 0: none */
	uint64_t log_bytes;	 /* make an intent log of this size if there is none; 0: don't */
	bool no_direct_io;	 /* don't open the page file O_DIRECT, as if the host had none */
	unsigned lock_seconds;	 /* wait so long for another process to leave the store */
	store_log_fn *log;	 /* may be NULL; called from any thread */
	void *log_arg;
};

/* Open a store, starting its commit thread unless read-only. Errors are in `err`:
 * EBUSY: in use; EINVAL: not a store; EPROTONOSUPPORT: version or feature; EBADMSG: damaged. */
int store_open(const char *path, const struct store_options *options, struct store **ret_store,
	       struct zu_err *err);

/* Commit everything (also files of policy `explicit`), stop the thread, release the lock. Nobody
 * may use the store any more. Accepts NULL. The result is that of the last commit. */
int store_close(struct store *store);

/* ---- attributes ------------------------------------------------------------------------- */

struct store_attr {
	uint64_t ino;
	uint32_t generation;
	uint32_t flags; /* STORE_INODE_* */
	mode_t mode;
	nlink_t nlink;
	uid_t uid;
	gid_t gid;
	dev_t rdev;
	uint64_t size;
	uint64_t blocks; /* of 512 bytes */
	struct timespec atime, mtime, ctime, btime;
};
#define STORE_INODE_EXPLICIT 1u
#define STORE_INODE_LIVE 2u

/* Who makes an inode. `umask` applies when the directory has no default ACL. */
struct store_cred {
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

/*
 * References. A call marked [ref] adds one to the inode that it returns; store_forget() gives
 * them back. An inode without a name lives until its last reference is gone. Every call on an
 * inode needs a reference to it (the root has one for ever).
 */
int store_lookup(struct store *store, uint64_t parent, const char *name,
		 struct store_attr *ret_attr); /* [ref] ENOENT ENOTDIR ENAMETOOLONG */
/* The same without a reference. */
int store_peek(struct store *store, uint64_t parent, const char *name, struct store_attr *ret_attr);
/* A reference to an inode number that somebody knows (".." and handles). ESTALE */
int store_ref(struct store *store, uint64_t ino, struct store_attr *ret_attr); /* [ref] */
void store_forget(struct store *store, uint64_t ino, uint64_t n);

int store_getattr(struct store *store, uint64_t ino, struct store_attr *ret_attr);
/* The parent of a directory (root: itself). ENOTDIR */
int store_parent(struct store *store, uint64_t dir, uint64_t *ret_parent);

enum store_set {
	STORE_SET_MODE = 1 << 0,
	STORE_SET_UID = 1 << 1,
	STORE_SET_GID = 1 << 2,
	STORE_SET_SIZE = 1 << 3,
	STORE_SET_ATIME = 1 << 4,
	STORE_SET_MTIME = 1 << 5,
	STORE_SET_CTIME = 1 << 6,
	STORE_SET_ATIME_NOW = 1 << 7,
	STORE_SET_MTIME_NOW = 1 << 8,
	STORE_SET_KILL_SUID = 1 << 9,	/* drop set-uid, and set-gid of a group-executable file */
	STORE_SET_KILL_SGID = 1 << 10,	/* with MODE: drop set-gid (caller not in the group) */
	STORE_SET_KEEP_TIMES = 1 << 11, /* SIZE: leave mtime and ctime (the kernel keeps them) */
};
/* The fields that `set` names of `attr`; no permission is checked. chmod also moves the ACL's
 * mask. EINVAL (size of what is no file), EFBIG, ENOSPC */
int store_setattr(struct store *store, uint64_t ino, unsigned set, const struct store_attr *attr,
		  struct store_attr *ret_attr);

/* ---- names ------------------------------------------------------------------------------ */

/* All [ref]. EEXIST ENOENT (directory gone) ENOTDIR ENAMETOOLONG ENOSPC EMLINK */
int store_mknod(struct store *store, uint64_t parent, const char *name, mode_t mode, dev_t rdev,
		const struct store_cred *cred, struct store_attr *ret_attr);
int store_mkdir(struct store *store, uint64_t parent, const char *name, mode_t mode,
		const struct store_cred *cred, struct store_attr *ret_attr);
int store_symlink(struct store *store, uint64_t parent, const char *name, const char *target,
		  const struct store_cred *cred, struct store_attr *ret_attr);
/* A file without a name; store_link() may give it one. */
int store_tmpfile(struct store *store, uint64_t parent, mode_t mode, const struct store_cred *cred,
		  struct store_attr *ret_attr);
/* ENOENT: the file has no name left and was not made by store_tmpfile(). EPERM: a directory. */
int store_link(struct store *store, uint64_t ino, uint64_t parent, const char *name,
	       struct store_attr *ret_attr);

/* The length, the target is not terminated. EINVAL: no symbolic link */
ssize_t store_readlink(struct store *store, uint64_t ino, char *buf, size_t size);

int store_unlink(struct store *store, uint64_t parent, const char *name); /* EISDIR */
int store_rmdir(struct store *store, uint64_t parent, const char *name);  /* ENOTEMPTY */
/* `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE. The data of a file that gets a name that way
 * are committed together with the name. EINVAL: into itself */
int store_rename(struct store *store, uint64_t parent, const char *name, uint64_t new_parent,
		 const char *new_name, unsigned flags);

/*
 * List a directory from `cookie` on (0: the start), without "." and "..". `fn` gets the cookie
 * of the entry (>= 16) - the next call starts at cookie + 1 - and returns false to stop; that
 * entry was then not taken. `attr` is NULL unless `attrs`. It runs under the store's lock: no
 * call of this header from it, except that the flag STORE_DIR_REF adds a reference for each
 * entry that was taken (and `attrs` is implied). ENOTDIR
 */
struct store_entry {
	const char *name; /* not terminated */
	size_t namelen;
	uint64_t ino;
	uint64_t cookie;
	mode_t type; /* S_IFMT part */
	const struct store_attr *attr;
};
typedef bool store_dir_fn(void *arg, const struct store_entry *entry);
#define STORE_DIR_ATTRS 1u
#define STORE_DIR_REF 2u
int store_readdir(struct store *store, uint64_t dir, uint64_t cookie, unsigned flags,
		  store_dir_fn *fn, void *arg);

/* ---- extended attributes ---------------------------------------------------------------- */

/* Length of the value; size 0 asks for it. ENODATA ERANGE. ACLs are in the kernel's own form
 * (system.posix_acl_access and _default). */
ssize_t store_getxattr(struct store *store, uint64_t ino, const char *name, void *buf, size_t size);
/* NUL-terminated names one after another. ERANGE */
ssize_t store_listxattr(struct store *store, uint64_t ino, char *buf, size_t size);
/* flags: XATTR_CREATE, XATTR_REPLACE; STORE_XATTR_KILL_SGID. EEXIST ENODATA E2BIG EINVAL
 * ENOSPC */
#define STORE_XATTR_KILL_SGID 0x10000
int store_setxattr(struct store *store, uint64_t ino, const char *name, const void *value,
		   size_t size, int flags);
int store_removexattr(struct store *store, uint64_t ino, const char *name);
/*
 * The commit policy of a file, or of what is made in a directory, is the xattr `user.zcfs.commit`:
 * "explicit" or "auto". It can always be read, is listed while it is explicit, and removing it means
 * auto. EINVAL: another value, or neither a file nor a directory.
 */
#define STORE_XATTR_POLICY "user.zcfs.commit"
/* The same way `user.zcfs.live`, "on" or "off": whether the file, or what is made in the directory,
 * becomes live when it is opened on a mount that does so. */
#define STORE_XATTR_LIVE "user.zcfs.live"

/* ---- data ------------------------------------------------------------------------------- */

/* Where a piece of a read is. */
enum store_where {
	STORE_ZEROS,  /* reads as zeros */
	STORE_PAGES,  /* at `pos` of the page file */
	STORE_MEMORY, /* in the bytes at `mem`, valid until store_read_end() */
};
struct store_segment {
	enum store_where where;
	uint64_t length;
	uint64_t pos;
	const void *mem;
};
struct store_read {
	unsigned epoch; /* internal */
	unsigned count;
	uint64_t length; /* bytes in all: less than asked for at the end of the file */
	struct store_segment *segments;
	struct store_segment fixed[8];
	uint32_t *sums; /* internal: of the pages from `offset` on, where the store keeps them */
};
/* Find where [offset, offset+length) of a file is. The pages named stay as they are until
 * store_read_end(), which must be called once after each success. */
int store_read_begin(struct store *store, uint64_t ino, uint64_t offset, uint64_t length,
		     struct store_read *ret_read);
void store_read_end(struct store *store, struct store_read *read);
/* The page file, opened for buffered reading, and its read-only mapping (NULL beyond
 * store_mapped() bytes, or where it can't be mapped). */
int store_page_fd(struct store *store);
const void *store_page_map(struct store *store, uint64_t pos, uint64_t length);
/* The page file, opened for reading past the page cache, in whole pages; -1: its filesystem can't. */
int store_direct_fd(struct store *store);
/* The store keeps checksums: reads go through store_pread(), which verifies them (-EIO). */
bool store_has_checksums(const struct store *store);
/* A read into memory by the above: bytes read, 0 at the end. */
ssize_t store_pread(struct store *store, uint64_t ino, void *buf, size_t length, uint64_t offset);

/* Where the bytes of a write come from: memory, or a pipe that holds them and nothing else. It
 * is empty afterwards, also on failure. */
struct store_source {
	const void *buf; /* NULL: pipe */
	int pipe_fd;
};
#define STORE_WRITE_KILL_SUID 1u  /* clear set-id bits, as a write by another user does */
#define STORE_WRITE_KEEP_TIMES 2u /* a write-back of the kernel: it sets the times itself */
/* Bytes written (all of them) or an error. EFBIG ENOSPC EINVAL */
ssize_t store_write(struct store *store, uint64_t ino, uint64_t offset, uint64_t length,
		    const struct store_source *source, unsigned flags);

/*
 * Pages written ahead. Many scattered pages are written to the page file as one run, without a copy, while no
 * file shows them; then each file gets its own in one step. One thread uses a store_ahead.
 */
struct store_ahead;
int store_ahead_new(struct store *store, struct store_ahead **ret_ahead); /* ENOMEM */
/* The next page (number `page` of the file, 4096 bytes, page aligned) to be written. All of a file
 * follow one another, each page once. `bytes` stays as it is until store_ahead_write(). */
int store_ahead_add(struct store_ahead *ahead, uint64_t ino, uint64_t page, const void *bytes);
/* Not in a hold: write what was added. ENOSPC EIO EFAULT: some of `bytes` can't be read. After an error: free it. */
int store_ahead_write(struct store_ahead *ahead);
/* The pages of the next file, `ino`, become what it shows; its size stays. Call it between
 * store_hold_begin() and _end(), or a commit may take half of them. flags: STORE_WRITE_KEEP_TIMES.
 * After an error some may have their places: store_rollback(). */
int store_ahead_place(struct store_ahead *ahead, uint64_t ino, unsigned flags);
/* Gives up what has not been placed. NULL is allowed. */
void store_ahead_free(struct store_ahead *ahead);

#define STORE_FALLOCATE_KEEP_TIMES (1 << 30) /* or it in: somebody else sets them */
/* mode: 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE] of fallocate(2). EOPNOTSUPP */
int store_fallocate(struct store *store, uint64_t ino, int mode, uint64_t offset, uint64_t length);
/* SEEK_DATA and SEEK_HOLE. ENXIO EINVAL */
int store_seek(struct store *store, uint64_t ino, uint64_t offset, int whence,
	       uint64_t *ret_offset);
/* Share whole pages, copy the rest. Bytes copied, less at the end of the source. EINVAL: ranges
 * of one file overlap */
ssize_t store_copy_range(struct store *store, uint64_t in, uint64_t in_offset, uint64_t out,
			 uint64_t out_offset, uint64_t length);

/* ---- commits ---------------------------------------------------------------------------- */

/* Called once from the commit thread, or from that of whoever asked for a commit. */
typedef void store_commit_fn(void *arg, int result);
#define STORE_COMMIT_ALL 1u	   /* also the data of all files of policy `auto` */
#define STORE_COMMIT_EVERYTHING 2u /* also those of policy `explicit` */
/* The caller makes the commit himself if none is being made and it is a short one; alone. */
#define STORE_COMMIT_HERE 8u
/* Commit all names and attributes so far and the data of the `n` files, atomically. */
void store_commit_start(struct store *store, const uint64_t *inos, size_t n, unsigned flags,
			store_commit_fn *done, void *arg);
/* The same, waiting. EIO: failed, the store is read-only now. */
int store_commit(struct store *store, const uint64_t *inos, size_t n, unsigned flags);

/*
 * Between these no commit begins, so that several writes to files become durable all or none. For
 * moments only; calls of this header that commit or roll back would wait for ever. A write that finds
 * no space says ENOSPC without having waited for a commit to make some: end the hold, store_commit()
 * nothing, begin anew.
 */
void store_hold_begin(struct store *store);
void store_hold_end(struct store *store);
/* In a hold, take back what was done in it, before any commit can have half of it: store_rollback(). EBUSY: the
 * file's data go with a name of it; roll it back after the hold. */
int store_rollback_held(struct store *store, uint64_t ino);

/*
 * Return a file's data half - bytes, size, mtime - to its last capture (a commit of it in flight is
 * waited for). A file that was never captured becomes empty. Names, mode and owner stay. The kernel's
 * caches are the caller's business. EINVAL: not a regular file. Needs no space.
 */
int store_rollback(struct store *store, uint64_t ino, struct store_attr *ret_attr);

/* ---- facts ------------------------------------------------------------------------------ */

/* What bytes have taken. The WRITE_* down to COPY are of store_write(), and add up to what it has written. */
enum store_path {
	STORE_WRITE_SPLICE, /* from the source's pipe into the page file */
	STORE_WRITE_DIRECT, /* from the source's buffer by O_DIRECT, no copy */
	STORE_WRITE_CACHED, /* from the source's buffer by way of the host's page cache */
	STORE_WRITE_BUFFER, /* copied into buffers */
	STORE_WRITE_COPY,   /* copied into a bounce buffer, and written from there */
	STORE_FLUSH_AHEAD,  /* store_ahead_*() */
	STORE_FLUSH_BUFFER, /* pages of buffers put down: by commits into LMDB, and to make room */
	STORE_FLUSH_LOG,    /* records of the intent log */
	STORE_PATHS
};
const char *store_path_name(enum store_path path);

/* Why a path that costs less was not taken. */
enum store_fallback {
	STORE_NO_DIRECT_IO, /* the page file's filesystem has no O_DIRECT */
	STORE_NO_SPLICE,    /* the kernel refused it, or it is forced off */
	STORE_UNALIGNED,    /* memory that O_DIRECT does not take */
	STORE_CHECKSUMS,    /* the bytes of a pipe had to be seen */
	STORE_FALLBACKS
};
const char *store_fallback_name(enum store_fallback reason);

struct store_timing {
	uint64_t count, ns, most; /* most: ns of the longest */
};

struct store_info {
	uint8_t uuid[16];
	uint32_t version;
	uint64_t incompat, ro_compat, compat;
	uint64_t commit;		       /* number of the last commit */
	uint64_t commits;		       /* since it was opened */
	uint64_t logged_commits, logged_bytes; /* those of them in the intent log */
	uint64_t inodes;
	uint64_t pages, free_pages;	   /* of the page file, as committed */
	uint64_t limit_pages;		   /* 0: none */
	uint64_t total_pages, avail_pages; /* as in struct store_space */
	uint64_t pending_files, pending_pages;
	uint64_t buffered_bytes;
	uint64_t known_inodes;	/* to which the caller has references, or that changed */
	uint64_t cached_inodes; /* those of them in memory */
	bool read_only, checksum;
	bool direct;		      /* the page file is written with O_DIRECT */
	bool can_allocate, can_punch; /* what the host filesystem lets us do */
	int failed;		      /* errno of the error that turned it read-only, or 0 */
	char failure[256];
	struct timespec failed_at;
	/* Since it was opened: */
	struct {
		uint64_t bytes, ops;
	} paths[STORE_PATHS];
	uint64_t fallbacks[STORE_FALLBACKS];
	struct store_timing whole, logged; /* commits into LMDB, and into the intent log */
};
void store_get_info(struct store *store, struct store_info *ret_info);

/* What statfs says. Cheap. */
struct store_space {
	uint64_t total_pages, avail_pages, inodes;
};
void store_get_space(struct store *store, struct store_space *ret_space);
/* Not in a hold: that many pages for what follows in one, where no commit can make room, if a commit can
 * make it here. (It takes names and attributes, nobody's data.) -EIO: the store failed. */
int store_make_room(struct store *store, uint64_t pages);
/* Space is so low that files opened for writing should bypass the kernel's page cache, so that
 * write(2) itself can say ENOSPC. Cheap. */
bool store_is_low(struct store *store);

/* ---- check ------------------------------------------------------------------------------ */

struct store_check_options {
	void (*finding)(void *arg, const char *text); /* one line per finding */
	void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void *arg;
};
struct store_check_result {
	uint64_t findings;
	uint64_t inodes, directories, files, entries, pages_used, pages_free, pages_shared, orphans;
	uint64_t logged; /* commits in the intent log */
};
/* Every invariant of docs/FORMAT.md, read-only, of a store that nobody has open for writing. 0:
 * `ret_result->findings` says whether it is sound; else it could not be checked, see `err`.
 * LMDB may crash on a damaged file: call it in a child process. */
int store_check(const char *path, const struct store_check_options *options,
		struct store_check_result *ret_result, struct zu_err *err);

/* ---- scrub ------------------------------------------------------------------------------ */

struct store_scrub_options {
	void (*finding)(void *arg, const char *text); /* a damaged range of a file; may be NULL */
	/* After each MiB; false stops it there. May be NULL. */
	bool (*progress)(void *arg, uint64_t done);
	void *arg;
	uint64_t from_ino, from_chunk; /* go on there: `next_` of a result before; 0: the start */
};
struct store_scrub_result {
	uint64_t total;		       /* pages in use, of all files */
	uint64_t pages, damaged_pages; /* of this call */
	uint64_t damaged_files;
	uint64_t next_ino, next_chunk; /* both 0: it is done */
	bool checksums;		       /* false: pages could only be read, not compared */
};
/* Read all pages of the last commit and compare them with their checksums, also while the store is
 * in use. 0: see `ret_result`. At most 1000 ranges are told in a call. */
int store_scrub(struct store *store, const struct store_scrub_options *options,
		struct store_scrub_result *ret_result);

#endif
