/* SPDX-License-Identifier: MIT */
/* acl.h - what xattr.c and acl.c share. */
#ifndef ACL_H
#define ACL_H

#include "posix.h"

/* Is `name` in the list of the file's attributes? */
bool listed(const char *path, const char *name);

/* Cases. */
void acl_and_mode(void);
void acl_minimal(void);
void acl_removal(void);
void acl_invalid(void);
void acl_inherited_by_file(void);
void acl_inherited_by_directory(void);
void acl_default_minimal(void);
void acl_decides(void);
void acl_on_directory(void);
void acl_clears_set_group_id(void);

#endif
