/* SPDX-License-Identifier: MIT */
/* Rollback: a file's data half becomes what was captured last. */
#include <errno.h>

#include "store/store_i.h"

static int rollback(struct store *s, uint64_t ino, bool held, struct store_attr *ret_attr)
{
	LOCKED(s);
	struct inode *i;
	int r = store_may_write(s);

	if (r == 0)
		r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	if (!S_ISREG(i->mode))
		return -EINVAL;
	/* A name that carries its data (A3) is a capture, too: both go first. */
	if (i->capture && held)
		return -EBUSY;
	i->pins++;
	if (i->capture)
		commit_wait_locked(s, 0);
	/* (A commit that the log refused waits for the holds before it goes on: it has what was captured.) */
	while (i->cap && s->committing && !s->failed && !(held && s->freezing))
		pthread_cond_wait(&s->finished, &s->lock);
	r = store_may_write(s);
	if (r == 0) {
		if (i->pend)
			pending_drop(s, i->pend);
		i->pend = NULL;
		i->now = i->kept;
		i->capture = false;
		inode_data_clean(s, i);
		inode_attr(i, ret_attr);
	}
	i->pins--;
	inode_put(s, i);
	return r;
}

int store_rollback(struct store *s, uint64_t ino, struct store_attr *ret_attr)
{
	return rollback(s, ino, false, ret_attr);
}

int store_rollback_held(struct store *s, uint64_t ino)
{
	struct store_attr ignored;

	return rollback(s, ino, true, &ignored);
}
