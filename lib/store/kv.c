/* SPDX-License-Identifier: MIT */
/*
 * kv.c - see kv.h. Transactions and cursors are LMDB's own, under another name; a transaction
 * finds its `struct kv` through its environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/kv.h"
#include "util/cleanup.h"

#define MAX_DBS 16u
#define MAX_READERS 16u
/* Address space that is reserved for the map; the file grows as it is needed. */
#define MAP_MOST (1ull << 40)
#define MAP_LEAST (1ull << 30)
/* LMDB never makes a file without its two meta pages. */
#define FILE_LEAST (2 * 4096)

struct kv {
	MDB_env *env;
	MDB_dbi dbis[ZCF_DB_COUNT];
	int fd;
	char *map; /* where LMDB has mapped the file, or NULL: not found */
};

static const char *const db_names[ZCF_DB_COUNT] = {
	[ZCF_DB_META] = "meta",	    [ZCF_DB_INODE] = "inode",	    [ZCF_DB_DIRENT] = "dirent",
	[ZCF_DB_XATTR] = "xattr",   [ZCF_DB_MAP] = "map",	    [ZCF_DB_SUM] = "sum",
	[ZCF_DB_FREE] = "free",	    [ZCF_DB_REF] = "ref",	    [ZCF_DB_DEAD] = "dead",
	[ZCF_DB_ORPHAN] = "orphan", [ZCF_DB_SNAPSHOT] = "snapshot",
};

static int kv_error(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return -ENOSPC;
	case MDB_READERS_FULL:
	case MDB_TLS_FULL:
		return -EAGAIN;
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

/* ---- opening ---------------------------------------------------------------------------- */

static int damaged(struct zu_err *err, const char *dir, const char *why)
{
	return zu_err_set(err, EBADMSG,
			  "metadata %s: its file data.mdb is %s; restore the store from a backup",
			  dir, why);
}

static int open_failed(struct zu_err *err, const char *dir, int rc)
{
	int e = -kv_error(rc);

	if (rc == MDB_VERSION_MISMATCH)
		return zu_err_set(err, EPROTONOSUPPORT,
				  "metadata %s: its file data.mdb is of another version of LMDB "
				  "(%s only); use the zcfs that made it",
				  dir, mdb_version(NULL, NULL, NULL));
	if (rc < 0 && e == EIO)
		return damaged(err, dir, "damaged");
	return zu_err_set(err, e, "metadata %s: cannot open it: %s", dir, strerror(e));
}

/* LMDB would make a new environment of a missing or an empty file. */
static int look_at_file(const char *dir, struct zu_err *err)
{
	zu_cleanup_free char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/data.mdb", dir) < 0) {
		path = NULL;
		return open_failed(err, dir, ENOMEM);
	}
	if (stat(path, &st) < 0)
		return errno == ENOENT ? damaged(err, dir, "missing")
				       : open_failed(err, dir, errno);
	if (!S_ISREG(st.st_mode))
		return damaged(err, dir, "not a regular file");
	if (st.st_size < FILE_LEAST)
		return damaged(err, dir, "cut short");
	return 0;
}

static int open_env(struct kv *kv, const char *dir, enum kv_mode mode)
{
	unsigned flags = MDB_NOTLS;

	if (mode == KV_READ)
		flags |= MDB_RDONLY | MDB_NOLOCK;
	for (uint64_t size = MAP_MOST;; size /= 2) {
		int rc = mdb_env_create(&kv->env);

		if (rc)
			return rc;
		mdb_env_set_userctx(kv->env, kv);
		if ((rc = mdb_env_set_maxdbs(kv->env, MAX_DBS)) ||
		    (rc = mdb_env_set_maxreaders(kv->env, MAX_READERS)) ||
		    (rc = mdb_env_set_mapsize(kv->env, (size_t)size)))
			return rc;
		rc = mdb_env_open(kv->env, dir, flags, 0600);
		if ((rc != ENOMEM && rc != EFAULT) || size <= MAP_LEAST)
			return rc;
		mdb_env_close(kv->env);
		kv->env = NULL;
	}
}

/* How many of the free pages begin at `least` or later? -1: cannot tell. The list is the database
 * number 0; a record of it is a count and that many page numbers. */
static int64_t free_pages_from(struct kv *kv, size_t least)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key, val;
	int64_t count = 0;
	int rc;

	if (mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn))
		return -1;
	rc = mdb_cursor_open(txn, 0, &cursor);
	if (rc == 0) {
		while ((rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT)) == 0) {
			const size_t *ids = val.mv_data;

			if (val.mv_size < sizeof(*ids) || ids[0] > val.mv_size / sizeof(*ids) - 1)
				break;
			for (size_t i = 1; i <= ids[0]; i++)
				count += ids[i] >= least;
		}
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? count : -1;
}

/* Are all pages from `least` up to `end` free? Looked at in a child process: where the file is really
 * cut off, the list itself may be a SIGBUS. */
