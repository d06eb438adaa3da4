/* SPDX-License-Identifier: MIT */
/*
 * An overlay: the names and xattrs that changed since a commit, as they are now, in the order of
 * their keys. An entry that is `gone` hides one of the overlay or database below.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"

static int dent_compare(struct dent *a, struct dent *b)
{
	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return (a->cookie > b->cookie) - (a->cookie < b->cookie);
}
RB_GENERATE(dent_tree, dent, node, dent_compare)

/* xattrs are looked for by a key that is not an xent: names are compared through this. */
union xkey {
	struct xent x;
	char room[sizeof(struct xent) + ZCF_NAME_MAX + 1];
};

static int xent_compare(struct xent *a, struct xent *b)
{
	int r;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	r = memcmp(a->name, b->name, MIN(a->namelen, b->namelen));
	return r ? r : (int)a->namelen - (int)b->namelen;
}
RB_GENERATE(xent_tree, xent, node, xent_compare)

struct layer *layer_new(void)
{
	return calloc(1, sizeof(struct layer));
}

void layer_free(struct layer *l)
{
	struct dent *d, *dnext;
	struct xent *x, *xnext;

	if (!l)
		return;
	for (d = RB_MIN(dent_tree, &l->dents); d; d = dnext) {
		dnext = RB_NEXT(dent_tree, &l->dents, d);
		RB_REMOVE(dent_tree, &l->dents, d);
		free(d);
	}
	for (x = RB_MIN(xent_tree, &l->xents); x; x = xnext) {
		xnext = RB_NEXT(xent_tree, &l->xents, x);
		RB_REMOVE(xent_tree, &l->xents, x);
		free(x);
	}
	free(l);
}

struct dent *layer_dent(struct layer *l, uint64_t parent, uint64_t cookie)
{
	struct dent find = { .parent = parent, .cookie = cookie };

	return l ? RB_FIND(dent_tree, &l->dents, &find) : NULL;
}

struct dent *layer_dent_from(struct layer *l, uint64_t parent, uint64_t cookie)
{
	struct dent find = { .parent = parent, .cookie = cookie };
	struct dent *d = l ? RB_NFIND(dent_tree, &l->dents, &find) : NULL;

	return d && d->parent == parent ? d : NULL;
}

struct dent *layer_dent_next(struct layer *l, struct dent *d)
{
	uint64_t parent = d->parent;

	d = RB_NEXT(dent_tree, &l->dents, d);
	return d && d->parent == parent ? d : NULL;
}

int layer_set_dent(struct layer *l, uint64_t parent, uint64_t cookie, uint64_t ino, uint8_t type,
		   const char *name, size_t namelen, bool gone)
{
	struct dent *d = malloc(sizeof(*d) + namelen), *old;

	if (!d)
		return -ENOMEM;
	d->parent = parent;
	d->cookie = cookie;
	d->ino = ino;
	d->type = type;
	d->namelen = (uint8_t)namelen;
	d->gone = gone;
	memcpy(d->name, name, namelen);
	old = layer_dent(l, parent, cookie);
	if (old) {
		RB_REMOVE(dent_tree, &l->dents, old);
		free(old);
		l->count--;
	}
	RB_INSERT(dent_tree, &l->dents, d);
	l->count++;
	return 0;
}

static void xkey_set(union xkey *k, uint64_t ino, const char *name, size_t namelen)
{
	k->x.ino = ino;
	k->x.namelen = (uint8_t)namelen;
	memcpy(k->room + offsetof(struct xent, name), name, namelen);
}

struct xent *layer_xent(struct layer *l, uint64_t ino, const char *name, size_t namelen)
{
	union xkey find;

	if (!l || RB_EMPTY(&l->xents))
		return NULL;
	xkey_set(&find, ino, name, namelen);
	return RB_FIND(xent_tree, &l->xents, &find.x);
}

struct xent *layer_xent_from(struct layer *l, uint64_t ino)
{
	struct xent *x;
	union xkey find;

	if (!l || RB_EMPTY(&l->xents))
		return NULL;
	xkey_set(&find, ino, "", 0);
	x = RB_NFIND(xent_tree, &l->xents, &find.x);
	return x && x->ino == ino ? x : NULL;
}

struct xent *layer_xent_next(struct layer *l, struct xent *x)
{
	uint64_t ino = x->ino;

	x = RB_NEXT(xent_tree, &l->xents, x);
	return x && x->ino == ino ? x : NULL;
}

int layer_set_xent(struct layer *l, uint64_t ino, const char *name, size_t namelen,
		   const void *value, size_t size, bool gone)
{
	struct xent *x = malloc(sizeof(*x) + namelen + size), *old;

	if (!x)
		return -ENOMEM;
	x->ino = ino;
	x->namelen = (uint8_t)namelen;
	x->size = (uint32_t)size;
	x->gone = gone;
	memcpy(x->name, name, namelen);
	if (size)
		memcpy(x->name + namelen, value, size);
	old = layer_xent(l, ino, name, namelen);
	if (old) {
		RB_REMOVE(xent_tree, &l->xents, old);
		free(old);
		l->count--;
	}
	RB_INSERT(xent_tree, &l->xents, x);
	l->count++;
	return 0;
}
