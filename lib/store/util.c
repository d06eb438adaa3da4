/* SPDX-License-Identifier: MIT */
/* Small things that the files of the engine share: log, failure, time, lists of pages. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "store/store_i.h"

/* Room that data.mdb has on the host ahead of what it uses, so that a commit finds it; with less
 * than META_LEAST and no way to get more nothing new is made, but removing still works. */
#define META_AHEAD (16u << 20)
#define META_LEAST (8u << 20)

void store_log(struct store *s, int level, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (!s->options.log)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->options.log(s->options.log_arg, level, text);
}

void store_fail(struct store *s, int error, const char *what)
{
	if (s->failed)
		return;
	s->failed = error < 0 ? -error : error;
	clock_gettime(CLOCK_REALTIME, &s->failed_at);
	snprintf(s->failure, sizeof(s->failure), "%s: %s", what, strerror(s->failed));
	store_log(s, STORE_LOG_ERROR,
		  "store %s: %s; it is read-only now, its last commit is safe: mount it again when "
		  "the cause is mended",
		  s->path, s->failure);
}

int store_may_change(const struct store *s)
{
	return s->read_only || s->failed ? -EROFS : 0;
}

int store_may_write(const struct store *s)
{
	if (s->read_only)
		return -EROFS;
	return s->failed ? -EIO : 0;
}

/* The kernel's own clock for file times: what it shows from its cache stays right. */
struct timespec store_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

bool time_after(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

int extents_add(struct extents *list, uint64_t page, uint64_t count)
{
	struct extent *last = list->count ? &list->items[list->count - 1] : NULL;

	if (last && last->page + last->count == page) {
		last->count += count;
		return 0;
	}
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct extent *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = (struct extent){ page, count };
	return 0;
}

static int extent_compare(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->page > y->page) - (x->page < y->page);
}

void extents_sort(struct extents *list)
{
	size_t out = 0;

	if (!list->count)
		return;
	qsort(list->items, list->count, sizeof(*list->items), extent_compare);
	for (size_t n = 1; n < list->count; n++) {
		struct extent *last = &list->items[out];

		if (last->page + last->count == list->items[n].page)
			last->count += list->items[n].count;
		else
			list->items[++out] = list->items[n];
	}
	list->count = out + 1;
}

void extents_clear(struct extents *list)
{
	free(list->items);
	*list = (struct extents){ 0 };
}

void meta_reserve(struct store *s)
{
	uint64_t used = kv_used_bytes(s->kv);
	int fd = kv_fd(s->kv);

	if (fd < 0 || used + META_LEAST <= s->meta_reserved)
		return;
	/* Where the host has no fallocate, a full disk shows at a commit. */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(used + META_AHEAD)) == 0)
		s->meta_reserved = used + META_AHEAD;
	else if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
		s->meta_reserved = UINT64_MAX;
	atomic_store(&s->meta_low, used + META_LEAST > s->meta_reserved);
}
