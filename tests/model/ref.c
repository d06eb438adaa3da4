/* SPDX-License-Identifier: MIT */
/* The reference in memory, and the choice of what the next operation works on. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model.h"

struct node *node_new(mode_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->mode = mode;
	n->uid = geteuid();
	n->gid = getegid();
	if (S_ISDIR(mode)) {
		n->nlink = 2;
		W.dirs[W.ndirs++] = n;
	} else {
		W.nfiles++;
	}
	return n;
}

static void forget_dir(struct node *n)
{
	int i = 0;

	while (W.dirs[i] != n)
		i++;
	W.dirs[i] = W.dirs[--W.ndirs];
}

void node_put(struct node *n)
{
	if (n->nlink || n->handles)
		return;
	if (S_ISDIR(n->mode))
		forget_dir(n);
	else
		W.nfiles--;
	free(n->data);
	free(n->target);
	free(n->ents);
	free(n);
}

void node_reserve(struct node *n, off_t end)
{
	size_t cap = n->cap ? n->cap : 4096;

	if ((size_t)end <= n->cap)
		return;
	while (cap < (size_t)end)
		cap *= 2;
	n->data = realloc(n->data, cap);
	if (!n->data)
		abort();
	memset(n->data + n->cap, 0, cap - n->cap);
	n->cap = cap;
}

void node_resize(struct node *n, off_t size)
{
	if (size < n->size)
		memset(n->data + size, 0, (size_t)(n->size - size));
	else
		node_reserve(n, size);
	n->size = size;
}

void node_store(struct node *n, off_t off, const void *p, size_t len)
{
	off_t end = off + (off_t)len;

	if (!len)
		return;
	node_reserve(n, end);
	memcpy(n->data + off, p, len);
	if (end > n->size)
		n->size = end;
	touch(n);
}

void touch(struct node *n)
{
	n->mtime_known = false;
}

static int entry_index(const struct node *dir, const char *name)
{
	for (int i = 0; i < dir->nents; i++)
		if (!strcmp(dir->ents[i].name, name))
			return i;
	return -1;
}

struct node *lookup(struct node *dir, const char *name)
{
	int i = entry_index(dir, name);

	return i < 0 ? NULL : dir->ents[i].node;
}

void entry_add(struct node *dir, const char *name, struct node *n)
{
	if (dir->nents == dir->ents_cap) {
		dir->ents_cap += 16;
		dir->ents = realloc(dir->ents, (size_t)dir->ents_cap * sizeof(*dir->ents));
		if (!dir->ents)
			abort();
	}
	snprintf(dir->ents[dir->nents].name, sizeof(dir->ents[0].name), "%s", name);
	dir->ents[dir->nents++].node = n;
	touch(dir);
	if (S_ISDIR(n->mode)) {
		n->parent = dir;
		dir->nlink++;
	}
}

void entry_del(struct node *dir, const char *name)
{
	int i = entry_index(dir, name);

	if (S_ISDIR(dir->ents[i].node->mode))
		dir->nlink--;
	dir->ents[i] = dir->ents[--dir->nents];
	touch(dir);
}

void dir_path(struct node *dir, char *out)
{
	char tail[PATH_CAP] = "";

	for (; dir->parent; dir = dir->parent) {
		char tmp[PATH_CAP];
		int i = 0;

		while (dir->parent->ents[i].node != dir)
			i++;
		snprintf(tmp, sizeof(tmp), "/%.60s%.4000s", dir->parent->ents[i].name, tail);
		strcpy(tail, tmp);
	}
	snprintf(out, PATH_CAP, "%s%s", W.dir, tail);
}

bool is_below(const struct node *n, const struct node *ancestor)
{
	for (; n; n = n->parent)
		if (n == ancestor)
			return true;
	return false;
}

static void place_at(struct place *p, struct node *dir, const char *name)
{
	p->dir = dir;
	p->node = lookup(dir, name);
	snprintf(p->name, sizeof(p->name), "%s", name);
	dir_path(dir, p->path);
	strcat(p->path, "/");
	strcat(p->path, name);
}

/* Some names are unusual; the last ones are as long as they can be and differ only at the end. */
static void make_name(char *out, unsigned i)
{
	static const char *const odd[] = { "a b", "\xc3\xa9\xe2\x82\xac", "-x", "...", "\xff\n" };

	if (i < 5) {
		strcpy(out, odd[i]);
	} else if (i >= NAME_COUNT - 2) {
		memset(out, 'L', 255);
		out[254] = (char)('0' + i % 10);
		out[255] = 0;
	} else {
		sprintf(out, "n%u", i);
	}
}

