/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "listing.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static void die(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void make_directories(const char *dir)
{
	char meta[500];

	snprintf(meta, sizeof(meta), "%s/meta", dir);
	if ((mkdir(dir, 0700) < 0 && errno != EEXIST) || (mkdir(meta, 0700) < 0 && errno != EEXIST))
		die(dir);
}

static int open_file(const char *dir, const char *name)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

/* ---- contents --------------------------------------------------------------------------- */

static uint64_t sector_hash(unsigned file, uint64_t n, const uint8_t *p)
{
	uint64_t h = content_hash(p, IMAGE_SECTOR);
	static const uint8_t zeros[IMAGE_SECTOR];

	if (!p[0] && memcmp(p, zeros, IMAGE_SECTOR) == 0)
		return 0;
	h ^= (n << 3 | file) * 0x9e3779b97f4a7c15ull;
	return (h ^ h >> 31) * 0xbf58476d1ce4e5b9ull;
}

static uint64_t size_hash(unsigned file, uint64_t size)
{
	return (size << 3 | file) * 0xd6e8feb86659fd93ull;
}

/* Change bytes that may be inside or across sectors; `data` NULL: zeros. */
static void change(uint8_t *bytes, uint64_t *hash, unsigned file, uint64_t offset, uint64_t length,
		   const uint8_t *data)
{
	while (length) {
		uint64_t n = offset / IMAGE_SECTOR, in = offset % IMAGE_SECTOR;
		uint64_t len = MIN(IMAGE_SECTOR - in, length);
		uint8_t *sector = bytes + n * IMAGE_SECTOR;

		*hash -= sector_hash(file, n, sector);
		if (data)
			memcpy(sector + in, data, len);
		else
			memset(sector + in, 0, len);
		*hash += sector_hash(file, n, sector);
		data = data ? data + len : NULL;
		offset += len;
		length -= len;
	}
}

static void set_size(struct image *i, unsigned file, uint64_t size)
{
	struct image_file *f = &i->files[file];

	if (f->size == size)
		return;
	/* Whole sectors, so that the map reaches to the end of the last one. */
	if (ftruncate(f->fd, (off_t)size) < 0)
		die("cannot set the size of an image");
	i->hash += size_hash(file, size) - size_hash(file, f->size);
	f->size = size;
}

/* ---- life ------------------------------------------------------------------------------- */

struct image *image_new(const struct log *l, const char *dir)
{
	struct image *i = calloc(1, sizeof(*i));

