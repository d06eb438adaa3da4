/* SPDX-License-Identifier: MIT */
/*
 * fdio.h - whole transfers: EINTR and short counts are gone on with.
 *
 * Each call gives the number of bytes moved, or a negative errno; after an error part of the data
 * may have been moved, and for the first two the file's position has gone on by it. `size` is at
 * most SSIZE_MAX. Any thread, as long as the descriptor is not shared in between. Errors are those
 * of the system call of the name; in addition the writing ones give -EIO if the kernel takes no
 * byte and names no reason. For blocking descriptors: EAGAIN ends a transfer. Since version 0.1.
 */
#ifndef ZU_FDIO_H
#define ZU_FDIO_H

#include <stddef.h>
#include <sys/types.h>

/* Less than `size` only at the end of the file. */
ssize_t zu_read_full(int fd, void *buffer, size_t size);
ssize_t zu_pread_full(int fd, void *buffer, size_t size, off_t offset);

/* Always `size`, or an error. */
ssize_t zu_write_full(int fd, const void *buffer, size_t size);
ssize_t zu_pwrite_full(int fd, const void *buffer, size_t size, off_t offset);

/*
 * Open /dev/null where standard input, output or error is closed, so that no file that is opened
 * later takes such a number. First thing in main().
 */
void zu_fill_stdio(void);

#endif
