/* SPDX-License-Identifier: MIT */
/*
 * zc_format.h - the layout of a store on disk; docs/FORMAT.md explains it byte by byte.
 *
 * Keys are big-endian, so that LMDB's byte order is the numeric order. Values are little-endian,
 * packed by hand into the fixed structures below and sealed: every value starts with
 * struct zcf_seal, whose CRC-32C covers the database number, the key and the rest of the value.
 */
#ifndef ZC_FORMAT_H
#define ZC_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define ZCF_MAGIC "zcfs store"
#define ZCF_VERSION 1u

#define ZCF_PAGE_SIZE 4096u
#define ZCF_PAGE_SHIFT 12u
/* Pages of one map record: 1 MiB of a file. */
#define ZCF_CHUNK_PAGES 256u
#define ZCF_CHUNK_SHIFT 20u
/* Pages of one region of the free map: 1 GiB of the page file. */
#define ZCF_REGION_PAGES 262144u
#define ZCF_REGION_SHIFT 18u
#define ZCF_NAME_MAX 255u
#define ZCF_SYMLINK_MAX 4095u
#define ZCF_XATTR_MAX 65536u
#define ZCF_ROOT_INO 1u
/* A file ends below 8 EiB, what an off_t can say, whole pages. */
#define ZCF_SIZE_MAX (INT64_MAX - (int64_t)ZCF_PAGE_SIZE + 1)

/* The feature words: an unknown bit of `incompat` refuses the store, one of `ro_compat` refuses
 * to write it, one of `compat` is kept and ignored. */
#define ZCF_INCOMPAT_KNOWN 0ull
#define ZCF_RO_COMPAT_KNOWN ZCF_RO_COMPAT_CHECKSUM
/* ro_compat: CRC-32C of every page in the database `sum`. */
#define ZCF_RO_COMPAT_CHECKSUM (1ull << 0)

/* The databases, by the number that their seals carry. */
enum zcf_db {
	ZCF_DB_META = 0,
	ZCF_DB_INODE,
	ZCF_DB_DIRENT,
	ZCF_DB_XATTR,
	ZCF_DB_MAP,
	ZCF_DB_SUM,
	ZCF_DB_FREE,
	ZCF_DB_REF,
	ZCF_DB_DEAD,
	ZCF_DB_ORPHAN,
	ZCF_DB_SNAPSHOT,
	ZCF_DB_COUNT
};

/* Keys. The epoch is stored inverted (~epoch), so that the newest record of a key sorts first. */
struct zcf_key_inode {
	uint8_t ino[8], epoch[8];
};
struct zcf_key_dirent {
	uint8_t parent[8], cookie[8], epoch[8];
};
/* xattr: ino[8], name (1 to 255 bytes; none: the target of a symbolic link), epoch[8] */
struct zcf_key_map {
	uint8_t ino[8], chunk[8], epoch[8];
};
/* free: region[4], first page[8]; page = ZCF_FREE_SUMMARY is the region's summary */
struct zcf_key_free {
	uint8_t region[4], page[8];
};
#define ZCF_FREE_SUMMARY UINT64_MAX
struct zcf_key_page {
	uint8_t page[8];
};
struct zcf_key_orphan {
	uint8_t ino[8];
};

struct zcf_seal {
	uint8_t crc[4]; /* CRC-32C of db number (1 byte), key, and the value from `version` on */
	uint8_t version[2]; /* of this kind of value, 1 */
	uint8_t length[2];  /* of the value with this seal, modulo 65536 */
	uint8_t commit[8];  /* number of the commit that wrote it */
};

struct zcf_time {
	uint8_t sec[8], nsec[4];
};

struct zcf_inode {
	struct zcf_seal seal;
	uint8_t mode[4];
	uint8_t uid[4];
	uint8_t gid[4];
	uint8_t nlink[4];
	uint8_t size[8];   /* bytes; of a directory: its number of entries */
	uint8_t pages[8];  /* store pages that its map records name */
	uint8_t rdev[8];   /* major in the upper, minor in the lower half */
	uint8_t parent[8]; /* of a directory; else 0 */
	uint8_t flags[4];  /* ZCF_INODE_* */
	uint8_t generation[4];
	struct zcf_time atime, mtime, ctime, btime;
	uint8_t reserved[16];
};
#define ZCF_INODE_EXPLICIT 1u /* commit policy */
#define ZCF_INODE_LIVE 2u     /* becomes live when opened */
#define ZCF_INODE_FLAGS 3u

struct zcf_dirent {
	struct zcf_seal seal;
	uint8_t ino[8];
	uint8_t type;	 /* mode >> 12 */
	uint8_t namelen; /* 1 to 255 */
	uint8_t reserved[6];
	/* name follows, no NUL */
};

