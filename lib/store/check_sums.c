/* SPDX-License-Identifier: MIT */
/* check: the checksums of a store that keeps them belong to map records, one to one. */
#include <errno.h>
#include <string.h>

#include "store/check_i.h"
#include "util/bytes.h"

static bool has_data(const struct check_item *at)
{
	size_t n = (at->val.size - sizeof(struct zcf_map)) / sizeof(struct zcf_run);
	const struct zcf_run *runs =
		(const void *)((const uint8_t *)at->val.data + sizeof(struct zcf_map));

	for (size_t k = 0; k < n; k++)
		if (!(zu_get_le32(runs[k].flags) & ZCF_RUN_UNWRITTEN))
			return true;
	return false;
}

static void missing(struct check *c, const struct check_item *at, enum zcf_db other)
{
	struct kv_val v;

	if (at->key.size != sizeof(struct zcf_key_map))
		return; /* said already */
	if (kv_get(c->txn, other, at->key.data, at->key.size, &v) != -ENOENT)
		return;
	if (at->db == ZCF_DB_SUM)
		check_say(c, at, "checksums of a chunk that has no pages");
	else if (at->val.size >= sizeof(struct zcf_map) && has_data(at))
		check_say(c, at, "no checksums of its pages");
}

static void walk(struct check *c, enum zcf_db db, enum zcf_db other)
{
	struct check_item at = { .db = db, .sealed = true };
	struct kv_cursor *cursor;
	int r = kv_cursor_open(c->txn, db, &cursor);

	if (r < 0)
		return;
	for (r = kv_first(cursor, &at.key, &at.val); r == 0;
	     r = kv_next(cursor, &at.key, &at.val)) {
		bool sound = rec_verify(db, at.key.data, at.key.size, at.val,
					sizeof(struct zcf_seal)) == 0;

		if (db == ZCF_DB_SUM && (!sound || at.val.size != sizeof(struct zcf_sum)))
			check_say(c, &at, "damaged");
		else if (sound)
			missing(c, &at, other);
	}
	kv_cursor_close(cursor);
}

void check_sums(struct check *c)
{
	walk(c, ZCF_DB_SUM, ZCF_DB_MAP);
	walk(c, ZCF_DB_MAP, ZCF_DB_SUM);
}
