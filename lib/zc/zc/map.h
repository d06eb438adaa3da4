/* SPDX-License-Identifier: MIT */
/*
 * zc/map.h - files of a mounted zcfs as shared memory that is committed atomically.
 *
 *	zc_file *file;
 *	struct table *table;
 *	int r = zc_create("/mnt/table", ZC_RDWR, 0644, sizeof(*table), &file);
 *
 *	if (r == 0)
 *		r = zc_map(file, 0, (void **)&table);
 *	if (r == 0) {
 *		table->rows[7].count++;		// every process that maps the file sees it
 *		r = zc_commit(file);		// all of the file, or nothing, is safe
 *	}
 *	if (r < 0)
 *		fprintf(stderr, "table: %s\n", zc_error());
 *	zc_close(file);
 *
 * LIVE AND PAGED. zc_map() makes a file *live*: its content is then one piece of memory that the daemon
 * shares out, and all processes with this library map that very memory, without a copy and without the
 * kernel's page cache between them. A file opened with ZC_PAGED stays *paged*: zc_map() is then
 * mmap(2) of the mounted file, and the calls do what fsync(2) and its like do. Everything below holds
 * for both unless it says otherwise.
 *
 * WHAT IS COMMITTED. Stores reach other processes at once and a disk never by themselves: zc_commit(), by
 * whichever process, makes the stores of all processes durable, as one state of the whole file. After
 * a crash of a program, the daemon or the machine the file is at its last commit. (A file of
 * policy "auto", the default, is also committed every few seconds; "zcctl policy FILE explicit" leaves
 * that to the programs.) A page is taken as it is at some moment during the commit: stores that belong
 * together are not made while somebody commits, for which programs have their own lock.
 *
 * SIZE. A file has a size, and its mapping a capacity, which is at least as large: [0, capacity) may
 * be read and written without faults as long as the file is live. What is stored beyond the
 * size is not part of the file and may be lost; zc_resize() moves the size. (Of a paged file,
 * and of a live one of a mount with -o passthrough, access beyond the size's last page raises SIGBUS.)
 *
 * ERRORS. Calls give 0 or a negative errno, except zc_msync(), which is like msync(2); zc_error() tells the
 * cause. ESTALE means that the memory is no longer the file's: its daemon has ended, or has
 * given the file another image. Stores through the old mapping still work and go nowhere. Close the
 * file and open it again.
 *
 * THREADS. Any number of threads may use one file and different files; calls on one file wait for each other,
 * but not for stores. zc_close() is the last call of a file: no other may be under way or come after, but
 * for zc_msync(), for which it waits. No call may be made in a signal handler, and no thread be cancelled
 * (pthread_cancel(3)) in one. Signals do not end a call: it is gone on with. Calls wait for the daemon as
 * long as it takes, also for one that is stopped; its end ends them.
 *
 * FORK. A child has no mapping of the files of its parent: access raises SIGSEGV. Calls in
 * the child with a file of the parent give EPERM, except zc_close(), which frees the child's memory and
 * leaves the parent's file alone. A child opens the files for itself. The descriptors are closed by exec(3).
 *
 * Since version 0.1, all of it. One process may use one copy of the library only (shared or static).
 */
#ifndef ZC_MAP_H
#define ZC_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define ZC_API __attribute__((visibility("default")))
#else
#define ZC_API
#endif

/* An open file. */
typedef struct zc_file zc_file;

/* How to open. ZC_RDONLY or ZC_RDWR, and any of the others. */
#define ZC_RDONLY 0x0u
#define ZC_RDWR 0x1u
#define ZC_PAGED 0x2u /* do not make it live */
#define ZC_AUTO 0x4u  /* live if the daemon agrees when it is mapped, else paged */
#define ZC_EXCL 0x8u  /* zc_create(): the file must not exist */