	i->log = l;
	snprintf(i->dir, sizeof(i->dir), "%s", dir);
	make_directories(dir);
	for (unsigned n = 0; n < l->nfiles; n++) {
		struct image_file *f = &i->files[n];

		f->room = (l->files[n].most + 8191) & ~4095ull;
		f->disk = mmap(NULL, f->room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		f->fd = open_file(dir, l->files[n].name);
		f->map = mmap(NULL, f->room, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
		if (f->disk == MAP_FAILED || f->map == MAP_FAILED)
			die("cannot map an image");
		set_size(i, n, l->files[n].size);
		f->disk_size = f->size;
		change(f->map, &i->hash, n, 0, f->size, l->files[n].data);
		memcpy(f->disk, l->files[n].data, f->size);
	}
	i->disk_hash = i->hash;
	return i;
}

void image_free(struct image *i)
{
	for (unsigned n = 0; n < i->log->nfiles; n++) {
		munmap(i->files[n].disk, i->files[n].room);
		munmap(i->files[n].map, i->files[n].room);
		close(i->files[n].fd);
	}
	free(i);
}

void image_copy(const struct image *i, const char *dir)
{
	make_directories(dir);
	for (unsigned n = 0; n < i->log->nfiles; n++) {
		const struct image_file *f = &i->files[n];
		int fd = open_file(dir, i->log->files[n].name);

		for (uint64_t at = 0, len; at < f->size; at += len) {
			static const uint8_t zeros[65536];

			len = MIN(f->size - at, sizeof(zeros));
			if (memcmp(f->map + at, zeros, len) &&
			    pwrite(fd, f->map + at, len, (off_t)at) != (ssize_t)len)
				die("cannot copy an image");
		}
		if (ftruncate(fd, (off_t)f->size) < 0)
			die("cannot copy an image");
		close(fd);
	}
}

/* ---- what happened ---------------------------------------------------------------------- */

static void forget_pending(struct image *i, size_t event)
{
	for (size_t k = 0; k < i->npending; k++)
		if (i->pending[k] == event) {
			memmove(&i->pending[k], &i->pending[k + 1],
				(--i->npending - k) * sizeof(*i->pending));
			return;
		}
}

/* With the image at the durable state; both follow. */
void image_settle(struct image *i, size_t event)
{
	const struct event *e = &i->log->events[event];
	struct image_file *f = &i->files[e->file];

	image_apply(i, event, 0, UINT64_MAX);
	if (e->type == REC_WRITE)
		memcpy(f->disk + e->offset, e->data, e->length);
	else if (e->type == REC_PUNCH)
		memcpy(f->disk, f->map, f->size);
	f->disk_size = f->size;
	i->disk_hash = i->hash;
	i->ntouched = 0;
	forget_pending(i, event);
}

static void check_overlap(const struct image *i, const struct event *e)
{
	for (size_t k = 0; k < i->npending; k++) {
		const struct event *o = &i->log->events[i->pending[k]];

		if (o->file == e->file && o->type == REC_WRITE &&
		    o->offset < e->offset + e->length && e->offset < o->offset + o->length) {
			fprintf(stderr, "replay: a durable write over one that is not synced: "
					"the model of the disk lacks that\n");
			exit(2);
		}
	}
}

void image_event(struct image *i, size_t event)
{
	const struct event *e = &i->log->events[event];

	if (e->type == REC_SYNC_END) {
		for (size_t k = 0; k < i->npending;) {
			size_t p = i->pending[k];

			if (i->log->events[p].file == e->file && p < e->offset)
				image_settle(i, p);
			else
				k++;
		}
		return;
	}
	if (e->flags & REC_FLAG_DURABLE)
		check_overlap(i, e);
	if (e->type == REC_SIZE && (e->flags & REC_FLAG_TRUNCATE) &&
	    e->offset < i->files[e->file].disk_size) {
		fprintf(stderr, "replay: a file was cut: the model of the disk lacks that\n");
		exit(2);
	}
	if (i->npending == PENDING_MAX) {
		fprintf(stderr, "replay: too many unsynced writes\n");
		exit(2);
	}
	i->pending[i->npending++] = event;
}

uint64_t image_sectors(const struct event *e)
{
	if (e->type != REC_WRITE)
		return 1;
	return (e->offset + e->length - 1) / IMAGE_SECTOR - e->offset / IMAGE_SECTOR + 1;
}

static void apply_range(struct image *i, unsigned file, uint64_t at, uint64_t end,
			const uint8_t *data)
{
	struct image_file *f = &i->files[file];

	if (end > f->size)
		set_size(i, file, end);
	change(f->map, &i->hash, file, at, end - at, data);
	i->touched[i->ntouched++] = (struct touched){ file, at, end - at };
}

void image_apply(struct image *i, size_t event, uint64_t from, uint64_t to)
{
	const struct event *e = &i->log->events[event];
	uint64_t first = e->offset / IMAGE_SECTOR, at = e->offset, end = e->offset + e->length;

	if (e->type == REC_SIZE) {
		image_apply_size(i, event);
	} else if (e->type == REC_PUNCH) {
		memcpy(&end, e->data, 8);
		end = MIN(e->offset + end, i->files[e->file].size);
		if (at < end)
			apply_range(i, e->file, at, end, NULL);
	} else {
		at = MAX(at, (first + from) * IMAGE_SECTOR);
		end = to == UINT64_MAX ? end : MIN(end, (first + to) * IMAGE_SECTOR);
		if (at < end)
			apply_range(i, e->file, at, end, e->data + (at - e->offset));
	}
}

void image_apply_size(struct image *i, size_t event)
{
	const struct event *e = &i->log->events[event];
	uint64_t size = e->offset + (e->type == REC_WRITE ? e->length : 0);

	if (size > i->files[e->file].size && e->type != REC_PUNCH)
		set_size(i, e->file, size);
}

void image_undo(struct image *i)
{
	for (size_t k = 0; k < i->ntouched; k++) {
		const struct touched *t = &i->touched[k];
		struct image_file *f = &i->files[t->file];
		uint64_t end = MIN(t->offset + t->length, f->disk_size);

		if (t->offset < end)
			memcpy(f->map + t->offset, f->disk + t->offset, end - t->offset);
	}
	for (unsigned n = 0; n < i->log->nfiles; n++)
		set_size(i, n, i->files[n].disk_size);
	i->ntouched = 0;
	i->hash = i->disk_hash;
}
