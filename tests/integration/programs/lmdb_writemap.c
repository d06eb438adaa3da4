/* SPDX-License-Identifier: MIT */
/*
 * lmdb_writemap - an LMDB environment that is written through its mapping.
 *
 *   lmdb_writemap run DIR N     make N transactions, print the number of each when it is committed
 * (with NO_WRITEMAP in the environment by pwrite(2) and fdatasync(2) instead)
 *   lmdb_writemap verify DIR    print the number of the last transaction if the content is sound
 *
 * Transaction n rewrites KEYS keys out of SLOTS, the value of slot s being its key and the number
 * of the transaction that wrote it last: all of it is computed again by `verify`.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 40, SLOTS = 3000, VALUE = 200 };

static MDB_env *env;
static MDB_dbi dbi;

static void must(int result, const char *what)
{
	if (result) {
		fprintf(stderr, "lmdb_writemap: %s: %s\n", what, mdb_strerror(result));
		exit(1);
	}
}

static unsigned slot_of(unsigned n, unsigned i)
{
	return (n * 2654435761u + i * 40503u) % SLOTS;
}

static void fill(char *value, unsigned slot, unsigned n)
{
	memset(value, (int)('a' + (slot + n) % 26), VALUE);
	snprintf(value, VALUE, "%u %u", slot, n);
}

static void put(MDB_txn *txn, unsigned slot, unsigned n)
{
	char bytes[VALUE];
	MDB_val key = { sizeof(slot), &slot }, value = { VALUE, bytes };

	fill(bytes, slot, n);
	must(mdb_put(txn, dbi, &key, &value, 0), "put");
}

static unsigned last_of(MDB_txn *txn)
{
	unsigned slot = SLOTS, n;
	char text[VALUE + 1] = "";
	MDB_val key = { sizeof(slot), &slot }, value;
	int result = mdb_get(txn, dbi, &key, &value);

	if (result == MDB_NOTFOUND)
		return 0;
	must(result, "get");
	memcpy(text, value.mv_data, value.mv_size < VALUE ? value.mv_size : VALUE);
	if (sscanf(text, "%*u %u", &n) != 1)
		must(MDB_CORRUPTED, "last");
	return n;
}

static void run(unsigned long count)
{
	MDB_txn *txn;

	while (count--) {
		must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
		unsigned n = last_of(txn) + 1;

		for (unsigned i = 0; i < KEYS; i++)
			put(txn, slot_of(n, i), n);
		put(txn, SLOTS, n);
		must(mdb_txn_commit(txn), "commit");
		printf("%u\n", n);
		fflush(stdout);
	}
}

static void verify(void)
{
	static unsigned writer[SLOTS + 1];
	char want[VALUE];
	MDB_txn *txn;

	must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
	unsigned last = last_of(txn);

	for (unsigned n = 1; n <= last; n++)
		for (unsigned i = 0; i < KEYS; i++)
			writer[slot_of(n, i)] = n;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		MDB_val key = { sizeof(slot), &slot }, value;
		int result = mdb_get(txn, dbi, &key, &value);

		if (writer[slot] == 0 && result == MDB_NOTFOUND)
			continue;
		must(result, "get");
		fill(want, slot, writer[slot]);
		if (value.mv_size != VALUE || memcmp(value.mv_data, want, VALUE)) {
			fprintf(stderr, "lmdb_writemap: slot %u: wrong value\n", slot);
			exit(1);
		}
	}
	mdb_txn_abort(txn);
	printf("%u\n", last);
}

int main(int argc, char **argv)
{
	MDB_txn *txn;

	if (argc < 3)
		return 2;
	must(mdb_env_create(&env), "create");
	must(mdb_env_set_mapsize(env, 32u << 20), "mapsize");
	must(mdb_env_open(env, argv[2], getenv("NO_WRITEMAP") ? 0 : MDB_WRITEMAP, 0644), "open");
	must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
	must(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY | MDB_CREATE, &dbi), "dbi");
	must(mdb_txn_commit(txn), "commit");
	if (!strcmp(argv[1], "run"))
		run(strtoul(argv[3], NULL, 10));
	else
		verify();
	mdb_env_close(env);
	return 0;
}
