/* SPDX-License-Identifier: MIT */
/*
 * passthrough_commit.c - commits of files with images that somebody waits for.
 */
#include <errno.h>
#include <stdlib.h>

#include "passthrough_i.h"

struct pt_commit {
	struct pt_commit *next;
	store_commit_fn *done;
	void *arg;
	uint64_t ino;
	unsigned taken_back; /* of the first of a list */
};

static void commits_done(void *arg, int result)
{
	struct pt_commit *c = arg;

	while (c) {
		struct pt_commit *next = c->next;

		c->done(c->arg, result);
		free(c);
		c = next;
	}
}

/* Unless it was taken back before the commit: then all of it again. */
static void commit_done(void *arg, int result)
{
	struct pt_commit *c = arg;

	if (result < 0 || passthrough_taken_back(c->ino) == c->taken_back) {
		commits_done(c, result);
		return;
	}
	while (c) {
		struct pt_commit *next = c->next;
		int r = passthrough_commit_start(c->ino, c->done, c->arg);

		if (r < 0)
			c->done(c->arg, r);
		free(c);
		c = next;
	}
}

/* All who wait for a commit of the inode are served by one. */
static void commit_job(uint64_t ino, void *arg)
{
	struct pt_inode *i = arg;
	struct pt_commit *c;
	int r;

	pthread_mutex_lock(&pt.lock);
	c = i->commits;
	i->commits = NULL;
	pthread_mutex_unlock(&pt.lock);
	c->taken_back = passthrough_taken_back(ino);
	r = passthrough_store(ino);
	pt_unuse(i);
	if (r < 0)
		commits_done(c, r);
	else
		store_commit_start(fs.store, &ino, 1, 0, commit_done, c);
}

static void commit_all_job(uint64_t ino, void *arg)
{
	int r = passthrough_store_all(false);

	if (r < 0)
		commits_done(arg, r);
	else
		store_commit_start(fs.store, NULL, 0, STORE_COMMIT_ALL, commits_done, arg);
}

static int start_commit_of(struct pt_inode *i, struct pt_commit *c)
{
	bool first;
	int r = 0;

	pthread_mutex_lock(&pt.lock);
	first = !i->commits;
	if (first)
		r = pt_job(commit_job, i->ino, i);
	if (r == 0) {
		c->next = i->commits;
		i->commits = c;
	}
	pthread_mutex_unlock(&pt.lock);
	if (r < 0 || !first)
		pt_unuse(i);
	return r;
}

int passthrough_commit_start(uint64_t ino, store_commit_fn *done, void *arg)
{
	struct pt_inode *i = ino ? pt_use(ino) : NULL;
	struct pt_commit *c;
	int r;

	if (!i && (ino || atomic_load(&pt.images) == 0)) {
		store_commit_start(fs.store, &ino, ino != 0,
				   ino ? STORE_COMMIT_HERE : STORE_COMMIT_ALL, done, arg);
		return 0;
	}
	c = malloc(sizeof(*c));
	if (!c) {
		if (i)
			pt_unuse(i);
		return -ENOMEM;
	}
	*c = (struct pt_commit){ .done = done, .arg = arg, .ino = ino };
	r = i ? start_commit_of(i, c) : pt_job(commit_all_job, 0, c);
	if (r < 0)
		free(c);
	return r;
}
