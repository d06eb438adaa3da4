/* SPDX-License-Identifier: MIT */
/*
 * posix.h - what the cases of posix_check share. A case is a function in a table; it runs in a
 * process and an empty directory of its own (its current directory, mode 0755) and ends with the
 * first expectation that does not hold. As root every case runs as root; `user(n)` makes another of
 * it in a child. Cases with `root` set are skipped for ordinary users.
 */
#ifndef POSIX_H
#define POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct test_case {
	const char *name;
	void (*run)(void);
	bool root; /* needs to be root */
};

/* Tables end with an entry without a name. */
extern const struct test_case chmod_cases[], chown_cases[], open_cases[], truncate_cases[],
	utimensat_cases[], mkdir_cases[], mknod_cases[], link_cases[], unlink_cases[],
	rename_cases[], rmdir_cases[], symlink_cases[], xattr_cases[], data_cases[], dir_cases[],
	lock_cases[];

/* End the case: it failed, or can't be run here. */
void failed(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void skip(const char *why) __attribute__((noreturn));

/* The call succeeds (>= 0); its value is the result. */
#define OK(call)                                                                      \
	({                                                                            \
		long ok_ = (long)(call);                                              \
		if (ok_ < 0)                                                          \
			failed(__FILE__, __LINE__, "%s: %s", #call, strerror(errno)); \
		ok_;                                                                  \
	})
/* The call fails with that errno. */
#define FAILS(call, want)                                                                          \
	do {                                                                                       \
		long r_;                                                                           \
		errno = 0;                                                                         \
		r_ = (long)(call);                                                                 \
		if (r_ >= 0)                                                                       \
			failed(__FILE__, __LINE__, "%s: gave %ld instead of %s", #call, r_,        \
			       #want);                                                             \
		if (errno != (want))                                                               \
			failed(__FILE__, __LINE__, "%s: %s instead of %s", #call, strerror(errno), \
			       #want);                                                             \
	} while (0)
#define EQUAL(a, b)                                                                              \
	do {                                                                                     \
		long long a_ = (long long)(a), b_ = (long long)(b);                              \
		if (a_ != b_)                                                                    \
			failed(__FILE__, __LINE__, "%s is %lld (0%llo) instead of %lld (0%llo)", \
			       #a, a_, (unsigned long long)a_, b_, (unsigned long long)b_);      \
	} while (0)
#define TRUE(what)                                                       \
	do {                                                             \
		if (!(what))                                             \
			failed(__FILE__, __LINE__, "not so: %s", #what); \
	} while (0)

/* Run the block as another user, in a child; what fails there fails the case:
 *	AS_USER(65534, 65534, 0) { FAILS(unlink("f"), EACCES); }
 * The groups: gid, and `extra` as supplementary group unless 0. */
bool user_begin(uid_t uid, gid_t gid, gid_t extra); /* true in the child */
bool user_end(void) __attribute__((noreturn));	    /* in the child */
#define AS_USER(uid, gid, extra) for (bool in_ = user_begin(uid, gid, extra); in_; in_ = user_end())

/* A file with that mode (chmod, so without the umask) and content. */
void make_file(const char *name, mode_t mode);
void make_dir(const char *name, mode_t mode);
void write_file(const char *name, const char *content);
void expect_content(const char *name, const char *content);
struct stat stat_of(const char *name); /* lstat; fails the case if it is not there */
bool exists(const char *name);	       /* lstat */
/* Names at and over the limits; static memory. */
const char *name_of_length(size_t n); /* "aaaa..." */
const char *path_of_length(size_t n); /* "./././...x", existing where it ends in a file's name */
/* Sleep until the clock of file times has moved on, for comparing times. */
void tick(void);
int later(struct timespec a, struct timespec b); /* a > b */
/* Times of the file that changed since `before`: a combination of letters "amc" in that order. */
const char *changed_times(const struct stat *before, const char *name);

#endif
