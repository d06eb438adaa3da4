/* SPDX-License-Identifier: MIT */
/*
 * The model test: random operations on a directory, and the same operations on a reference in
 * memory; each result is compared at once, the whole tree after each remount and at the end.
 *
 * The sequence depends only on the seed, never on what the filesystem answers: the first answer
 * that differs from the reference ends the run, so a seed always replays the same failure.
 * One thread: everything here is plain global state.
 */
#ifndef ZC_MODEL_H
#define ZC_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

enum {
	MAX_SIZE = 3 << 20, /* of a file */
	MAX_FILES = 60,	    /* inodes that are not directories, also unlinked open ones */
	MAX_DIRS = 15,	    /* with the root */
	MAX_HANDLES = 12,
	MAX_XATTRS = 6,
	XATTR_MAX = 200, /* bytes of a value: all must fit into one block of any host */
	NAME_COUNT = 14, /* names tried in each directory: few, so that they often exist */
	PATH_CAP = 4096,
};

struct xattr {
	bool used;
	int len;
	uint8_t val[XATTR_MAX];
};

struct entry {
	char name[256];
	struct node *node;
};

struct node {
	mode_t mode; /* with the type */
	uid_t uid;
	gid_t gid;
	unsigned nlink;
	int handles;	  /* open handles: keep an unlinked inode alive */
	bool linkable;	  /* made by O_TMPFILE, never had a name */
	bool mtime_known; /* set by utimensat and not changed since */
	bool map_dirty;	  /* stored through a mapping since the last sync: mtime may still move */
	struct timespec mtime;
	off_t size;
	uint8_t *data; /* regular files: cap bytes, zero from size on */
	size_t cap;
	char *target;	     /* symbolic links */
	struct node *parent; /* directories */
	struct entry *ents;
	int nents, ents_cap;
	struct xattr x[MAX_XATTRS];
};

struct handle {
	struct node *node; /* NULL: this slot is free */
	int fd;
	int flags;
	uint8_t *map; /* MAX_SIZE bytes from offset 0, or NULL */
};

struct world {
	const char *dir;
	const char *remount; /* command, or NULL */
	bool allow_no_mmap;  /* ENODEV from a shared mapping is no failure */
	bool trace;	     /* print each operation */
	bool root;
	uint64_t seed, ops, op;
	struct node *top;
	struct node *dirs[MAX_DIRS];
	int ndirs, nfiles;
	struct handle h[MAX_HANDLES];
	uint64_t noted; /* lines of the log */
	uint64_t counted[64], no_mmap;
	char **argv;
	uint8_t buf[MAX_SIZE] __attribute__((aligned(4096)));
};

extern struct world W;

/* Where a name is, or would be. */
struct place {
	struct node *dir;
	struct node *node; /* NULL: there is no such name */
	char name[256];
	char path[PATH_CAP];
};

/* report.c: random numbers, the last operations, failures */
void rng_seed(uint64_t seed);
uint64_t rng(void);
unsigned below(unsigned n); /* 0 .. n-1 */
bool chance(unsigned percent);
void fill_random(uint8_t *p, size_t n);
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void differ(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* rc is what a call returned; want the errno it should have failed with, 0 for success. */
void expect(long rc, int want, const char *what);

/* ref.c: the reference */
struct node *node_new(mode_t mode);
void node_put(struct node *n); /* frees it once it has neither name nor handle */
void node_reserve(struct node *n, off_t end);
void node_resize(struct node *n, off_t size);
void node_store(struct node *n, off_t off, const void *p, size_t len);
void touch(struct node *n); /* its mtime is now the filesystem's choice */
struct node *lookup(struct node *dir, const char *name);
void entry_add(struct node *dir, const char *name, struct node *n);
void entry_del(struct node *dir, const char *name);
void dir_path(struct node *dir, char *out);
bool is_below(const struct node *n, const struct node *ancestor); /* or the same */
void place_random(struct place *p);
void place_free(struct place *p);		   /* a name that does not exist */
bool place_existing(struct place *p, mode_t type); /* type 0: any but a directory */
off_t random_size(void);
off_t random_offset(off_t size);
struct handle *handle_random(int accmode); /* O_RDONLY: readable, O_WRONLY: writable, or NULL */
struct handle *handle_slot(void);
void handle_open(struct handle *h, struct node *n, int fd, int flags);
void handle_close(struct handle *h);
const char *node_kind(const struct node *n);

/* ops_*.c: one operation each */
void op_create(void);
void op_open(void);
void op_close(void);
void op_tmpfile(void);
void op_link_tmpfile(void);
void op_read(void);
void op_pwrite(void);
void op_append(void);
void op_direct(void);
void op_map_store(void);
void op_map_load(void);
void op_truncate(void);
void op_fallocate(void);
void op_copy_range(void);
void op_seek(void);
void op_fsync(void);
void op_rename(void);
void op_link(void);
void op_symlink(void);
void op_unlink(void);
void op_mkdir(void);
void op_rmdir(void);
void op_chmod(void);
void op_chown(void);
void op_utimens(void);
void op_setxattr(void);
void op_removexattr(void);
void op_listxattr(void);
void op_readdir(void);
void op_stat(void);

/* verify.c: comparing */
void check_stat(const struct stat *st, const struct node *n, const char *what);
void check_bytes(const uint8_t *got, const struct node *n, off_t off, size_t len, const char *what);
void check_content(int fd, const struct node *n, const char *what);
void check_listing(struct node *dir, bool seek_back);
void check_xattrs(const char *path, const struct node *n);
void check_tree(void);
void remount(void);

#endif
