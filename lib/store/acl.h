/* SPDX-License-Identifier: MIT */
/*
 * acl.h - POSIX ACLs in the form of the xattrs system.posix_acl_*: version 2, little-endian
 * entries {u16 tag, u16 perm, u32 id}. Pure functions on bytes.
 */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include <stddef.h>
#include <sys/types.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* -EINVAL unless it is a valid ACL (order, one of each of the three basic entries, a mask where
 * there are named entries, permissions within rwx). An ACL without entries is valid for "none":
 * 0 entries gives 1, others 0. -EOPNOTSUPP: another version. */
int acl_check(const void *acl, size_t size);
/* Put the permission bits that an access ACL implies into `*mode` (others bits of it stay).
 * 1: the mode says it all, the ACL need not be kept; 0: keep it. */
int acl_to_mode(const void *acl, size_t size, mode_t *mode);
/* chmod: move owner, mask (or group) and other entries to `mode`, in place. */
void acl_chmod(void *acl, size_t size, mode_t mode);
/* A new inode in a directory with this default ACL: restrict `*mode` by it and turn the copy in
 * `acl` into the access ACL (in place, same size). 1: the mode says it all; 0: keep the ACL. */
int acl_create(void *acl, size_t size, mode_t *mode);

#endif