static bool free_beyond(struct kv *kv, uint64_t least, uint64_t end)
{
	static const struct rlimit no_core;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		_exit(free_pages_from(kv, least) != (int64_t)(end - least));
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return status == 0;
}

/* Pages beyond the end of the file would be a SIGBUS. LMDB never writes a page at the end that the
 * transaction which took it gave back: such pages may be missing, they are free. */
static int look_at_length(struct kv *kv, const char *dir, struct zu_err *err)
{
	struct stat st;
	uint64_t used = kv_used_bytes(kv), page;
	MDB_stat stat;
	int rc = mdb_env_get_fd(kv->env, &kv->fd);

	if (rc == 0)
		rc = mdb_env_stat(kv->env, &stat);
	if (rc)
		return open_failed(err, dir, rc);
	if (fstat(kv->fd, &st) < 0)
		return open_failed(err, dir, errno);
	page = stat.ms_psize;
	if ((uint64_t)st.st_size < used &&
	    !free_beyond(kv, (uint64_t)st.st_size / page, used / page))
		return damaged(err, dir, "cut short");
	return 0;
}

/* LMDB does not tell where its map is: it is the mapping that some record lies in. */
static void find_map(struct kv *kv, MDB_txn *txn)
{
	MDB_val key, value = { 0 };
	MDB_cursor *cursor;
	char *line = NULL;
	size_t room = 0;
	FILE *f;

	if (mdb_cursor_open(txn, kv->dbis[ZCF_DB_META], &cursor))
		return;
	if (mdb_cursor_get(cursor, &key, &value, MDB_FIRST))
		value.mv_data = NULL;
	mdb_cursor_close(cursor);
	f = value.mv_data ? fopen("/proc/self/maps", "re") : NULL;
	while (f && !kv->map && getline(&line, &room, f) > 0) {
		void *from, *to;

		if (sscanf(line, "%p-%p", &from, &to) == 2 && value.mv_data >= from &&
		    value.mv_data < to)
			kv->map = from;
	}
	free(line);
	if (f)
		fclose(f);
}

void kv_unload(struct kv *kv)
{
	if (kv->map)
		madvise(kv->map, kv_used_bytes(kv), MADV_DONTNEED);
}

static int open_dbs(struct kv *kv, const char *dir, enum kv_mode mode, struct zu_err *err)
{
	bool create = mode == KV_CREATE;
	MDB_txn *txn;
	int rc = mdb_txn_begin(kv->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (rc)
		return open_failed(err, dir, rc);
	for (unsigned db = 0; db < ZCF_DB_COUNT; db++) {
		rc = mdb_dbi_open(txn, db_names[db], create ? MDB_CREATE : 0, &kv->dbis[db]);
		if (!rc)
			continue;
		mdb_txn_abort(txn);
		if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
			return zu_err_set(err, EBADMSG,
					  "metadata %s: its database %s is missing; restore the "
					  "store from a backup",
					  dir, db_names[db]);
		return open_failed(err, dir, rc);
	}
	find_map(kv, txn);
	/* Also what only read: the handles stay with a transaction that was committed. */
	rc = mdb_txn_commit(txn);
	return rc ? open_failed(err, dir, rc) : 0;
}

static int open_all(struct kv *kv, const char *dir, enum kv_mode mode, struct zu_err *err)
{
	int r = mode == KV_CREATE ? 0 : look_at_file(dir, err), dead = 0;

	if (r < 0)
		return r;
	r = open_env(kv, dir, mode);
	if (r)
		return open_failed(err, dir, r);
	r = look_at_length(kv, dir, err);
	if (r < 0)
		return r;
	if (mode != KV_READ)
		mdb_reader_check(kv->env, &dead);
	return open_dbs(kv, dir, mode, err);
}

int kv_open(const char *dir, enum kv_mode mode, struct kv **ret_kv, struct zu_err *err)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	int r;

	if (!kv)
		return open_failed(err, dir, ENOMEM);
	r = open_all(kv, dir, mode, err);
	if (r < 0) {
		kv_close(kv);
		return r;
	}
	*ret_kv = kv;
	return 0;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	if (kv->env)
		mdb_env_close(kv->env);
	free(kv);
}

uint64_t kv_used_bytes(struct kv *kv)
{
	MDB_envinfo info;
	MDB_stat stat;

	if (mdb_env_info(kv->env, &info) || mdb_env_stat(kv->env, &stat))
		return 0;
	return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

int kv_fd(struct kv *kv)
{
	return kv->fd;
}

/* ---- transactions ----------------------------------------------------------------------- */

static MDB_txn *lmdb_txn(struct kv_txn *txn)
{
	return (MDB_txn *)txn;
}

static MDB_dbi lmdb_dbi(struct kv_txn *txn, enum zcf_db db)
{
	const struct kv *kv = mdb_env_get_userctx(mdb_txn_env(lmdb_txn(txn)));

	return kv->dbis[db];
}

static MDB_val lmdb_val(const void *data, size_t size)
{
	return (MDB_val){ .mv_size = size, .mv_data = (void *)data };
}

static struct kv_val from_lmdb(const MDB_val *val)
{
	return (struct kv_val){ .data = val->mv_data, .size = val->mv_size };
}

int kv_begin(struct kv *kv, bool write, struct kv_txn **ret_txn)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(kv->env, NULL, write ? 0 : MDB_RDONLY, &txn);

	if (rc)
		return kv_error(rc);
	*ret_txn = (struct kv_txn *)txn;
	return 0;
}