/*
 * Open the file `path` of a mounted zcfs and store it in `*ret_file`, to be given back by zc_close().
 * On failure `*ret_file` is not touched.
 *
 * The permission that is needed is open(2)'s: to read for ZC_RDONLY, both for ZC_RDWR. Nobody else is
 * affected until zc_map().
 *
 * Errors: those of open(2); EINVAL: unknown flags, ZC_PAGED together with ZC_AUTO, ZC_EXCL, or not a
 * regular file; ENOTTY: not a file of a mounted zcfs; ENOMEM.
 */
ZC_API int zc_open(const char *path, unsigned flags, zc_file **ret_file);

/*
 * The same, for writing, after creating the file with `mode` (less the umask) if it is missing, and
 * extending it with zeros if it has less than `size` bytes. Processes that create the same file at the same
 * time name the same size. What was created is durable after the next commit, and stays if the call
 * fails later on.
 *
 * Errors: those of zc_open() and zc_resize(); EINVAL: without ZC_RDWR; EEXIST: with ZC_EXCL, if it is
 * there.
 */
ZC_API int zc_create(const char *path, unsigned flags, mode_t mode, uint64_t size,
		     zc_file **ret_file);

/*
 * Map the whole file and store the address in `*ret_address`. It is page-aligned and stays the
 * same until zc_close(); a second call gives it again, if it has the capacity. Files open for reading are
 * mapped for reading: a store raises SIGSEGV.
 *
 * `capacity` is how many bytes the mapping shall have room for, 0 for the default of at least 16 MiB and
 * twice the size. It costs address space, no memory, and counts against the mount's live_limit. Of a file
 * that is live already its first client has decided: if that is not enough the call fails with EFBIG.
 *
 * If the daemon cannot see this process's stores by itself (userfaultfd is not available, or there
 * is no /proc) commits compare the whole file with what is committed: right, but slower. zc_status()
 * tells.
 *
 * Errors: EBUSY: somebody has the file open for writing in the ordinary way, whose cached pages would
 * overwrite the stores, or it is being rolled back, or the daemon has no place for one more client; ENOSPC:
 * the mount's live_limit is reached, or this user's share of it; EFBIG: the file is live, or mapped by
 * this process, with less capacity, or the capacity is too large; EOPNOTSUPP: the daemon has no live
 * files; EROFS: mounted read-only; ENXIO: the daemon has no control socket, or it cannot be reached from
 * this process's namespaces; ESTALE: the file is gone, or the daemon; EACCES: the control socket belongs
 * to somebody else, or may not be reached; EMFILE, ENFILE, ENOMEM; EIO: the store failed; EPERM: after
 * fork, or the process has another effective user than for files (setfsuid(2)). With ZC_AUTO the file is
 * mapped as a paged one where the error would be EBUSY, ENOSPC, EOPNOTSUPP, EROFS, ENXIO or EACCES; for
 * that it is opened once more, with open(2)'s errors. ZC_PAGED: those of mmap(2); ENODEV: the file is live.
 */
ZC_API int zc_map(zc_file *file, size_t capacity, void **ret_address);

/*
 * Commit the file: bytes, size and mtime, with the stores of all processes that were made before the
 * call. 0: it is durable. Also for files open for reading, and for unmapped ones. Waits as long as
 * the disk does. The mtime of a live file moves with the commits of those who have it open for
 * writing; stores alone do not move it.
 *
 * Errors: ESTALE: see above; nothing was committed by this call. ENOSPC: the store is full: the last commit
 * stays, and so does the memory; make room and try again. EIO, EROFS: the store failed; it takes no more
 * commits. ENOMEM; EPERM: after fork.
 */
ZC_API int zc_commit(zc_file *file);

/*
 * Commit `n` files of one mount, live, paged or both, all or none of them. A file may be
 * there twice. 0 files: nothing happens.
 *
 * Errors: those of zc_commit(); EXDEV: they are of different mounts; E2BIG: more than ZC_COMMIT_MAX;
 * EROFS: also a mount that is read-only; EBUSY: the daemon has no place for one more connection; EMFILE,
 * ENFILE; ENXIO, EACCES, EPERM: the control socket is out of reach, as of zc_map().
 */
