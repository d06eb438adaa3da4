/* SPDX-License-Identifier: MIT */
/*
 * set_feature - a store from a future: sets the highest bit of a feature word.
 *
 *   set_feature STORE incompat|ro_compat|compat
 *
 * Knows the layout by abi/zc_format.h alone, and how values are sealed by docs/FORMAT.md; it first
 * finds its own CRC of the record equal to the stored one, so it can't seal in a wrong way unseen.
 */
#include <lmdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/zc_format.h"

static void must(int result, const char *what)
{
	if (result) {
		fprintf(stderr, "set_feature: %s: %s\n", what, mdb_strerror(result));
		exit(1);
	}
}

static uint32_t crc32c(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static void seal(const char *key, struct zcf_super *super)
{
	uint8_t db = ZCF_DB_META;
	uint32_t crc = crc32c(~0u, &db, 1);

	crc = crc32c(crc, key, strlen(key));
	crc = ~crc32c(crc, super->seal.version,
		      sizeof(*super) - offsetof(struct zcf_super, seal.version));
	for (int i = 0; i < 4; i++)
		super->seal.crc[i] = (uint8_t)(crc >> 8 * i);
}

int main(int argc, char **argv)
{
	static char name[] = "super";
	struct zcf_super super, copy;
	MDB_val key = { sizeof(name) - 1, name }, value;
	char path[4096];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	if (argc != 3)
		return 2;
	snprintf(path, sizeof(path), "%s/meta", argv[1]);
	must(mdb_env_create(&env), "create");
	must(mdb_env_set_maxdbs(env, ZCF_DB_COUNT), "maxdbs");
	must(mdb_env_open(env, path, 0, 0600), path);
	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	must(mdb_dbi_open(txn, "meta", 0, &dbi), "database meta");
	must(mdb_get(txn, dbi, &key, &value), "record super");
	if (value.mv_size != sizeof(super))
		must(MDB_CORRUPTED, "size of the record super");
	memcpy(&super, value.mv_data, sizeof(super));
	copy = super;
	seal(name, &copy);
	if (memcmp(&copy, &super, sizeof(super)))
		must(MDB_CORRUPTED, "checksum of the record super");
	if (!strcmp(argv[2], "incompat"))
		super.incompat[7] |= 0x80;
	else if (!strcmp(argv[2], "ro_compat"))
		super.ro_compat[7] |= 0x80;
	else
		super.compat[7] |= 0x80;
	seal(name, &super);
	value.mv_data = &super;
	must(mdb_put(txn, dbi, &key, &value, 0), "put");
	must(mdb_txn_commit(txn), "commit");
	mdb_env_close(env);
	return 0;
}