struct zcf_xattr {
	struct zcf_seal seal;
	/* the value follows */
};

struct zcf_run {
	uint8_t page[8];  /* store page */
	uint8_t birth[8]; /* commit that wrote the page */
	uint8_t first[2]; /* page in the chunk, 0 to 255 */
	uint8_t count[2]; /* 1 to 256 */
	uint8_t flags[4]; /* ZCF_RUN_* */
};
#define ZCF_RUN_UNWRITTEN 1u /* allocated, reads as zeros */

struct zcf_map {
	struct zcf_seal seal;
	/* runs follow, 1 to 256, sorted by `first`, disjoint */
};

/* sum: what the pages of a chunk should hold, by their place in it; 0 where nothing was written */
struct zcf_sum {
	struct zcf_seal seal;
	uint8_t crc[ZCF_CHUNK_PAGES][4];
};

struct zcf_free {
	struct zcf_seal seal;
	uint8_t count[8]; /* pages of the run; in a summary: free pages of the region */
};

struct zcf_ref {
	struct zcf_seal seal;
	uint8_t count[8]; /* at least 2; no record: 1 */
};

struct zcf_orphan {
	struct zcf_seal seal;
};

/* meta: key "super" */
struct zcf_super {
	struct zcf_seal seal;
	uint8_t uuid[16];
	uint8_t incompat[8], ro_compat[8], compat[8];
	uint8_t commit[8]; /* number of the last commit */
	uint8_t next_ino[8];
	uint8_t epoch[8];
	uint8_t pages[8]; /* length of the page file as far as it is managed */
	uint8_t free_pages[8];
	uint8_t limit_pages[8]; /* 0: as much as the host has */
	uint8_t inodes[8];	/* inode records */
	uint8_t secret[16];	/* key of the names' hash */
	uint8_t reserved[32];
};

/*
 * The intent log, the file `log`: commits that are durable, and not yet in the metadata. Records
 * one after another, each a multiple of ZCF_PAGE_SIZE long, from offset 0 on after every commit
 * of the metadata. A record is valid if its magic, secret and CRC are right, `commit` is the number in
 * the super record, and `sequence` counts from 0; the first that is not ends the log.
 *
 * `entries` bytes: this header, and for each file zcf_log_file, for each of its chunks
 * zcf_log_chunk, spans of holes, spans of pages, zeros up to a multiple of 8. Then zeros up to
 * a multiple of ZCF_PAGE_SIZE, then the pages of all spans in their order.
 */
#define ZCF_LOG_MAGIC "zcfslog1"
struct zcf_log_record {
	uint8_t magic[8];
	uint8_t secret[16]; /* of the store: what users have in pages can't pass for a record */
	uint8_t commit[8];
	uint8_t sequence[8];
	uint8_t length[4];  /* of the whole record */
	uint8_t entries[4]; /* bytes */
	uint8_t files[4];
	uint8_t crc[4]; /* CRC-32C of the whole record, this field 0 */
	uint8_t reserved[8];
};
struct zcf_log_file {
	uint8_t ino[8];
	uint8_t cut[8];	   /* chunks from this one on are empty but for those below; ~0: none */
	uint8_t chunks[4]; /* whose pages changed */
	uint8_t reserved[4];
	struct zcf_inode inode; /* as it is now */
};
struct zcf_log_chunk {
	uint8_t index[8];
	uint8_t holes[2], spans[2]; /* numbers of struct zcf_log_span that follow */
	uint8_t places[2];	    /* of struct zcf_log_place, after those */
	uint8_t reserved[2];
};
struct zcf_log_span {
	uint8_t first[2], count[2]; /* pages of the chunk */
};
struct zcf_log_place {
	uint8_t first[2], count[2];
	uint8_t page[8]; /* of the page file, where they are already */
};

static_assert(sizeof(struct zcf_seal) == 16, "on disk");
static_assert(sizeof(struct zcf_log_record) == 64, "on disk");
static_assert(sizeof(struct zcf_log_file) == 160, "on disk");
static_assert(sizeof(struct zcf_inode) == 16 + 16 + 32 + 8 + 48 + 16, "on disk");
static_assert(sizeof(struct zcf_dirent) == 32, "on disk");
static_assert(sizeof(struct zcf_run) == 24, "on disk");
static_assert(sizeof(struct zcf_sum) == 16 + 1024, "on disk");
static_assert(sizeof(struct zcf_free) == 24, "on disk");
static_assert(sizeof(struct zcf_super) == 16 + 16 + 24 + 56 + 16 + 32, "on disk");

#endif
