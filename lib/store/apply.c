/* SPDX-License-Identifier: MIT */
/*
 * A frozen commit becomes one LMDB transaction: names, xattrs, inodes with their data, the free
 * map, the super record. Runs on the commit thread without the store's lock: what is frozen does
 * not change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"

static int ignore_absent(int r)
{
	return r == -ENOENT ? 0 : r;
}

static int apply_names(struct apply *a, struct layer *l)
{
	uint8_t key[KEY_MAX], value[sizeof(struct zcf_dirent) + ZCF_NAME_MAX];
	struct dent *d;

	RB_FOREACH(d, dent_tree, &l->dents) {
		size_t len = key_dirent(key, d->parent, d->cookie), size;
		int r;

		if (d->gone) {
			r = ignore_absent(kv_del(a->txn, ZCF_DB_DIRENT, key, len));
		} else {
			size = rec_put_dirent(value, d->parent, d->cookie, d->ino, d->type, d->name,
					      d->namelen, a->number);
			r = kv_put(a->txn, ZCF_DB_DIRENT, key, len, value, size);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int apply_xattrs(struct apply *a, struct layer *l)
{
	uint8_t key[KEY_MAX];
	struct xent *x;

	RB_FOREACH(x, xent_tree, &l->xents) {
		size_t len = key_xattr(key, x->ino, x->name, x->namelen);
		size_t size = sizeof(struct zcf_xattr) + x->size;
		uint8_t *value;
		int r;

		if (x->gone) {
			r = ignore_absent(kv_del(a->txn, ZCF_DB_XATTR, key, len));
			if (r < 0)
				return r;
			continue;
		}
		value = calloc(1, size);
		if (!value)
			return -ENOMEM;
		memcpy(value + sizeof(struct zcf_xattr), x->name + x->namelen, x->size);
		rec_seal(ZCF_DB_XATTR, key, len, value, size, a->number);
		r = kv_put(a->txn, ZCF_DB_XATTR, key, len, value, size);
		free(value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int remove_xattrs(struct apply *a, uint64_t ino)
{
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint8_t key[KEY_MAX];
	int r = kv_cursor_open(a->txn, ZCF_DB_XATTR, &cursor);

	if (r < 0)
		return r;
	key_orphan(key, ino); /* the number alone: the prefix of its keys */
	r = kv_seek(cursor, key, 8, &k, &v);
	while (r == 0 && k.size >= 8 && memcmp(k.data, key, 8) == 0) {
		r = kv_cursor_del(cursor);
		if (r == 0)
			r = kv_seek(cursor, key, 8, &k, &v);
	}
	kv_cursor_close(cursor);
	return ignore_absent(r);
}

static int apply_orphan(struct apply *a, const struct frozen_inode *f)
{
	struct zcf_orphan value = { 0 };
	uint8_t key[KEY_MAX];
	size_t len = key_orphan(key, f->inode->ino);

	if (f->orphan_del)
		return ignore_absent(kv_del(a->txn, ZCF_DB_ORPHAN, key, len));
	if (!f->orphan_put)
		return 0;
	rec_seal(ZCF_DB_ORPHAN, key, len, &value, sizeof(value), a->number);
	return kv_put(a->txn, ZCF_DB_ORPHAN, key, len, &value, sizeof(value));
}

static int apply_inode(struct apply *a, const struct frozen_inode *f)
{
	uint64_t ino = f->inode->ino;
	uint8_t key[KEY_MAX];
	size_t len = key_inode(key, ino);
	struct zcf_inode value;
	int r = apply_orphan(a, f);

	if (r == 0 && f->cap)
		r = apply_data(a, f);
	if (r < 0)
		return r;
	if (f->put) {
		rec_put_inode(&value, &f->rec, ino, a->number);
		return kv_put(a->txn, ZCF_DB_INODE, key, len, &value, sizeof(value));
	}
	r = apply_remove_data(a, ino);
	if (r == 0)
		r = remove_xattrs(a, ino);
	if (r == 0)
		r = ignore_absent(kv_del(a->txn, ZCF_DB_INODE, key, len));
	return r;
}

static int apply_all(struct apply *a)
{
	struct commit *c = a->commit;
	struct zcf_super super;
	int r = apply_names(a, c->layer);

	if (r == 0)
		r = apply_xattrs(a, c->layer);
	/* Backwards: that is mostly the order of their numbers. */
	for (size_t n = c->count; n-- && r == 0;)
		r = apply_inode(a, &c->inodes[n]);
	if (r == 0)
		r = apply_pages(a);
	if (r < 0)
		return r;
	rec_put_super(&super, &c->super);
	return kv_put(a->txn, ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &super, sizeof(super));
}

int commit_apply(struct store *s, struct commit *c)
{
	struct apply a = { .store = s, .commit = c, .number = c->super.commit };
	int r = kv_begin(s->kv, true, &a.txn);

	if (r == 0) {
		r = apply_all(&a);
		if (r == 0)
			r = kv_commit(a.txn);
		else
			kv_abort(a.txn);
	}
	extents_clear(&a.fresh);
	extents_clear(&a.shared);
	extents_clear(&a.dropped);
	return r;
}
