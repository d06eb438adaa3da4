/* SPDX-License-Identifier: MIT */
/*
 * file_ctl.h - committing and rolling back open files of a mount. These calls wait for the mount and its
 * daemon without limit: they are made in a child process (child.h), which has one.
 */
#ifndef FILE_CTL_H
#define FILE_CTL_H

#include <stddef.h>

#include "util/err.h"
#include "zc/link.h"

/*
 * Commit the `n` files that are open as `fds`, all or none. `names` are for the texts of errors. 0:
 * durable. ENOTTY: not a regular file of a mounted zcfs; E2BIG: more than ZC_CTL_COMMIT_MAX; EXDEV: of
 * different mounts; and the errors of zc_commit_many().
 */
int file_commit(const int *fds, const char *const *names, size_t n, struct zu_err *err);

/* Return a file, open for reading and writing, to its last commit. ENOTTY, and the errors of zc_rollback(). */
int file_roll_back(int fd, const char *name, struct lz_rollback *ret, struct zu_err *err);

#endif
