/* SPDX-License-Identifier: MIT */
/*
 * read_ahead.c - where the bytes of a READ come from cheapest, and reading ahead in the page file.
 *
 * What is in the host's page cache is mapped. What is not comes past it, so that it is in memory once,
 * in the kernel's cache of the mount: a large READ is one large read of the device, and the kernel's
 * own read-ahead has several of them under way; a random one is just what was asked for.
 *
 * Small READs that follow each other in the page file are another matter: of an ordinary user's mount,
 * whose read-ahead the kernel keeps at 128 KiB, or of many small files in the order in which they were
 * written. Each would wait for the device anew. So what follows is read ahead into the page cache, and
 * dropped from there when it has gone by.
 *
 * Streams are known by places in the page file, not by files: what lies together was written together.
 *
 * The table has a lock of its own, held for a few instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "read.h"

enum {
	STREAMS = 16,
	LARGE = 256 << 10, /* bytes of a READ: worth a read of the device of its own */
	NEAR = 64 << 10,   /* so far apart are the first two of a stream at most */
	WIDE = 512 << 10,  /* later ones: several workers serve them in any order */
	WINDOW_LEAST = 128 << 10,
	WINDOW_MOST = 2 << 20,
	CALL_MOST = 1 << 20, /* what one call reads ahead for sure */
	FRAGMENTS = 8,	     /* pieces of a READ from which on they are read all at once */
	FRAGMENT = 32 << 10, /* if they are that small, on average */
};

struct stream {
	uint64_t next;	 /* where the last READ ended; 0: unused */
	uint64_t ahead;	 /* read ahead up to here; 0: not at all */
	uint64_t kept;	 /* what was, is dropped up to here */
	uint64_t window; /* bytes to be ahead */
	uint64_t used;	 /* when */
	bool proven;
};

static struct stream streams[STREAMS];
static uint64_t now;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Of linux/mman.h, which the packaged headers do not have. */
struct cache_range {
	uint64_t offset, length;
};
struct cache_stat {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};
enum { CACHESTAT = 451 };

/* Pages of the range in the page cache, also those on the way there. -1: the kernel does not say. */
static int64_t cached_pages(uint64_t pos, uint64_t length)
{
	struct cache_range range = { pos, length };
	struct cache_stat stat;

	if (syscall(CACHESTAT, store_page_fd(fs.store), &range, &stat, 0) < 0)
		return -1;
	return (int64_t)stat.cached;
}

static uint64_t page_down(uint64_t x)
{
	return x & ~(uint64_t)(FS_PAGE - 1);
}

static uint64_t pages_of(const struct store_segment *s)
{
	return (page_down(s->pos + s->length + FS_PAGE - 1) - page_down(s->pos)) / FS_PAGE;
}

/* ---- streams ----------------------------------------------------------------------------- */

/* What is to be done about the page cache, without the lock. */
struct advice {
	uint64_t need, need_end, drop, drop_end;
};

static struct stream *stream_of(uint64_t pos)
{
	struct stream *oldest = &streams[0];

	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];
		uint64_t back = s->proven ? WIDE : 0, front = s->proven ? WIDE : NEAR;

		if (s->next && pos + back >= s->next && pos <= s->next + front)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){ 0 };
	return oldest;
}

/* A small READ of [pos, end), of which not all is in the page cache if `missed`. True: it is read
 * ahead of. */
static bool follow(uint64_t pos, uint64_t end, bool missed, struct advice *advice)
{
	struct stream *s = stream_of(pos);
	bool first = s->next == 0;

	s->used = ++now;
	s->proven = !first;
	if (s->next < end)
		s->next = end;
	if (first || (s->ahead == 0 && !missed))
		return false;
	if (s->ahead < end && missed) { /* it begins, or goes on elsewhere */
		s->ahead = pos;
		s->window = s->window ? s->window : WINDOW_LEAST;
		if (s->kept == 0)
			s->kept = pos;
	}
	if (s->ahead < s->next + s->window / 2) {
		advice->need = s->ahead;
		advice->need_end = s->ahead = s->next + s->window;
		s->window = s->window * 2 < WINDOW_MOST ? s->window * 2 : WINDOW_MOST;
	}
	if (s->kept + 2 * WIDE < s->next) {
		advice->drop = s->kept;
		advice->drop_end = s->kept = s->next - WIDE;
	}
	return true;
}

static void advise(uint64_t from, uint64_t end, int advice)
{
	for (; from < end; from += CALL_MOST)
		posix_fadvise(store_page_fd(fs.store), (off_t)from,
			      (off_t)(end - from < CALL_MOST ? end - from : CALL_MOST), advice);
}

static bool read_along(uint64_t pos, uint64_t end, bool missed)
{
	struct advice advice = { 0 };
	bool ahead;

	pthread_mutex_lock(&lock);
	ahead = follow(page_down(pos), page_down(end + FS_PAGE - 1), missed, &advice);
	pthread_mutex_unlock(&lock);
	advise(advice.need, advice.need_end, POSIX_FADV_WILLNEED);
	advise(advice.drop, advice.drop_end, POSIX_FADV_DONTNEED);
	return ahead;
}

/* ---- the rule ---------------------------------------------------------------------------- */

/* What a READ wants of the page file. */
struct wanted {
	uint64_t pages, bytes;
	unsigned pieces;
	const struct store_segment *first, *last;
	bool missing; /* not all is in the page cache */
};

static struct wanted look_at(const struct store_read *read)
{
	struct wanted w = { 0 };
	int64_t cached = 0;

	for (unsigned i = 0; i < read->count; i++) {
		const struct store_segment *s = &read->segments[i];

		if (s->where != STORE_PAGES)
			continue;
		w.first = w.first ? w.first : s;
		w.last = s;
		w.pieces++;
		w.bytes += s->length;
		w.pages += pages_of(s);
		if (!w.missing)
			cached = cached_pages(s->pos, s->length);
		/* (Where it is not known, they count as cached: the mapping serves all.) */
		if (cached >= 0 && (uint64_t)cached < pages_of(s))
			w.missing = true;
	}
	return w;
}

/* Of a stream is only what lies together: ahead of pieces that are far apart is all that is between them. */
static bool is_together(const struct wanted *w)
{
	uint64_t end = w->last->pos + w->last->length;

	return end > w->first->pos && end - w->first->pos <= WIDE;
}

static void advise_pieces(const struct store_read *read, int advice)
{
	for (unsigned i = 0; i < read->count; i++) {
		const struct store_segment *s = &read->segments[i];

		if (s->where == STORE_PAGES)
			posix_fadvise(store_page_fd(fs.store), (off_t)page_down(s->pos),
				      (off_t)(pages_of(s) * FS_PAGE), advice);
	}
}

void read_source(const struct store_read *read, struct read_source *ret_source)
{
	struct wanted w = look_at(read);
	bool fragments = w.pieces >= FRAGMENTS && w.bytes / w.pieces < FRAGMENT;

	*ret_source = (struct read_source){ .cached = !w.missing };
	if (w.pieces == 0)
		return;
	if (w.bytes < LARGE && !fragments && is_together(&w) &&
	    read_along(w.first->pos, w.last->pos + w.last->length, w.missing))
		ret_source->cached = true;
	if (ret_source->cached)
		return;
	if (fragments || store_direct_fd(fs.store) < 0) {
		/* The device gets all of them at once. */
		advise_pieces(read, POSIX_FADV_WILLNEED);
		*ret_source = (struct read_source){ .cached = true, .ahead = fragments };
	}
}

void read_ahead_done(const struct store_read *read)
{
	advise_pieces(read, POSIX_FADV_DONTNEED);
}
