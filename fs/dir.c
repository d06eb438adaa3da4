/* SPDX-License-Identifier: MIT */
/*
 * dir.c - directories. "." and ".." are made here, at the offsets 1 and 2; those of the store's
 * entries are their cookies, 16 and more. Entries are laid out as the wire has them, since their
 * names are not terminated.
 */
#include <errno.h>
#include <string.h>

#include "fs.h"

enum { OFF_DOT = 1, OFF_DOTDOT = 2, OFF_FIRST = 16 };

struct listing {
	char *buf;
	size_t used, size;
	bool plus;
};

/* Valid replies: open, err. Nothing needs to be known of who reads a directory, and nobody else changes one: so
 * the kernel may open directories itself from the first time on (ENOSYS), and keep what it has read of them. */
void ll_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	/* (libfuse checks allow_root here, and not when a directory is read.) */
	bool itself = fs.init_offered & FUSE_NO_OPENDIR_SUPPORT && !fs.opt.allow_root;

	if (!fs.opt.direct && itself) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->fh = 0;
	fi->keep_cache = fi->cache_readdir = !fs.opt.direct;
	fuse_reply_open(req, fi);
}

/* Valid replies: err */
void ll_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

/* Add an entry; false: it does not fit. `attr` NULL: the kernel learns of no inode. */
static bool add(struct listing *list, const char *name, size_t namelen, uint64_t ino, uint64_t off,
		mode_t type, const struct store_attr *attr)
{
	size_t head = list->plus ? sizeof(struct fuse_entry_out) : 0;
	size_t body = head + offsetof(struct fuse_dirent, name) + namelen;
	size_t total = FUSE_DIRENT_ALIGN(body);
	char *at = list->buf + list->used;
	struct fuse_dirent *entry = (struct fuse_dirent *)(at + head);

	if (total > list->size - list->used)
		return false;
	if (list->plus && attr) {
		struct store_attr now = *attr;

		reply_fix_entry(&now);
		reply_wire_entry(&now, (struct fuse_entry_out *)at);
	} else if (list->plus) {
		memset(at, 0, sizeof(struct fuse_entry_out));
	}
	entry->ino = ino;
	entry->off = off;
	entry->namelen = (uint32_t)namelen;
	entry->type = (uint32_t)type >> 12;
	memcpy(entry->name, name, namelen);
	memset(at + body, 0, total - body);
	list->used += total;
	return true;
}

static bool add_entry(void *arg, const struct store_entry *e)
{
	return add(arg, e->name, e->namelen, e->ino, e->cookie, e->type, e->attr);
}

/* Fill in from `off` on; false: full before the entries of the store began. */
static int add_dots(struct listing *list, uint64_t ino, uint64_t *off)
{
	uint64_t parent;
	int r;

	if (*off < OFF_DOT) {
		if (!add(list, ".", 1, ino, OFF_DOT, S_IFDIR, NULL))
			return 0;
		*off = OFF_DOT;
	}
	if (*off < OFF_DOTDOT) {
		r = store_parent(fs.store, ino, &parent);
		if (r < 0)
			return r;
		if (!add(list, "..", 2, parent, OFF_DOTDOT, S_IFDIR, NULL))
			return 0;
		*off = OFF_DOTDOT;
	}
	return 1;
}

static void list_directory(fuse_req_t req, fuse_ino_t ino, size_t size, uint64_t off, bool plus)
{
	struct listing list = { .buf = worker_buffer(), .plus = plus };
	int r;

	list.size = size < FS_MAX_IO ? size : FS_MAX_IO;
	r = add_dots(&list, ino, &off);
	if (r > 0)
		r = store_readdir(fs.store, ino, off < OFF_FIRST ? 0 : off + 1,
				  plus ? STORE_DIR_REF : 0, add_entry, &list);
	if (r < 0 && list.used == 0)
		reply_result(req, r);
	else
		fuse_reply_buf(req, list.buf, list.used);
}

/* Valid replies: buf, err */
void ll_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list_directory(req, ino, size, (uint64_t)off, false);
}

/* Valid replies: buf (each entry but the dots is a lookup), err */
void ll_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list_directory(req, ino, size, (uint64_t)off, true);
}
