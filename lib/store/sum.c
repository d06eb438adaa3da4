/* SPDX-License-Identifier: MIT */
/*
 * Checksums of pages (option of a store): the CRC-32C that each page of a file should have, by its
 * place in its chunk, found like the pages themselves: pend, cap, LMDB. They are made where the
 * bytes are written, and looked at wherever the bytes pass through this process.
 */
#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"

uint32_t sum_page(const void *page)
{
	return crc32_iscsi((unsigned char *)(uintptr_t)page, PAGE, ~0u) ^ ~0u;
}

int sums_load(struct kv_txn *txn, uint64_t ino, uint64_t index, uint32_t *sums)
{
	const struct zcf_sum *rec;
	uint8_t key[KEY_MAX];
	size_t len = key_map(key, ino, index);
	struct kv_val v;
	int r = kv_get(txn, ZCF_DB_SUM, key, len, &v);

	memset(sums, 0, ZCF_CHUNK_PAGES * sizeof(*sums));
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = rec_verify(ZCF_DB_SUM, key, len, v, sizeof(*rec));
	if (r < 0)
		return r;
	rec = v.data;
	for (unsigned n = 0; n < ZCF_CHUNK_PAGES; n++)
		sums[n] = zu_get_le32(rec->crc[n]);
	return 0;
}

int sums_put(struct kv_txn *txn, uint64_t ino, const struct chunk *c, uint64_t commit)
{
	struct zcf_sum rec = { 0 };
	uint8_t key[KEY_MAX];
	size_t len = key_map(key, ino, c->index);

	for (unsigned n = 0; n < ZCF_CHUNK_PAGES; n++)
		zu_put_le32(rec.crc[n], c->sums[n]);
	rec_seal(ZCF_DB_SUM, key, len, &rec, sizeof(rec), commit);
	return kv_put(txn, ZCF_DB_SUM, key, len, &rec, sizeof(rec));
}

int sums_del(struct kv_txn *txn, uint64_t ino, uint64_t index)
{
	uint8_t key[KEY_MAX];
	int r = kv_del(txn, ZCF_DB_SUM, key, key_map(key, ino, index));

	return r == -ENOENT ? 0 : r;
}

int sums_read(struct store *s, struct inode *i, uint64_t index, uint32_t *sums)
{
	const struct pending *over[] = { i->pend, i->cap };

	for (unsigned n = 0; n < 2; n++) {
		struct chunk *c = pending_chunk(over[n], index);

		if (c) {
			memcpy(sums, c->sums, ZCF_CHUNK_PAGES * sizeof(*sums));
			return 0;
		}
		if (over[n] && index >= over[n]->cut)
			break;
		if (n == 1 && i->stored)
			return sums_load(s->rtxn, i->ino, index, sums);
	}
	memset(sums, 0, ZCF_CHUNK_PAGES * sizeof(*sums));
	return 0;
}

int sum_find(struct store *s, struct inode *i, uint64_t n, uint32_t *ret_sum)
{
	uint32_t sums[ZCF_CHUNK_PAGES];
	int r = sums_read(s, i, n / ZCF_CHUNK_PAGES, sums);

	if (r == 0)
		*ret_sum = sums[n % ZCF_CHUNK_PAGES];
	return r;
}

void sum_set(struct store *s, struct inode *i, uint64_t n, uint64_t count, const uint32_t *sums)
{
	for (uint64_t k = 0; s->checksum && k < count; k++) {
		struct chunk *c = pending_chunk(i->pend, (n + k) / ZCF_CHUNK_PAGES);

		if (c)
			c->sums[(n + k) % ZCF_CHUNK_PAGES] = sums[k];
	}
}
