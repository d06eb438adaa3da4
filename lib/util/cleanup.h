/* SPDX-License-Identifier: MIT */
/*
 * cleanup.h - resources released by scope.
 *
 *	zu_cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
 *	zu_cleanup_free char *text = strdup(name);
 *	...
 *	*ret_fd = TAKE_FD(fd);		// ownership leaves the scope in plain sight
 *
 * A variable that carries one of these attributes must be initialised (-1, NULL), since it is
 * released on every way out of the scope. errno survives each of them. Since version 0.1.
 */
#ifndef ZU_CLEANUP_H
#define ZU_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define zu_cleanup(function) __attribute__((cleanup(function)))

static inline void zu_close_fd(int *fd)
{
	int saved = errno;

	/* Never again after EINTR: Linux has released the number already. */
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void zu_free_ptr(void *pointer)
{
	/* `pointer` is the address of a pointer of any type; glibc's free keeps errno. */
	free(*(void **)pointer);
}

static inline void zu_close_file(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	*file = NULL;
	errno = saved;
}

static inline void zu_close_dir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	*dir = NULL;
	errno = saved;
}

#define zu_cleanup_close zu_cleanup(zu_close_fd)
#define zu_cleanup_free zu_cleanup(zu_free_ptr)
#define zu_cleanup_file zu_cleanup(zu_close_file)
#define zu_cleanup_dir zu_cleanup(zu_close_dir)

/* The value, leaving NULL (-1) behind: the caller owns it from here on. */
#define TAKE_PTR(pointer)                                \
	({                                               \
		__typeof__(pointer) *zu_p_ = &(pointer); \
		__typeof__(pointer) zu_v_ = *zu_p_;      \
		*zu_p_ = NULL;                           \
		zu_v_;                                   \
	})
#define TAKE_FD(fd)                 \
	({                          \
		int *zu_p_ = &(fd); \
		int zu_v_ = *zu_p_; \
		*zu_p_ = -1;        \
		zu_v_;              \
	})

#endif
