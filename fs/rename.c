/* SPDX-License-Identifier: MIT */
/*
 * rename.c - rename(2) and link(2).
 *
 * A file that replaces another, or an unnamed file that gets a name, must carry its data. While it
 * is open for writing these are in the kernel: the request is parked, the data are delivered, and
 * then it is applied. If a write of them failed, the request fails with that error. The kernel
 * keeps both directories locked meanwhile, so the names mean the same afterwards.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "live.h"
#include "passthrough.h"
#include "util/cleanup.h"

struct parked {
	fuse_req_t req;
	uint64_t ino; /* of link */
	uint64_t parent, new_parent;
	char *name, *new_name;
	unsigned flags;
	uint64_t inos[2]; /* delivered for rename */
	unsigned n;
	int result; /* of the delivery */
};

static void parked_free(struct parked *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->new_name);
	free(p);
}

static struct parked *parked_new(fuse_req_t req, const char *name, const char *new_name)
{
	struct parked *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->req = req;
	p->name = name ? strdup(name) : NULL;
	p->new_name = strdup(new_name);
	if (p->new_name && (p->name || !name))
		return p;
	parked_free(p);
	return NULL;
}

/* May there be data of an inode (0: of any) that the store does not have? */
static bool held_back(uint64_t ino)
{
	return delivery_needed(ino) || passthrough_has(ino) || fs_live_is(ino);
}

static void reply_link(fuse_req_t req, uint64_t ino, uint64_t parent, const char *name)
{
	struct store_attr attr;
	int r = store_link(fs.store, ino, parent, name, &attr);

	if (r < 0)
		reply_result(req, r);
	else
		reply_entry(req, &attr);
}

/* Now, or, where something is live, in a thread that may wait for its image. */
static void go_on(struct parked *p, int result, void (*fn)(void *arg))
{
	int r;

	p->result = result;
	if (result < 0 || !fs_live_is(0)) {
		fn(p);
		return;
	}
	r = live_run(fs_live, LIVE_OF_KERNEL, p->n ? p->inos[0] : p->ino, 0, fn, p);
	if (r < 0) {
		p->result = r;
		fn(p);
	}
}

static void link_finish(void *arg)
{
	struct parked *p = arg;
	int result = p->result;

	if (result == 0)
		result = handles_lost(p->ino);
	if (result == 0)
		result = passthrough_store(p->ino);
	if (result == 0)
		result = fs_live_flush(p->ino);
	if (result < 0)
		reply_result(p->req, result);
	else
		reply_link(p->req, p->ino, p->new_parent, p->new_name);
	parked_free(p);
}

static void link_delivered(void *arg, int result)
{
	go_on(arg, result, link_finish);
}

/* Valid replies: entry, err */
void ll_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	const uint64_t inos[] = { ino };
	struct store_attr attr;
	struct parked *p;
	int r;

	if (!held_back(ino) || store_getattr(fs.store, ino, &attr) < 0 || attr.nlink > 0) {
		reply_link(req, ino, parent, name);
		return;
	}
	p = parked_new(req, NULL, name);
	if (!p) {
		reply_result(req, -ENOMEM);
		return;
	}
	p->ino = ino;
	p->new_parent = parent;
	r = delivery_request(inos, 1, link_delivered, p);
	if (r < 0)
		link_delivered(p, r);
}

static void rename_finish(void *arg)
{
	struct parked *p = arg;
	int result = p->result;

	for (unsigned i = 0; i < p->n && result == 0; i++)
		result = handles_lost(p->inos[i]);
	for (unsigned i = 0; i < p->n && result == 0; i++)
		result = passthrough_store(p->inos[i]);
	for (unsigned i = 0; i < p->n && result == 0; i++)
		result = fs_live_flush(p->inos[i]);
	if (result == 0)
		result = store_rename(fs.store, p->parent, p->name, p->new_parent, p->new_name,
				      p->flags);
	reply_result(p->req, result);
	parked_free(p);
}

static void rename_delivered(void *arg, int result)
{
	go_on(arg, result, rename_finish);
}

/* Which inodes must be delivered before: none, one, or (EXCHANGE) two. */
static unsigned to_deliver(uint64_t parent, const char *name, uint64_t new_parent,
			   const char *new_name, unsigned flags, uint64_t inos[2])
{
	struct store_attr source, target;
	unsigned n = 0;

	/* (Inode 0: anybody's?) */
	if (flags & RENAME_NOREPLACE || !held_back(0))
		return 0;
	if (store_peek(fs.store, parent, name, &source) < 0 ||
	    store_peek(fs.store, new_parent, new_name, &target) < 0 || source.ino == target.ino)
		return 0;
	if (held_back(source.ino))
		inos[n++] = source.ino;
	if (flags & RENAME_EXCHANGE && held_back(target.ino))
		inos[n++] = target.ino;
	return n;
}

/* Valid replies: err */
void ll_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags)
{
	uint64_t inos[2];
	struct parked *p;
	unsigned n;
	int r;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
		reply_result(req, -EINVAL);
		return;
	}
	n = to_deliver(parent, name, new_parent, new_name, flags, inos);
	if (n == 0) {
		reply_result(req,
			     store_rename(fs.store, parent, name, new_parent, new_name, flags));
		return;
	}
	p = parked_new(req, name, new_name);
	if (!p) {
		reply_result(req, -ENOMEM);
		return;
	}
	p->parent = parent;
	p->new_parent = new_parent;
	p->flags = flags;
	memcpy(p->inos, inos, n * sizeof(inos[0]));
	p->n = n;
	r = delivery_request(inos, n, rename_delivered, p);
	if (r < 0)
		rename_delivered(p, r);
}
