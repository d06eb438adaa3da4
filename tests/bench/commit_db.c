// SPDX-License-Identifier: MIT
/* The same pages as values of a database: SQLite with a write-ahead log, and LMDB. */
#include "commit_ops.h"

#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_SQLITE
#include <sqlite3.h>

#define SQLITE_NAME "sqlite.db"

static void need(sqlite3 *db, int got, int wanted, const char *what)
{
	errno = 0;
	if (got != wanted)
		die("sqlite: %s: %s", what, sqlite3_errmsg(db));
}

static void sql(sqlite3 *db, const char *text)
{
	need(db, sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, text);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
	sqlite3_stmt *stmt;

	need(db, sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK, text);
	return stmt;
}

static sqlite3 *sqlite_db(void)
{
	sqlite3 *db;

	need(NULL, sqlite3_open(SQLITE_NAME, &db), SQLITE_OK, "open");
	sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-1000000");
	return db;
}

static void step(sqlite3 *db, sqlite3_stmt *stmt, uint32_t page, const void *buf)
{
	need(db, sqlite3_bind_blob(stmt, 1, buf, PAGE, SQLITE_STATIC), SQLITE_OK, "bind");
	need(db, sqlite3_bind_int64(stmt, 2, page), SQLITE_OK, "bind");
	need(db, sqlite3_step(stmt), SQLITE_DONE, "step");
	need(db, sqlite3_reset(stmt), SQLITE_OK, "reset");
}

static void sqlite_fill(struct commit_run *r)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;

	unlink(SQLITE_NAME);
	db = sqlite_db();
	sql(db, "CREATE TABLE page (data BLOB, id INTEGER PRIMARY KEY)");
	stmt = prepare(db, "INSERT INTO page VALUES (?, ?)");
	sql(db, "BEGIN");
	for (uint32_t page = 0; page < r->file_pages; page++) {
		stamp(r, page);
		step(db, stmt, page, r->buf);
	}
	sql(db, "COMMIT");
	sqlite3_finalize(stmt);
	need(db, sqlite3_close(db), SQLITE_OK, "close");
}

static void sqlite_open(struct commit_run *r)
{
	sqlite3 *db = sqlite_db();

	sql(db, "SELECT sum(length(substr(data, 4000, 8))) FROM page");
	r->db = db;
	r->put = prepare(db, "UPDATE page SET data = ? WHERE id = ?");
	r->get = prepare(db, "SELECT data FROM page WHERE id = ?");
}

static void sqlite_commit(struct commit_run *r)
{
	sql(r->db, "BEGIN");
	for (uint32_t i = 0; i < r->pages; i++) {
		stamp(r, r->page[i]);
		step(r->db, r->put, r->page[i], r->buf);
	}
	sql(r->db, "COMMIT");
}

static void sqlite_read(struct commit_run *r, uint32_t page, unsigned char *out)
{
	need(r->db, sqlite3_bind_int64(r->get, 1, page), SQLITE_OK, "bind");
	need(r->db, sqlite3_step(r->get), SQLITE_ROW, "select");
	need(r->db, sqlite3_column_bytes(r->get, 0), PAGE, "length of a page");
	memcpy(out, sqlite3_column_blob(r->get, 0), PAGE);
	need(r->db, sqlite3_reset(r->get), SQLITE_OK, "reset");
}

static void sqlite_close(struct commit_run *r)
{
	sqlite3_finalize(r->put);
	sqlite3_finalize(r->get);
	need(r->db, sqlite3_close(r->db), SQLITE_OK, "close");
}

const struct way way_sqlite = { "sqlite",      sqlite_fill, sqlite_open,
				sqlite_commit, sqlite_read, sqlite_close };
#endif

#define LMDB_NAME "lmdb"

static void lmdb_need(int err, const char *what)
{
	errno = 0;
	if (err)
		die("lmdb: %s: %s", what, mdb_strerror(err));
}

static MDB_txn *lmdb_begin(struct commit_run *r, unsigned int flags)
{
	MDB_txn *txn;

	lmdb_need(mdb_txn_begin(r->db, NULL, flags, &txn), "begin");
	lmdb_need(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &r->dbi), "dbi");
	return txn;
}

static void lmdb_env(struct commit_run *r)
{
	MDB_env *env;

	lmdb_need(mdb_env_create(&env), "create");
	lmdb_need(mdb_env_set_mapsize(env, (size_t)r->file_pages * PAGE * 4 + (64u << 20)),
		  "map size");
	lmdb_need(mdb_env_open(env, LMDB_NAME, MDB_NOSUBDIR, 0644), "open");
	r->db = env;
}

static void lmdb_put(struct commit_run *r, MDB_txn *txn, uint32_t page, unsigned int flags)
{
	MDB_val key = { sizeof(page), &page }, value = { PAGE, NULL };

	stamp(r, page);
	lmdb_need(mdb_put(txn, r->dbi, &key, &value, flags | MDB_RESERVE), "put");
	memcpy(value.mv_data, r->buf, PAGE);
}

static void lmdb_close(struct commit_run *r)
{
	mdb_env_close(r->db);
}

static void lmdb_fill(struct commit_run *r)
{
	MDB_txn *txn;

	unlink(LMDB_NAME);
	unlink(LMDB_NAME "-lock");
	lmdb_env(r);
	txn = lmdb_begin(r, 0);
	for (uint32_t page = 0; page < r->file_pages; page++)
		lmdb_put(r, txn, page, MDB_APPEND);
	lmdb_need(mdb_txn_commit(txn), "commit");
	lmdb_close(r);
}

static void lmdb_read(struct commit_run *r, uint32_t page, unsigned char *out)
{
	MDB_val key = { sizeof(page), &page }, value;
	MDB_txn *txn = lmdb_begin(r, MDB_RDONLY);

	lmdb_need(mdb_get(txn, r->dbi, &key, &value), "get");
	if (value.mv_size != PAGE)
		die("lmdb: page %" PRIu32 " has %zu bytes", page, value.mv_size);
	memcpy(out, value.mv_data, PAGE);
	mdb_txn_abort(txn);
}

static void lmdb_open(struct commit_run *r)
{
	unsigned char buf[PAGE];

	lmdb_env(r);
	for (uint32_t page = 0; page < r->file_pages; page++)
		lmdb_read(r, page, buf);
}

static void lmdb_commit(struct commit_run *r)
{
	MDB_txn *txn = lmdb_begin(r, 0);

	for (uint32_t i = 0; i < r->pages; i++)
		lmdb_put(r, txn, r->page[i], 0);
	lmdb_need(mdb_txn_commit(txn), "commit");
}

const struct way way_lmdb = { "lmdb", lmdb_fill, lmdb_open, lmdb_commit, lmdb_read, lmdb_close };
