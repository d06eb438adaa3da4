/* SPDX-License-Identifier: MIT */
/*
 * kv.h - an ordered, crash-safe map: LMDB, and the only place that knows it.
 *
 * One process has it open for writing (the store's lock sees to that). One write transaction at a
 * time, begun and ended on the same thread. A read transaction may be used by any thread, but by
 * one at a time (MDB_NOTLS). Memory that kv_get() and cursors return is LMDB's: valid until the
 * transaction ends or, in a write transaction, until the next change. Results are negative errno:
 * ENOENT no such key, ENOSPC map or disk full, EIO damage or device.
 */
#ifndef STORE_KV_H
#define STORE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/zc_format.h"
#include "util/err.h"

struct kv;
struct kv_txn;
struct kv_cursor;

struct kv_val {
	const void *data;
	size_t size;
};

enum kv_mode {
	KV_READ, /* no lock file, nothing is written: nobody else may be writing */
	KV_WRITE,
	KV_CREATE, /* and make the databases */
};

int kv_open(const char *dir, enum kv_mode mode, struct kv **ret_kv, struct zu_err *err);
void kv_close(struct kv *kv);
/* Bytes of the map file in use (its last page), and the descriptor of the file (borrowed). */
uint64_t kv_used_bytes(struct kv *kv);
int kv_fd(struct kv *kv);
/* The pages that are mapped stay in the host's page cache, but are not mapped any more until they are
 * looked at. May be called while others read. */
void kv_unload(struct kv *kv);

int kv_begin(struct kv *kv, bool write, struct kv_txn **ret_txn);
int kv_commit(struct kv_txn *txn); /* ends it, also on failure */
void kv_abort(struct kv_txn *txn); /* accepts NULL */
/* Move a read transaction to the last commit. */
int kv_renew(struct kv_txn *txn);

int kv_get(struct kv_txn *txn, enum zcf_db db, const void *key, size_t keylen,
	   struct kv_val *ret_val);
int kv_put(struct kv_txn *txn, enum zcf_db db, const void *key, size_t keylen, const void *data,
	   size_t size);
int kv_del(struct kv_txn *txn, enum zcf_db db, const void *key, size_t keylen);
int kv_count(struct kv_txn *txn, enum zcf_db db, uint64_t *ret_count);

/* Cursors end before their transaction, or are renewed after it was. */
int kv_cursor_open(struct kv_txn *txn, enum zcf_db db, struct kv_cursor **ret_cursor);
void kv_cursor_close(struct kv_cursor *cursor); /* accepts NULL */
int kv_cursor_renew(struct kv_txn *txn, struct kv_cursor *cursor);
/* First record whose key is >= `key`; the next; the one before; the last. ENOENT at the end. */
int kv_seek(struct kv_cursor *cursor, const void *key, size_t keylen, struct kv_val *ret_key,
	    struct kv_val *ret_val);
int kv_first(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val);
int kv_next(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val);
int kv_prev(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val);
int kv_last(struct kv_cursor *cursor, struct kv_val *ret_key, struct kv_val *ret_val);
/* Delete the record under the cursor; kv_next() then gives the one after it. */
int kv_cursor_del(struct kv_cursor *cursor);

#endif
