/* SPDX-License-Identifier: MIT */
/*
 * The captured pages of a file into its map records, and what that means for pages: `fresh` ones
 * get their first name, `shared` ones one more, `dropped` ones lose one.
 */
#include <errno.h>
#include <string.h>

#include "store/store_i.h"

static int drop_runs(struct apply *a, const struct run *runs, int n)
{
	for (int k = 0; k < n; k++) {
		int r = extents_add(&a->dropped, runs[k].page, runs[k].count);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Delete the map records of a file from chunk `first` on. */
static int drop_chunks(struct apply *a, uint64_t ino, uint64_t first)
{
	struct run runs[ZCF_CHUNK_PAGES];
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint8_t key[KEY_MAX];
	size_t len = key_map(key, ino, first);
	int r = kv_cursor_open(a->txn, ZCF_DB_MAP, &cursor);

	if (r < 0)
		return r;
	for (r = kv_seek(cursor, key, len, &k, &v); r == 0; r = kv_next(cursor, &k, &v)) {
		uint64_t chunk = 0;
		int n;

		if (k.size != len || memcmp(k.data, key, 8) != 0)
			break;
		for (size_t b = 8; b < 16; b++)
			chunk = chunk << 8 | ((const uint8_t *)k.data)[b];
		n = rec_get_map(v, ino, chunk, a->commit->super.pages, runs);
		r = n < 0 ? n : drop_runs(a, runs, n);
		if (r == 0)
			r = kv_cursor_del(cursor);
		if (r == 0 && a->store->checksum)
			r = sums_del(a->txn, ino, chunk);
		if (r < 0)
			break;
	}
	kv_cursor_close(cursor);
	return r == -ENOENT ? 0 : r;
}

int apply_remove_data(struct apply *a, uint64_t ino)
{
	return drop_chunks(a, ino, 0);
}

/* Pages of the old record that the new one does not keep in their places. */
static int drop_replaced(struct apply *a, const struct run *old, int n, const struct chunk *c)
{
	uint64_t kept[ZCF_CHUNK_PAGES];
	int r = 0;

	memset(kept, 0xff, sizeof(kept));
	for (unsigned k = 0; k < c->count; k++)
		for (unsigned p = 0; p < c->runs[k].count; p++)
			if (!(c->runs[k].flags & (RUN_FRESH | RUN_SHARED)))
				kept[c->runs[k].first + p] = c->runs[k].page + p;
	for (int k = 0; k < n; k++)
		for (unsigned p = 0; p < old[k].count && r == 0; p++)
			if (kept[old[k].first + p] != old[k].page + p)
				r = extents_add(&a->dropped, old[k].page + p, 1);
	return r;
}

static int apply_chunk(struct apply *a, uint64_t ino, const struct chunk *c)
{
	struct run runs[ZCF_CHUNK_PAGES];
	uint8_t key[KEY_MAX], value[REC_MAP_MAX];
	size_t len = key_map(key, ino, c->index);
	int n = map_load(a->txn, a->commit->super.pages, ino, c->index, runs), r;

	if (n < 0)
		return n;
	r = drop_replaced(a, runs, n, c);
	for (unsigned k = 0; k < c->count && r == 0; k++) {
		runs[k] = c->runs[k];
		if (runs[k].birth == BIRTH_PENDING)
			runs[k].birth = a->number;
		if (runs[k].flags & RUN_FRESH)
			r = extents_add(&a->fresh, runs[k].page, runs[k].count);
		else if (runs[k].flags & RUN_SHARED)
			r = extents_add(&a->shared, runs[k].page, runs[k].count);
	}
	if (r < 0)
		return r;
	if (c->sums)
		r = c->count ? sums_put(a->txn, ino, c, a->number)
			     : sums_del(a->txn, ino, c->index);
	if (r < 0)
		return r;
	if (c->count)
		return kv_put(a->txn, ZCF_DB_MAP, key, len, value,
			      rec_put_map(value, ino, c->index, runs, c->count, a->number));
	r = kv_del(a->txn, ZCF_DB_MAP, key, len);
	return r == -ENOENT ? 0 : r;
}

int apply_data(struct apply *a, const struct frozen_inode *f)
{
	struct chunk *c;
	int r = 0;

	if (f->cap->cut != UINT64_MAX)
		r = drop_chunks(a, f->inode->ino, f->cap->cut);
	RB_FOREACH(c, chunk_tree, &f->cap->chunks) {
		if (r < 0)
			break;
		r = apply_chunk(a, f->inode->ino, c);
	}
	return r;
}
