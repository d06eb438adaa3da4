/* SPDX-License-Identifier: MIT */
/*
 * The first step of a commit, under the store's lock: what it takes is marked and set aside, so that
 * changes from now on go on top of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/store_i.h"

/* Room for one more in a list of frozen inodes. */
static int room_for(struct frozen_inode **list, size_t count, size_t *room)
{
	size_t more = *room ? *room * 2 : 64;
	struct frozen_inode *p;

	if (count < *room)
		return 0;
	p = realloc(*list, more * sizeof(*p));
	if (!p)
		return -ENOMEM;
	*list = p;
	*room = more;
	return 0;
}

static int add_frozen(struct commit *c, struct inode *i)
{
	int r = i->frozen ? 0 : room_for(&c->inodes, c->count, &c->room);

	if (r < 0 || i->frozen)
		return r;
	c->inodes[c->count++] = (struct frozen_inode){ .inode = i };
	i->frozen = true;
	return 0;
}

/* What changed in a file's data goes to what the next commit takes. */
static int capture(struct store *s, struct inode *i)
{
	inode_data_clean(s, i);
	i->kept = i->now;
	if (i->cap && i->pend)
		return pending_merge(s, i);
	if (i->pend)
		i->cap = i->pend;
	i->pend = NULL;
	return 0;
}

static int freeze_data(struct store *s, struct commit *c, struct inode *i)
{
	int r;

	if (!i->data_dirty)
		return 0;
	r = add_frozen(c, i);
	if (r < 0)
		return r;
	return capture(s, i);
}

static int freeze_files(struct store *s, struct commit *c, unsigned flags)
{
	int r = 0;

	for (struct commit_request *q = c->requests; q && r == 0; q = q->next)
		for (size_t n = 0; n < q->count && r == 0; n++) {
			struct inode *i = inode_cached(s, q->inos[n]);

			if (i)
				r = freeze_data(s, c, i);
		}
	for (struct inode *i = s->data_dirty, *next; i && r == 0; i = next) {
		next = i->data_next;
		if ((flags & STORE_COMMIT_EVERYTHING) ||
		    ((flags & STORE_COMMIT_ALL) && !(i->flags & ZCF_INODE_EXPLICIT)))
			r = freeze_data(s, c, i);
	}
	for (struct inode *i = s->dirty, *next; i && r == 0; i = next) {
		next = i->dirty_next;
		if (i->capture)
			r = freeze_data(s, c, i);
		if (r == 0)
			r = add_frozen(c, i);
		if (r == 0)
			inode_undirty(s, i);
	}
	return r;
}

static void freeze_record(struct frozen_inode *f)
{
	struct inode *i = f->inode;
	bool orphan = i->nlink == 0;

	i->capture = false;
	if (!S_ISREG(i->mode))
		i->kept = i->now;
	f->cap = i->cap;
	if (i->dead) {
		f->remove = true;
		f->orphan_del = i->orphan;
		return;
	}
	f->put = true;
	f->orphan_put = orphan && !i->orphan;
	f->orphan_del = !orphan && i->orphan;
	i->orphan = orphan;
	i->stored = true;
	inode_record(i, &f->rec);
}

static int freeze_buffers(struct store *s, struct commit *c, const struct pending *p)
{
	struct chunk *k;
	int r;

	RB_FOREACH(k, chunk_tree, (struct chunk_tree *)&p->chunks)
		for (unsigned n = 0; n < k->count; n++) {
			/* What the log took as unwritten may have been written in its place since. */
			if (k->runs[n].flags & RUN_UNWRITTEN)
				continue;
			r = buffer_collect(s, k->runs[n].page, k->runs[n].count, true, &c->buffers,
					   &c->nbuffers, &c->buffers_room);

			if (r < 0)
				return r;
		}
	return 0;
}

static void take_requests(struct store *s, struct commit *c)
{
	struct commit_request **tail = &c->requests;

	while (*tail)
		tail = &(*tail)->next;
	*tail = s->queue;
	s->queue = NULL;
	s->queue_tail = &s->queue;
}

/* The files whose commits are in the intent log only, go with every commit. */
static void take_logged(struct store *s, struct commit *c)
{
	c->inodes = s->intent.inodes;
	c->count = s->intent.count;
	c->room = s->intent.room;
	s->intent.inodes = NULL;
	s->intent.count = s->intent.room = 0;
}

int freeze(struct store *s, struct commit *c, unsigned flags)
{
	struct layer *layer;
	int r;

	take_requests(s, c);
	take_logged(s, c);
	for (struct commit_request *q = c->requests; q; q = q->next)
		flags |= q->flags;
	layer = layer_new();
	if (!layer)
		return -ENOMEM;
	r = freeze_files(s, c, flags);
	for (size_t n = 0; n < c->count; n++) {
		freeze_record(&c->inodes[n]);
		if (r == 0 && c->inodes[n].cap && s->nbuffers)
			r = freeze_buffers(s, c, c->inodes[n].cap);
	}
	c->layer = s->frozen = s->active;
	s->active = layer;
	c->super = s->super;
	c->super.commit++;
	c->super.next_ino = s->next_ino;
	c->super.pages = s->pages;
	c->super.inodes = s->inodes_now;
	return r;
}

/* ---- into the intent log ------------------------------------------------------------------- */

/* The data half is captured if there is a request for it. */
static int take_inode(struct commit *c, struct store *s, struct inode *i, bool data)
{
	struct frozen_inode f = { .inode = i };
	int r = room_for(&c->inodes, c->count, &c->room);

	if (r == 0)
		r = room_for(&s->intent.inodes, s->intent.count, &s->intent.room);
	if (r < 0)
		return r;
	inode_undirty(s, i);
	if (data) {
		inode_data_clean(s, i);
		i->kept = i->now;
		f.cap = i->pend;
	} else if (!S_ISREG(i->mode)) {
		i->kept = i->now;
	}
	inode_record(i, &f.rec);
	c->inodes[c->count++] = f;
	if (!i->frozen)
		s->intent.inodes[s->intent.count++] = (struct frozen_inode){ .inode = i };
	i->frozen = true;
	return 0;
}

int freeze_logged(struct store *s, struct commit *c)
{
	size_t data = 0;
	int r = 0;

	take_requests(s, c);
	for (struct commit_request *q = c->requests; q; q = q->next)
		for (size_t n = 0; n < q->count && r == 0; n++) {
			struct inode *i = inode_cached(s, q->inos[n]);

			if (i && i->data_dirty)
				r = take_inode(c, s, i, true);
		}
	data = c->count;
	while (s->dirty && r == 0)
		r = take_inode(c, s, s->dirty, false);
	if (r == 0 && c->count)
		r = intent_entries(s, c, &c->entries);
	/* The record has all of it: now it goes on top of what the log had before. */
	for (size_t n = 0; n < data && r == 0; n++)
		r = capture(s, c->inodes[n].inode);
	return r;
}