int kv_commit(struct kv_txn *txn)
{
	return kv_error(mdb_txn_commit(lmdb_txn(txn)));
}

void kv_abort(struct kv_txn *txn)
{
	if (txn)
		mdb_txn_abort(lmdb_txn(txn));
}

int kv_renew(struct kv_txn *txn)
{
	mdb_txn_reset(lmdb_txn(txn));
	return kv_error(mdb_txn_renew(lmdb_txn(txn)));
}

int kv_get(struct kv_txn *txn, enum zcf_db db, const void *key, size_t keylen,
	   struct kv_val *ret_val)
{
	MDB_val k = lmdb_val(key, keylen), v;
	int rc = mdb_get(lmdb_txn(txn), lmdb_dbi(txn, db), &k, &v);

	if (rc)
		return kv_error(rc);
	*ret_val = from_lmdb(&v);
	return 0;
}

int kv_put(struct kv_txn *txn, enum zcf_db db, const void *key, size_t keylen, const void *data,
	   size_t size)
{
	MDB_val k = lmdb_val(key, keylen), v = lmdb_val(data, size);

	return kv_error(mdb_put(lmdb_txn(txn), lmdb_dbi(txn, db), &k, &v, 0));
}

int kv_del(struct kv_txn *txn, enum zcf_db db, const void *key, size_t keylen)
{
	MDB_val k = lmdb_val(key, keylen);

	return kv_error(mdb_del(lmdb_txn(txn), lmdb_dbi(txn, db), &k, NULL));
}

int kv_count(struct kv_txn *txn, enum zcf_db db, uint64_t *ret_count)
{
	MDB_stat stat;
	int rc = mdb_stat(lmdb_txn(txn), lmdb_dbi(txn, db), &stat);

	if (rc)
		return kv_error(rc);
	*ret_count = stat.ms_entries;
	return 0;
}

/* ---- cursors ---------------------------------------------------------------------------- */

static MDB_cursor *lmdb_cursor(struct kv_cursor *cursor)
{
	return (MDB_cursor *)cursor;
}

int kv_cursor_open(struct kv_txn *txn, enum zcf_db db, struct kv_cursor **ret_cursor)
{
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(lmdb_txn(txn), lmdb_dbi(txn, db), &cursor);

	if (rc)
		return kv_error(rc);
	*ret_cursor = (struct kv_cursor *)cursor;
	return 0;
}

void kv_cursor_close(struct kv_cursor *cursor)
{
	if (cursor)
		mdb_cursor_close(lmdb_cursor(cursor));
}

int kv_cursor_renew(struct kv_txn *txn, struct kv_cursor *cursor)
{
	return kv_error(mdb_cursor_renew(lmdb_txn(txn), lmdb_cursor(cursor)));
}

static int cursor_get(struct kv_cursor *cursor, MDB_cursor_op op, MDB_val k, struct kv_val *ret_key,
		      struct kv_val *ret_val)
{
	MDB_val v;
	int rc = mdb_cursor_get(lmdb_cursor(cursor), &k, &v, op);

	if (rc)
		return kv_error(rc);
	*ret_key = from_lmdb(&k);
	*ret_val = from_lmdb(&v);
	return 0;
}

int kv_seek(struct kv_cursor *cursor, const void *key, size_t keylen, struct kv_val *ret_key,
	    struct kv_val *ret_val)
{
	MDB_cursor_op op = keylen ? MDB_SET_RANGE : MDB_FIRST;

	return cursor_get(cursor, op, lmdb_val(key, keylen), ret_key, ret_val);
}

int kv_first(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val)
{
	return cursor_get(cursor, MDB_FIRST, lmdb_val(NULL, 0), ret_key, ret_val);
}

int kv_next(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val)
{
	return cursor_get(cursor, MDB_NEXT, lmdb_val(NULL, 0), ret_key, ret_val);
}

int kv_prev(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val)
{
	return cursor_get(cursor, MDB_PREV, lmdb_val(NULL, 0), ret_key, ret_val);
}

int kv_last(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val)
{
	return cursor_get(cursor, MDB_LAST, lmdb_val(NULL, 0), ret_key, ret_val);
}

int kv_cursor_del(struct kv_cursor *cursor)
{
	return kv_error(mdb_cursor_del(lmdb_cursor(cursor), 0));
}