ZC_API int zc_commit_many(zc_file *const *files, size_t n);
#define ZC_COMMIT_MAX 255u

/*
 * msync(2), with its arguments, result and errno, that makes mappings of zc_map() durable: with
 * MS_SYNC each live file of which a page lies in [address, address + length) is committed as by
 * zc_commit(): the whole file, more than the range; several of them together. MS_ASYNC commits
 * nothing. Paged files, and memory that is not of zc_map(), get what msync(2) does.
 *
 * Result 0, or -1 with errno, which zc_error() explains: EINVAL: `address` is not page-aligned, unknown flags, or MS_ASYNC with
 * MS_SYNC; ENOMEM: a part is not mapped; EBUSY: MS_INVALIDATE for locked memory; EIO: the commit
 * failed, zc_error() tells why; ENOSPC: the store is full.
 */
ZC_API int zc_msync(void *address, size_t length, int flags);

/*
 * Return the file to its last commit: bytes, size, and mtime (which only the file's owner can set
 * back). Everybody sees the committed bytes afterwards, in the mapping that was there before. Stores
 * while it is rolled back may be lost.
 *
 * Errors: EACCES: not open for writing; EBUSY: somebody else rolls it back, or writes to it all the time;
 * ESTALE: see above; EIO, EROFS: the store failed; ENOMEM; EPERM: after fork. Unmapped and paged files
 * also: EMFILE, ENFILE; ENXIO, EACCES, EPERM: the control socket is out of reach, as of zc_map().
 */
ZC_API int zc_rollback(zc_file *file);

/*
 * Make the file `size` bytes long. Bytes that are cut off are lost, bytes that are added are zeros.
 * Addresses do not change. The size is committed with the bytes.
 *
 * Errors: EACCES: not open for writing; EFBIG: more than the capacity of a mapping that somebody has;
 * ENOSPC: the store is full; EROFS, EIO: the store failed; ESTALE: see above; EPERM: after fork.
 */
ZC_API int zc_resize(zc_file *file, uint64_t size);

/* zc_status(), `flags` */
#define ZC_STATUS_LIVE 0x1u	    /* mapped, and live */
#define ZC_STATUS_MAPPED 0x2u	    /* zc_map() was called */
#define ZC_STATUS_WRITABLE 0x4u	    /* ZC_RDWR */
#define ZC_STATUS_TRACKED 0x8u	    /* live: stores are found without comparing */
#define ZC_STATUS_PASSTHROUGH 0x10u /* live: the mount is one with -o passthrough */

struct zc_status {
	uint64_t size;	      /* of the file, bytes, now */
	uint64_t capacity;    /* of the mapping, bytes; 0: not mapped */
	uint64_t generation;  /* of the image; 0: not live */
	uint32_t flags;	      /* ZC_STATUS_* */
	uint32_t reserved[9]; /* 0 */
};

/*
 * Ask the daemon whether the mapping still is the file's memory, and fill `*ret_status`. On failure it is
 * not touched.
 *
 * Errors: ESTALE: it is not; EIO: the answer makes no sense; EPERM: after fork.
 */
ZC_API int zc_status(zc_file *file, struct zc_status *ret_status);

/*
 * The descriptor of the file on the mount, for fstat(2), flock(2) and the like; it belongs to `file`. A
 * live file is not to be written through it. Locks that were taken through it are lost, fcntl(2)'s when
 * zc_commit_many() commits the file as a paged one, all when zc_map() with ZC_AUTO finds that it has to stay
 * paged. -EPERM: after fork.
 */
ZC_API int zc_fd(const zc_file *file);

/*
 * Unmap and close. Stores that were not committed stay in the file, for others and for the next
 * commit; they are lost in a crash before it. NULL is allowed. errno is kept.
 */
ZC_API void zc_close(zc_file *file);

/* What the last failed call of this thread has to say to a person: one line, never NULL, valid
 * until the thread's next call. */
ZC_API const char *zc_error(void);

/* The version of the library, as "0.1.0". */
ZC_API const char *zc_version(void);

#ifdef __cplusplus
}
#endif

#endif
