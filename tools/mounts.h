/* SPDX-License-Identifier: MIT */
/*
 * mounts.h - the mounts of zcfs, from /proc/self/mountinfo alone: nothing here touches a mount,
 * which may hang.
 */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

#define MOUNT_TYPE "fuse.zcfs"

struct mount {
	char *point;  /* absolute */
	char *source; /* the path of the store */
	char *type;
	char device[32]; /* "major:minor" */
	bool read_only;
	uid_t uid; /* who mounted it */
};

/* The topmost mount at `path`; type and all are for the caller to look at. 0: not a mount point;
 * 1: found; else a negative errno. The parts belong to the caller: mount_clear(). */
int mount_find(const char *path, struct mount *ret_mount);
/* Does another mount have the same device or the same store? Gives its mount point (to be freed),
 * or NULL. */
char *mount_sibling(const struct mount *mount);
/* The mount point of a zcfs mount of the store `path` (as realpath gives it), or NULL. */
char *mount_of_store(const char *path);
/* The zcfs mount that `path` lies in, by its name alone, or NULL. To be freed. */
char *mount_around(const char *path);
void mount_clear(struct mount *mount);

#endif
