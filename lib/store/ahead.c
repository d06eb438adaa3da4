/* SPDX-License-Identifier: MIT */
/*
 * Pages written ahead: many scattered pages of files go to the page file as one run, straight from the
 * caller's memory, while nothing shows them; then they get their places in one short step. So what is
 * random in a file is sequential on the device, nothing is copied, a full store shows before anything
 * has changed, and no commit has to wait for the writing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "store/store_i.h"
#include "util/cleanup.h"

/* Pages that are written at once. */
#define GATHER 1024u

/* A page of a file, and where it is. */
struct placed {
	uint64_t ino, n, page;
	uint32_t sum;
};

struct store_ahead {
	struct store *store;
	struct placed *pages;
	size_t count, room, written, done; /* done: have their places in files */
	struct iovec iov[GATHER];	   /* of pages[written] and those that follow */
	struct put puts[GATHER];
};

int store_ahead_new(struct store *s, struct store_ahead **ret_ahead)
{
	struct store_ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->store = s;
	*ret_ahead = a;
	return 0;
}

static int make_room(struct store_ahead *a)
{
	size_t room = a->room ? a->room * 2 : GATHER;
	struct placed *p;

	if (a->count < a->room)
		return 0;
	p = reallocarray(a->pages, room, sizeof(*p));
	if (!p)
		return -ENOMEM;
	a->pages = p;
	a->room = room;
	return 0;
}

int store_ahead_add(struct store_ahead *a, uint64_t ino, uint64_t page, const void *bytes)
{
	int r = a->count - a->written == GATHER ? store_ahead_write(a) : 0;

	if (r == 0)
		r = make_room(a);
	if (r < 0)
		return r;
	a->iov[a->count - a->written] = (struct iovec){ (void *)(uintptr_t)bytes, PAGE };
	a->pages[a->count++] = (struct placed){ .ino = ino, .n = page };
	return 0;
}

/* Store pages for pages[written, count); those that got none when it failed are dropped. */
static int allocate(struct store_ahead *a)
{
	struct store *s = a->store;
	LOCKED(s);
	size_t n = a->written;
	bool again = true;

	while (n < a->count) {
		uint64_t page, count;
		int r = alloc_run(s, a->count - n, &page, &count);

		/* In a hold of others it makes no commit; here nobody is in one of his own. */
		if (r == -ENOSPC && again) {
			again = false;
			if (commit_wait_locked(s, STORE_COMMIT_ALL) == 0)
				continue;
		}
		if (r < 0) {
			a->count = n;
			return r;
		}
		while (count--)
			a->pages[n++].page = page++;
	}
	return 0;
}

/* Checksums are of bytes that nobody can change any more. */
static int copy_and_sum(struct store_ahead *a, size_t n, uint8_t **ret_copy)
{
	uint8_t *copy = aligned_alloc(PAGE, n * PAGE);

	if (!copy)
		return -ENOMEM;
	*ret_copy = copy;
	for (size_t i = 0; i < n; i++) {
		memcpy(copy + i * PAGE, a->iov[i].iov_base, PAGE);
		a->iov[i].iov_base = copy + i * PAGE;
		a->pages[a->written + i].sum = sum_page(copy + i * PAGE);
	}
	return 0;
}

static int gather(struct store_ahead *a, size_t n)
{
	const struct placed *p = &a->pages[a->written];
	size_t runs = 0;

	for (size_t i = 0, len; i < n; i += len) {
		for (len = 1; len < PUT_PAGES && i + len < n && p[i + len].page == p[i].page + len;)
			len++;
		a->puts[runs++] = (struct put){ p[i].page, (unsigned)len, &a->iov[i] };
	}
	return pagefile_put(a->store, a->puts, runs);
}

int store_ahead_write(struct store_ahead *a)
{
	zu_cleanup_free uint8_t *copy = NULL;
	struct store *s = a->store;
	size_t n;
	int r = 0, e = allocate(a);

	n = a->count - a->written;
	if (n && s->checksum)
		r = copy_and_sum(a, n, &copy);
	if (n && r == 0)
		r = gather(a, n);
	a->written = a->count;
	if (r < 0 && r != -ENOMEM && r != -ENOSPC && r != -EDQUOT && r != -EFAULT) {
		LOCKED(s);
		store_fail(s, r, "cannot write to the page file");
		r = -EIO;
	}
	if (n)
		tally_path(s, STORE_FLUSH_AHEAD, n * PAGE);
	return r < 0 ? r : e;
}

/* With the lock held. As many as lie together on both sides, in one chunk. */
static int place_some(struct store_ahead *a, struct inode *i)
{
	const struct placed *p = &a->pages[a->done];
	unsigned at = (unsigned)(p->n % ZCF_CHUNK_PAGES), len = 1;
	struct chunk *c;
	int r = chunk_change(a->store, i, p->n / ZCF_CHUNK_PAGES, &c);

	while (a->done + len < a->written && at + len < ZCF_CHUNK_PAGES && p[len].ino == p->ino &&
	       p[len].n == p->n + len && p[len].page == p->page + len)
		len++;
	if (r == 0)
		r = chunk_set(a->store, i, c, at, len, p->page, BIRTH_PENDING, RUN_FRESH);
	for (unsigned k = 0; r == 0 && k < len; k++)
		sum_set(a->store, i, p[k].n, 1, &p[k].sum);
	if (r == 0)
		a->done += len;
	return r;
}

static bool more_of(const struct store_ahead *a, uint64_t ino)
{
	return a->done < a->written && a->pages[a->done].ino == ino;
}

int store_ahead_place(struct store_ahead *a, uint64_t ino, unsigned flags)
{
	struct store *s = a->store;
	LOCKED(s);
	struct inode *i;
	size_t from = a->done;
	int r = store_may_write(s);

	if (r == 0)
		r = inode_get(s, ino, &i);
	if (r < 0)
		return r;
	i->pins++;
	while (r == 0 && more_of(a, ino)) {
		size_t start = a->done;

		while (r == 0 && more_of(a, ino) && a->done - start < GATHER)
			r = place_some(a, i);
		store_unlock(s); /* others want to go on, too */
		store_lock(s);
	}
	if (a->done > from) {
		i->hint = a->pages[a->done - 1].page + 1;
		data_modified(s, i, flags & STORE_WRITE_KEEP_TIMES);
	}
	i->pins--;
	inode_put(s, i);
	return r;
}

void store_ahead_free(struct store_ahead *a)
{
	if (!a)
		return;
	store_lock(a->store);
	for (size_t n = a->done; n < a->written; n++)
		alloc_release(a->store, a->pages[n].page, 1);
	store_unlock(a->store);
	free(a->pages);
	free(a);
}
