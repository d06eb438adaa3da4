/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"

#define MAGIC 0x7a63666c61620001ull
#define ENTRIES 64
#define CONTENT_MAX (4u << 20)

struct sector {
	uint64_t magic;
	uint32_t file, version;
	uint64_t number;
	uint64_t fill[61];
};
_Static_assert(sizeof(struct sector) == SECTOR, "a sector");

void content_fill(uint8_t *buf, size_t length, uint32_t file, uint32_t version, uint64_t offset)
{
	while (length) {
		struct sector s = { MAGIC, file, version, offset / SECTOR, { 0 } };
		size_t in = offset % SECTOR, n = SECTOR - in < length ? SECTOR - in : length;
		uint64_t x = (uint64_t)file << 48 ^ (uint64_t)version << 20 ^ s.number;

		for (size_t k = 0; k < 61; k++) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			s.fill[k] = x;
		}
		memcpy(buf, (uint8_t *)&s + in, n);
		buf += n;
		offset += n;
		length -= n;
	}
}

uint64_t content_hash(const uint8_t *buf, size_t length)
{
	uint64_t h = 0xcbf29ce484222325ull ^ length, w;

	for (; length >= 8; length -= 8, buf += 8) {
		memcpy(&w, buf, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	while (length--)
		h = (h ^ *buf++) * 0x100000001b3ull;
	return h ^ h >> 32;
}

__attribute__((format(printf, 2, 3))) static void add(struct listing *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->length, LISTING_MAX - l->length, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= LISTING_MAX - l->length) {
		fprintf(stderr, "lab: a listing is too long\n");
		abort();
	}
	l->length += (size_t)n;
}

void listing_directory(struct listing *l, const char *path, uint64_t ino, mode_t mode)
{
	add(l, "%s dir %llu %o\n", path, (unsigned long long)ino, mode & 07777);
}

void listing_file(struct listing *l, const char *path, const struct store_attr *a, uint64_t hash)
{
	add(l, "%s file %llu mode %o links %u size %llu mtime %lld.%09ld hash %016llx\n", path,
	    (unsigned long long)a->ino, a->mode & 07777, (unsigned)a->nlink,
	    (unsigned long long)a->size, (long long)a->mtime.tv_sec, a->mtime.tv_nsec,
	    (unsigned long long)hash);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void listing_sort(struct listing *l)
{
	char *lines[ENTRIES], *copy = strdup(l->text), *save = NULL;
	size_t n = 0;

	for (char *p = strtok_r(copy, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		if (n == ENTRIES)
			abort();
		lines[n++] = p;
	}
	qsort(lines, n, sizeof(*lines), by_text);
	l->length = 0;
	l->text[0] = '\0';
	for (size_t k = 0; k < n; k++)
		add(l, "%s\n", lines[k]);
	free(copy);
}

struct names {
	size_t count;
	char name[ENTRIES][64];
};

static bool collect(void *arg, const struct store_entry *e)
{
	struct names *n = arg;

	if (n->count == ENTRIES)
		return false;
	snprintf(n->name[n->count++], sizeof(n->name[0]), "%.*s", (int)e->namelen, e->name);
	return true;
}

static int one_file(struct store *s, const struct store_attr *a, const char *path,
		    struct listing *l, char what[300])
{
	static __thread uint8_t *buf;
	ssize_t n;

	if (!buf && !(buf = malloc(CONTENT_MAX)))
		abort();
	if (a->size > CONTENT_MAX) {
		snprintf(what, 300, "%.200s has a size of %llu", path, (unsigned long long)a->size);
		return -EFBIG;
	}
	n = store_pread(s, a->ino, buf, CONTENT_MAX, 0);
	if (n != (ssize_t)a->size) {
		snprintf(what, 300, "%.200s of %llu bytes: a read gives %zd", path,
			 (unsigned long long)a->size, n);
		return -EIO;
	}
	listing_file(l, path, a, content_hash(buf, (size_t)n));
	return 0;
}

static int walk(struct store *s, uint64_t dir, const char *path, struct listing *l, char what[300])
{
	struct names *names = calloc(1, sizeof(*names));
	int r = store_readdir(s, dir, 0, 0, collect, names);

	if (r < 0)
		snprintf(what, 300, "cannot list %s: %s", path, strerror(-r));
	for (size_t k = 0; k < names->count && r >= 0; k++) {
		struct store_attr a;
		char sub[300];

		snprintf(sub, sizeof(sub), "%s/%s", path, names->name[k]);
		r = store_lookup(s, dir, names->name[k], &a);
		if (r < 0) {
			snprintf(what, 300, "cannot look %.200s up: %s", sub, strerror(-r));
			break;
		}
		if (S_ISDIR(a.mode)) {
			listing_directory(l, sub, a.ino, a.mode);
			r = walk(s, a.ino, sub, l, what);
		} else {
			r = one_file(s, &a, sub, l, what);
		}
		store_forget(s, a.ino, 1);
	}
	free(names);
	return r < 0 ? r : 0;
}

int listing_of_store(struct store *s, const char *name, struct listing *l, char what[300])
{
	struct store_attr a;
	int r = store_lookup(s, 1, name, &a);

	l->length = 0;
	l->text[0] = '\0';
	if (r < 0) {
		snprintf(what, 300, "cannot look %s up: %s", name, strerror(-r));
		return r;
	}
	r = walk(s, a.ino, name, l, what);
	store_forget(s, a.ino, 1);
	listing_sort(l);
	return r;
}

/* ---- explaining ------------------------------------------------------------------------- */

static void explain_file(struct store *s, uint64_t ino, const char *name)
{
	struct sector now, last = { 0 };
	uint64_t at = 0, from = 0;
	bool first = true;
	ssize_t n;

	fprintf(stderr, "    %s:", name);
	do {
		memset(&now, 0, sizeof(now));
		n = store_pread(s, ino, &now, SECTOR, at);
		if (!first && (n <= 0 || now.magic != last.magic || now.file != last.file ||
			       now.version != last.version)) {
			if (last.magic == MAGIC)
				fprintf(stderr, " [%llu-%llu: file %u version %u]",
					(unsigned long long)from, (unsigned long long)at, last.file,
					last.version);
			else
				fprintf(stderr, " [%llu-%llu: %s]", (unsigned long long)from,
					(unsigned long long)at,
					last.magic ? "other bytes" : "zeros");
			from = at;
		}
		if (n > 0 && now.magic == MAGIC && now.number != at / SECTOR)
			fprintf(stderr, " [%llu: a sector written for %llu]",
				(unsigned long long)at, (unsigned long long)now.number * SECTOR);
		last = now;
		first = false;
		at += SECTOR;
	} while (n > 0);
	fprintf(stderr, "\n");
}

void listing_explain(struct store *s, const char *name)
{
	struct names *names = calloc(1, sizeof(*names));
	struct store_attr dir, a;

	if (store_lookup(s, 1, name, &dir) == 0) {
		store_readdir(s, dir.ino, 0, 0, collect, names);
		for (size_t k = 0; k < names->count; k++)
			if (store_lookup(s, dir.ino, names->name[k], &a) == 0 && S_ISREG(a.mode))
				explain_file(s, a.ino, names->name[k]);
	}
	free(names);
}
