/* SPDX-License-Identifier: MIT */
/*
 * file_ctl.h - committing and rolling back open files of a mount, by tickets (abi/zc_ioctl.h) over the
 * control socket (abi/zc_ctl.h). Only libc and lib/abi, lib/util. These calls wait for the mount and
 * its daemon: who must not hang makes them in a child process.
 */
#ifndef FILE_CTL_H
#define FILE_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "abi/zc_ioctl.h"
#include "util/err.h"

/*
 * A ticket for an open file. `name` is for the texts of errors. ENOTTY: not a regular file of a zcfs
 * mount; EROFS ENXIO and what the ioctl gives.
 */
int file_ticket(int fd, const char *name, struct zc_ticket *ret_ticket, struct zu_err *err);

/* Hand what the kernel has of the file to the daemon, without committing it. */
int file_flush(int fd, const char *name, struct zu_err *err);

/*
 * Commit the `n` files that are open as `fds`, all or none: each flushed, then all in one message. 0:
 * durable. E2BIG: more than ZC_CTL_COMMIT_MAX; EXDEV: of different mounts; ETIMEDOUT: no answer in
 * `seconds` (it may be committed or not); EIO EROFS: the store is read-only.
 */
int file_commit(const int *fds, const char *const *names, size_t n, unsigned seconds,
		struct zu_err *err);

struct file_rollback {
	uint64_t size;
	struct timespec mtime;
	bool mtime_kept; /* false: only the owner may set it, so the file has another */
};
/* Return a file, open for reading and writing, to its last commit. EACCES: not open for writing;
 * EBUSY: somebody else rolls it back. */
int file_roll_back(int fd, const char *name, unsigned seconds, struct file_rollback *ret,
		   struct zu_err *err);

#endif