void place_random(struct place *p)
{
	char name[256];

	make_name(name, below(NAME_COUNT));
	place_at(p, W.dirs[below((unsigned)W.ndirs)], name);
}

void place_free(struct place *p)
{
	char name[256];

	/* A full directory is left for another; a name of a number beyond the usual as last resort. */
	for (int i = 0; i < 20; i++) {
		place_random(p);
		if (!p->node)
			return;
	}
	snprintf(name, sizeof(name), "x%llu", (unsigned long long)W.op);
	place_at(p, W.dirs[below((unsigned)W.ndirs)], name);
}

bool place_existing(struct place *p, mode_t type)
{
	for (int i = 0; i < 24; i++) {
		struct node *dir = W.dirs[below((unsigned)W.ndirs)];
		struct entry *e;

		if (!dir->nents)
			continue;
		e = &dir->ents[below((unsigned)dir->nents)];
		if (type ? (e->node->mode & S_IFMT) != type : S_ISDIR(e->node->mode))
			continue;
		place_at(p, dir, e->name);
		return true;
	}
	return false;
}

/* Mostly small; often at, just before or just after the borders of pages and chunks. */
off_t random_size(void)
{
	unsigned r = below(100);
	off_t n;

	if (r < 45)
		n = below(16 << 10);
	else if (r < 75)
		n = (off_t)below(12) * 4096 + (off_t)below(3) - 1;
	else if (r < 92)
		n = below(200 << 10);
	else if (r < 96)
		n = (off_t)(1 + below(2)) * (1 << 20) + (off_t)below(9) - 4;
	else
		n = below(MAX_SIZE + 1);
	return n < 0 ? 0 : n > MAX_SIZE ? MAX_SIZE : n;
}

off_t random_offset(off_t size)
{
	off_t n = chance(50) ? random_size() : size ? (off_t)(rng() % (uint64_t)(size + 1)) : 0;

	return chance(30) ? n & ~(off_t)4095 : n;
}

struct handle *handle_random(int accmode)
{
	struct handle *fit[MAX_HANDLES];
	unsigned n = 0;

	for (int i = 0; i < MAX_HANDLES; i++) {
		struct handle *h = &W.h[i];
		int acc = h->flags & O_ACCMODE;

		if (!h->node || (h->flags & O_DIRECT))
			continue;
		if (acc == O_RDWR || acc == accmode)
			fit[n++] = h;
	}
	return n ? fit[below(n)] : NULL;
}

struct handle *handle_slot(void)
{
	struct handle *h = &W.h[below(MAX_HANDLES)];

	if (h->node)
		handle_close(h);
	return h;
}

void handle_open(struct handle *h, struct node *n, int fd, int flags)
{
	*h = (struct handle){ .node = n, .fd = fd, .flags = flags };
	n->handles++;
}

void handle_close(struct handle *h)
{
	struct node *n = h->node;

	if (h->map)
		expect(munmap(h->map, MAX_SIZE), 0, "munmap");
	expect(close(h->fd), 0, "close");
	h->map = NULL;
	h->node = NULL;
	n->handles--;
	node_put(n);
}

const char *node_kind(const struct node *n)
{
	return !n		  ? "nothing"
	       : S_ISDIR(n->mode) ? "directory"
	       : S_ISLNK(n->mode) ? "symlink"
				  : "file";
}
