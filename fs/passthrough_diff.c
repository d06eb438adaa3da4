/* SPDX-License-Identifier: MIT */
/*
 * passthrough_diff.c - where an image differs from the store.
 *
 * What was stored to a memfd leaves no trace that the daemon could see, so the whole of it is compared,
 * a chunk at a time. Holes on both sides cost nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "passthrough_i.h"
#include "util/fdio.h"

_Atomic uint64_t pt_compared_bytes;

static int add_page(struct pt_diff *d, uint64_t page)
{
	struct pt_run *last = d->n ? &d->runs[d->n - 1] : NULL;

	d->pages++;
	if (last && last->page + last->count == page) {
		last->count++;
		return 0;
	}
	if (d->n == d->room) {
		size_t room = d->room ? d->room * 2 : 64;
		struct pt_run *runs = reallocarray(d->runs, room, sizeof(*runs));

		if (!runs)
			return -ENOMEM;
		d->runs = runs;
		d->room = room;
	}
	d->runs[d->n++] = (struct pt_run){ .page = page, .count = 1 };
	return 0;
}

bool pt_all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

/* Compare `n` bytes of the image at `image`, which begin anywhere in a page, with the store's, or with
 * zeros where `bytes` is NULL. A page may come in pieces. */
static int compare(struct pt_diff *d, uint64_t offset, const char *image, const char *bytes,
		   size_t n)
{
	int r = 0;

	while (n && r == 0) {
		size_t step = FS_PAGE - offset % FS_PAGE;
		bool same;

		if (step > n)
			step = n;
		same = bytes ? !memcmp(image, bytes, step) : pt_all_zero(image, step);
		if (!same && !(d->n && d->runs[d->n - 1].page + d->runs[d->n - 1].count ==
					       offset / FS_PAGE + 1))
			r = add_page(d, offset / FS_PAGE);
		offset += step;
		image += step;
		bytes = bytes ? bytes + step : NULL;
		n -= step;
	}
	return r;
}

static int compare_segment(struct pt_diff *d, const struct store_segment *s, uint64_t offset,
			   const char *image, size_t n)
{
	const char *bytes = s->where == STORE_MEMORY ? s->mem : NULL;

	if (s->where == STORE_PAGES) {
		bytes = store_page_map(fs.store, s->pos, s->length);
		if (!bytes) {
			ssize_t got =
				zu_pread_full(store_page_fd(fs.store), d->other, n, (off_t)s->pos);

			if (got != (ssize_t)n)
				return got < 0 ? (int)got : -EIO;
			bytes = d->other;
		}
	}
	return compare(d, offset, image, bytes, n);
}

/* The store's side of [offset, offset + n); beyond its end are zeros. */
static int compare_chunk(struct pt_diff *d, uint64_t offset, size_t n)
{
	struct store_read read;
	uint64_t done = 0;
	ssize_t got;
	int r;

	if (store_has_checksums(fs.store)) {
		got = store_pread(fs.store, d->ino, d->other, n, offset);
		if (got < 0)
			return (int)got;
		memset(d->other + got, 0, n - (size_t)got);
		return compare(d, offset, d->buf, d->other, n);
	}
	r = store_read_begin(fs.store, d->ino, offset, n, &read);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < read.count && r == 0; i++) {
		r = compare_segment(d, &read.segments[i], offset + done, d->buf + done,
				    read.segments[i].length);
		done += read.segments[i].length;
	}
	store_read_end(fs.store, &read);
	return r < 0 ? r : compare(d, offset + done, d->buf + done, NULL, n - done);
}

/* The next offset with bytes on either side, at a chunk's begin; the image's size: none. */
static int next_chunk(const struct pt_diff *d, uint64_t at, uint64_t *ret_at)
{
	off_t image = lseek(d->m->fd, (off_t)at, SEEK_DATA);
	uint64_t store = d->size, next;
	int r = store_seek(fs.store, d->ino, at, SEEK_DATA, &store);

	if (image < 0 && errno != ENXIO)
		return -errno;
	if (r < 0 && r != -ENXIO)
		return r;
	next = image < 0 || (uint64_t)image > store ? store : (uint64_t)image;
	next -= next % PT_CHUNK;
	*ret_at = next < at ? at : next;
	return 0;
}

int pt_find_diff(struct pt_diff *d)
{
	struct stat st;
	uint64_t at = 0;
	int r = fstat(d->m->fd, &st) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	d->size = (uint64_t)st.st_size;
	while (at < d->size) {
		ssize_t n;

		r = next_chunk(d, at, &at);
		if (r < 0 || at >= d->size)
			return r;
		n = zu_pread_full(d->m->fd, d->buf, PT_CHUNK, (off_t)at);
		if (n < 0)
			return (int)n;
		if ((uint64_t)n > d->size - at)
			n = (ssize_t)(d->size - at);
		if (n == 0)
			return 0; /* cut meanwhile */
		atomic_fetch_add(&pt_compared_bytes, (uint64_t)n);
		r = compare_chunk(d, at, (size_t)n);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}
