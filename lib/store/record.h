/* SPDX-License-Identifier: MIT */
/*
 * record.h - keys and values of the metadata: building, sealing, verifying, decoding.
 * Decoders check everything a damaged store may get wrong and say -EIO then.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/zc_format.h"
#include "store/kv.h"

#define EPOCH_LIVE 0ull /* until the first snapshot */

/* One run of pages of a file, in memory. */
struct run {
	uint64_t page;	/* store page */
	uint64_t birth; /* commit; BIRTH_PENDING until one took it */
	uint16_t first; /* page in the chunk */
	uint16_t count;
	uint8_t flags; /* RUN_* */
};
#define BIRTH_PENDING UINT64_MAX
#define RUN_UNWRITTEN 1u /* the disk's flag */
/* In memory only, see chunk.h */
#define RUN_FRESH 2u
#define RUN_SHARED 4u
#define RUN_FILLED 8u

/* What the record of an inode says. Times in ns since the epoch are sec, nsec. */
struct rec_time {
	int64_t sec;
	uint32_t nsec;
};
struct rec_inode {
	uint32_t mode, uid, gid, nlink, flags, generation;
	uint64_t size, pages, rdev, parent;
	struct rec_time atime, mtime, ctime, btime;
};

struct rec_super {
	uint8_t uuid[16], secret[16];
	uint64_t incompat, ro_compat, compat;
	uint64_t commit, next_ino, epoch, pages, free_pages, limit_pages, inodes;
};

struct rec_dirent {
	uint64_t ino;
	uint8_t type; /* mode >> 12 */
	uint8_t namelen;
	const char *name; /* in the value */
};

/* Keys: they fill `key` and return its length. */
size_t key_inode(uint8_t *key, uint64_t ino);
size_t key_dirent(uint8_t *key, uint64_t parent, uint64_t cookie);
size_t key_xattr(uint8_t *key, uint64_t ino, const char *name, size_t namelen);
size_t key_map(uint8_t *key, uint64_t ino, uint64_t chunk);
size_t key_free(uint8_t *key, uint32_t region, uint64_t page);
size_t key_page(uint8_t *key, uint64_t page);
size_t key_orphan(uint8_t *key, uint64_t ino);
#define KEY_MAX 300u
#define KEY_SUPER "super"

/* Seal a value that is otherwise complete. */
void rec_seal(enum zcf_db db, const void *key, size_t keylen, void *value, size_t size,
	      uint64_t commit);
/* -EIO unless the seal holds and the value has at least `least` bytes. */
int rec_verify(enum zcf_db db, const void *key, size_t keylen, struct kv_val value, size_t least);
uint64_t rec_commit(struct kv_val value);

/* Encoders seal; the size of the value is returned where it varies. */
void rec_put_inode(struct zcf_inode *out, const struct rec_inode *in, uint64_t ino,
		   uint64_t commit);
int rec_get_inode(struct kv_val value, uint64_t ino, struct rec_inode *ret_inode);
size_t rec_put_dirent(void *out /* sizeof(struct zcf_dirent) + 255 */, uint64_t parent,
		      uint64_t cookie, uint64_t ino, uint8_t type, const char *name, size_t namelen,
		      uint64_t commit);
int rec_get_dirent(struct kv_val value, const void *key, size_t keylen,
		   struct rec_dirent *ret_dirent);
/* At most ZCF_CHUNK_PAGES runs, merged where they touch. */
#define REC_MAP_MAX (sizeof(struct zcf_map) + ZCF_CHUNK_PAGES * sizeof(struct zcf_run))
size_t rec_put_map(void *out /* REC_MAP_MAX */, uint64_t ino, uint64_t chunk,
		   const struct run *runs, unsigned count, uint64_t commit);
/* Number of runs. Pages are checked against `pages`, the length of the page file. */
int rec_get_map(struct kv_val value, uint64_t ino, uint64_t chunk, uint64_t pages,
		struct run *ret_runs /* ZCF_CHUNK_PAGES */);
/* free, ref: a count; orphan: nothing. */
void rec_put_count(enum zcf_db db, const void *key, size_t keylen, struct zcf_free *out,
		   uint64_t count, uint64_t commit);
int rec_get_count(enum zcf_db db, const void *key, size_t keylen, struct kv_val value,
		  uint64_t *ret_count);
void rec_put_super(struct zcf_super *out, const struct rec_super *in);
int rec_get_super(struct kv_val value, struct rec_super *ret_super);

/* The names' hash: 63 bits, never below 16. */
uint64_t rec_cookie(const uint8_t secret[16], const char *name, size_t namelen);
/* Names whose cookies collide take the next free one of so many. */
#define COOKIE_STEPS 16u

#endif
