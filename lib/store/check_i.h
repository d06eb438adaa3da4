/* SPDX-License-Identifier: MIT */
/*
 * check_i.h - what the files of the check share.
 *
 * check.c walks each database once, in the order of enum zcf_db's dependencies (inodes first), and
 * hands every record whose seal holds to its checker; names and attributes are check_names.c,
 * pages check_pages.c, and describing a record to people check_text.c. Afterwards what was counted
 * is compared. Memory: 56 bytes an inode, two bits a page, 16 bytes a shared page.
 */
#ifndef STORE_CHECK_I_H
#define STORE_CHECK_I_H

#include "store/store_i.h"

/* An inode record, and what other records say of it. */
struct check_inode {
	uint64_t ino, parent, size, pages;
	uint64_t seen; /* directory: entries; else pages that map records name */
	uint32_t nlink, names, subdirs;
	uint16_t mode, state; /* CHECK_* */
};
#define CHECK_DAMAGED 1u /* the record can't be read: nothing is compared with it */
#define CHECK_ORPHAN 2u
#define CHECK_TARGET 4u	  /* a symbolic link's target was seen */
#define CHECK_PATH 8u	  /* a directory above the one whose way up is being walked */
#define CHECK_REACHED 16u /* its parents lead to the root */
#define CHECK_LOST 32u	  /* they don't, and that was said */

/* The last entries of a directory, as many as a name's cookies reach. */
struct check_recent {
	uint64_t cookie;
	uint8_t namelen;
	char name[ZCF_NAME_MAX];
};

struct check_ref {
	uint64_t page;
	uint32_t count, seen; /* counts above UINT32_MAX are findings already */
};

struct check {
	const struct store_check_options *options;
	const char *path;
	struct store_check_result result;
	struct kv_txn *txn;
	struct rec_super super;
	uint64_t done, total; /* records */

	struct check_inode *inodes; /* sorted by ino */
	size_t ninodes, room;
	size_t last; /* found last */

	uint64_t recent_parent;
	struct check_recent recent[COOKIE_STEPS];
	unsigned nrecent; /* since the directory began; the ring's position is modulo its size */

	uint64_t *free, *used;	/* a bit per page of the page file */
	struct check_ref *refs; /* sorted by page */
	size_t nrefs, refs_room;
	uint64_t free_sum;    /* of the runs of all regions */
	uint64_t region_free; /* of the region being read */
	uint64_t region_next; /* first region without a summary yet */
	uint64_t run_end;     /* of the last free run */
};

/* One record. */
struct check_item {
	enum zcf_db db;
	struct kv_val key, val;
	bool sealed; /* false: only given to the checker of inodes */
};

/* check_text.c. `at` NULL: the text says itself what it speaks of. */
void check_say(struct check *c, const struct check_item *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* `name` fit for one line, cut where it is too long. */
#define CHECK_QUOTED (4 * ZCF_NAME_MAX + 1)
const char *check_quote(const char *name, size_t namelen, char text[CHECK_QUOTED]);
const char *check_db_name(enum zcf_db db);
/* "store page 5", "store pages 5 to 9" */
struct check_range {
	char text[64];
};
struct check_range check_pages_text(uint64_t page, uint64_t count);

/* Checkers of records: 0, or -ENOMEM. */
int check_inode_record(struct check *c, const struct check_item *at);
int check_orphan_record(struct check *c, const struct check_item *at);
int check_dirent_record(struct check *c, const struct check_item *at);
int check_xattr_record(struct check *c, const struct check_item *at);
int check_free_record(struct check *c, const struct check_item *at);
int check_ref_record(struct check *c, const struct check_item *at);
int check_map_record(struct check *c, const struct check_item *at);

/* check_names.c. NULL: there is none. */
struct check_inode *check_find(struct check *c, uint64_t ino);
void check_all_inodes(struct check *c);

/* check_sums.c */
void check_sums(struct check *c);

/* check_pages.c */
int check_pages_begin(struct check *c);
void check_free_end(struct check *c); /* after the last record of `free` */
void check_all_pages(struct check *c);
/* After that: are these pages free, and not taken by this before? */
bool check_pages_take(struct check *c, uint64_t page, uint64_t count);

#endif
