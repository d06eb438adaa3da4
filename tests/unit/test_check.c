/* SPDX-License-Identifier: MIT */
/*
 * Every test begins with the same sound store, whose records are written here one by one, damages
 * it and compares the findings, all of them:
 *
 *	/dir (2)	a directory, with a default ACL
 *	/dir/clone (5)	the first two pages of 3
 *	/file, /hard (3) 5 pages (10 to 14) and 2 preallocated ones (20, 21); user.a
 *	/link (4)	-> target
 *	(6)		an orphan with page 30
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/kv.h"
#include "store/record.h"
#include "store/store.h"
#include "util/bytes.h"

#define PAGES 64u
#define COMMIT 5u

static char dir[64];
static struct kv *kv;
static struct kv_txn *txn;
static struct rec_super super;

/* ---- making records --------------------------------------------------------------------- */

static void put(enum zcf_db db, const void *key, size_t len, const void *data, size_t size)
{
	assert_int_equal(kv_put(txn, db, key, len, data, size), 0);
}

static void drop(enum zcf_db db, const void *key, size_t len)
{
	assert_int_equal(kv_del(txn, db, key, len), 0);
}

static void put_super(void)
{
	struct zcf_super disk;

	rec_put_super(&disk, &super);
	put(ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &disk, sizeof(disk));
}

static struct rec_inode get_inode(uint64_t ino)
{
	uint8_t key[KEY_MAX];
	struct rec_inode rec;
	struct kv_val v;

	assert_int_equal(kv_get(txn, ZCF_DB_INODE, key, key_inode(key, ino), &v), 0);
	assert_int_equal(rec_get_inode(v, ino, &rec), 0);
	return rec;
}

static void put_inode(uint64_t ino, struct rec_inode rec)
{
	uint8_t key[KEY_MAX];
	struct zcf_inode disk;

	rec_put_inode(&disk, &rec, ino, COMMIT);
	put(ZCF_DB_INODE, key, key_inode(key, ino), &disk, sizeof(disk));
}
/* Change fields of an inode: INODE(3, nlink = 7) */
#define INODE(ino, change)                            \
	do {                                          \
		struct rec_inode r_ = get_inode(ino); \
		r_.change;                            \
		put_inode(ino, r_);                   \
	} while (0)

static void put_at(uint64_t parent, uint64_t cookie, const char *name, uint64_t ino, mode_t type)
{
	uint8_t key[KEY_MAX], disk[sizeof(struct zcf_dirent) + 255];
	size_t size = rec_put_dirent(disk, parent, cookie, ino, (uint8_t)(type >> 12), name,
				     strlen(name), COMMIT);

	put(ZCF_DB_DIRENT, key, key_dirent(key, parent, cookie), disk, size);
}

static uint64_t cookie_of(const char *name)
{
	return rec_cookie(super.secret, name, strlen(name));
}

static void put_name(uint64_t parent, const char *name, uint64_t ino, mode_t type)
{
	put_at(parent, cookie_of(name), name, ino, type);
}

static void drop_name(uint64_t parent, const char *name)
{
	uint8_t key[KEY_MAX];

	drop(ZCF_DB_DIRENT, key, key_dirent(key, parent, cookie_of(name)));
}

static void put_xattr(uint64_t ino, const char *name, const void *value, size_t size)
{
	static uint8_t disk[sizeof(struct zcf_xattr) + ZCF_XATTR_MAX + 1];
	uint8_t key[KEY_MAX];
	size_t len = key_xattr(key, ino, name, strlen(name));

	memcpy(disk + sizeof(struct zcf_xattr), value, size);
	size += sizeof(struct zcf_xattr);
	rec_seal(ZCF_DB_XATTR, key, len, disk, size, COMMIT);
	put(ZCF_DB_XATTR, key, len, disk, size);
}

static void put_runs(uint64_t ino, uint64_t chunk, const struct run *runs, unsigned n)
{
	uint8_t key[KEY_MAX], disk[REC_MAP_MAX];
	size_t size = rec_put_map(disk, ino, chunk, runs, n, COMMIT);

	put(ZCF_DB_MAP, key, key_map(key, ino, chunk), disk, size);
}

static void put_run(uint64_t ino, uint64_t chunk, unsigned first, unsigned count, uint64_t page,
		    uint8_t flags)
{
	struct run run = { .first = (uint16_t)first,
			   .count = (uint16_t)count,
			   .page = page,
			   .birth = COMMIT,
			   .flags = flags };

	put_runs(ino, chunk, &run, 1);
}

static void put_count(enum zcf_db db, const uint8_t *key, size_t len, uint64_t count)
{
	struct zcf_free disk;

	rec_put_count(db, key, len, &disk, count, COMMIT);
	put(db, key, len, &disk, db == ZCF_DB_ORPHAN ? sizeof(struct zcf_orphan) : sizeof(disk));
}

static void put_free(uint32_t region, uint64_t page, uint64_t count)
{
	uint8_t key[KEY_MAX];

	put_count(ZCF_DB_FREE, key, key_free(key, region, page), count);
}

static void drop_free(uint32_t region, uint64_t page)
{
	uint8_t key[KEY_MAX];

	drop(ZCF_DB_FREE, key, key_free(key, region, page));
}

static void put_ref(uint64_t page, uint64_t count)
{
	uint8_t key[KEY_MAX];

	put_count(ZCF_DB_REF, key, key_page(key, page), count);
}

static void put_orphan(uint64_t ino)
{
	uint8_t key[KEY_MAX];

	put_count(ZCF_DB_ORPHAN, key, key_orphan(key, ino), 0);
}

/* ---- the sound store -------------------------------------------------------------------- */

static void put_file(uint64_t ino, uint32_t nlink, uint64_t size, uint64_t pages)
{
	put_inode(ino, (struct rec_inode){ .mode = S_IFREG | 0644,
					   .nlink = nlink,
					   .size = size,
					   .pages = pages,
					   .generation = 1 });
}

static void put_files(void)
{
	static const struct run runs[] = {
		{ .first = 0, .count = 5, .page = 10, .birth = 2 },
		{ .first = 8, .count = 2, .page = 20, .birth = 3, .flags = RUN_UNWRITTEN },
	};

	put_file(3, 2, 4 * ZCF_PAGE_SIZE + 1, 7);
	put_name(1, "file", 3, S_IFREG);
	put_name(1, "hard", 3, S_IFREG);
	put_runs(3, 0, runs, 2);
	put_xattr(3, "user.a", "value", 5);
	put_file(5, 1, 2 * ZCF_PAGE_SIZE, 2);
	put_name(2, "clone", 5, S_IFREG);
	put_run(5, 0, 0, 2, 10, 0);
	put_ref(10, 2);
	put_ref(11, 2);
	put_file(6, 0, 100, 1);
	put_run(6, 0, 0, 1, 30, 0);
	put_orphan(6);
}

static void put_others(void)
{
	/* u::rwx, g::r-x, o::--- */
	static const char acl[] = "\2\0\0\0"
				  "\1\0\7\0\0\0\0\0"
				  "\4\0\5\0\0\0\0\0"
				  "\x20\0\0\0\0\0\0\0";

	INODE(1, nlink = 3);
	INODE(1, size = 4);
	put_inode(2,
		  (struct rec_inode){ .mode = S_IFDIR | 0755, .nlink = 2, .size = 1, .parent = 1 });
	put_name(1, "dir", 2, S_IFDIR);
	put_xattr(2, "system.posix_acl_default", acl, 28);
	put_inode(4, (struct rec_inode){ .mode = S_IFLNK | 0777, .nlink = 1, .size = 6 });
	put_name(1, "link", 4, S_IFLNK);
	put_xattr(4, "", "target", 6);
}

static void put_free_map(void)
{
	put_free(0, 0, 10);
	put_free(0, 15, 5);
	put_free(0, 22, 8);
	put_free(0, 31, PAGES - 31);
	put_free(0, ZCF_FREE_SUMMARY, 56);
	super.commit = COMMIT;
	super.inodes = 6;
	super.next_ino = 7;
	super.pages = PAGES;
	super.free_pages = 56;
	put_super();
}

static void path_of(const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", dir, name);
}

static void begin(void)
{
	char meta[128];
	struct zu_err err;
	struct kv_val v;

	path_of("meta", meta);
	assert_int_equal(kv_open(meta, KV_WRITE, &kv, &err), 0);
	assert_int_equal(kv_begin(kv, true, &txn), 0);
	assert_int_equal(kv_get(txn, ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &v), 0);
	assert_int_equal(rec_get_super(v, &super), 0);
}

static void commit(void)
{
	assert_int_equal(kv_commit(txn), 0);
	kv_close(kv);
	txn = NULL;
	kv = NULL;
}

static int setup(void **state)
{
	static const struct store_create_options options = { .mode = 0755 };
	struct zu_err err = { 0 };
	char pages[128];

	snprintf(dir, sizeof(dir), "/tmp/zcfs-check-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	if (store_create(dir, &options, &err) < 0)
		fail_msg("%s", err.text);
	path_of("pages", pages);
	assert_int_equal(truncate(pages, PAGES * ZCF_PAGE_SIZE), 0);
	begin();
	put_others();
	put_files();
	put_free_map();
	commit();
	begin();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	kv_abort(txn);
	kv_close(kv);
	txn = NULL;
	kv = NULL;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- findings --------------------------------------------------------------------------- */

struct findings {
	char text[100][512];
	unsigned count, records;
	uint64_t total;
};
static struct findings found;

static void on_finding(void *arg, const char *text)
{
	assert_ptr_equal(arg, &found);
	if (found.count < 100)
		snprintf(found.text[found.count], sizeof(found.text[0]), "%s", text);
	found.count++;
}

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	assert_true(what && done <= total);
	found.records = (unsigned)done;
	found.total = total;
}

static struct store_check_result check(void)
{
	const struct store_check_options options = { .finding = on_finding,
						     .progress = on_progress,
						     .arg = &found };
	struct store_check_result result;
	struct zu_err err = { 0 };

	memset(&found, 0, sizeof(found));
	if (store_check(dir, &options, &result, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(err.code, 0);
	assert_int_equal(found.count, result.findings > 100 ? 100 : result.findings);
	return result;
}

/* The damage is done: exactly these findings, in this order. */
static void expect_list(const char *const *texts)
{
	unsigned n = 0;

	if (txn)
		commit();
	check();
	for (; n < found.count && texts[n]; n++)
		if (strcmp(texts[n], found.text[n]) != 0)
			fail_msg("found \"%s\", not \"%s\"", found.text[n], texts[n]);
	if (texts[n])
		fail_msg("not found: %s", texts[n]);
	if (n < found.count)
		fail_msg("one too many: %s", found.text[n]);
}
#define EXPECT(...) expect_list((const char *const[]){ __VA_ARGS__, NULL })

static void a_sound_store_has_no_findings(void **state)
{
	struct store_check_result r;

	commit();
	r = check();
	if (found.count)
		fail_msg("%s", found.text[0]);
	assert_int_equal(r.inodes, 6);
	assert_int_equal(r.directories, 2);
	assert_int_equal(r.files, 3);
	assert_int_equal(r.entries, 5);
	assert_int_equal(r.orphans, 1);
	assert_int_equal(r.pages_free, 56);
	assert_int_equal(r.pages_shared, 2);
	assert_int_equal(r.pages_used, 6);
	assert_int_equal(r.pages_free + r.pages_shared + r.pages_used, PAGES);
	assert_int_equal(found.records, found.total);
	assert_int_equal(found.records, 6 + 1 + 5 + 3 + 5 + 2 + 3);
}

static void nobody_needs_to_listen(void **state)
{
	struct store_check_result r;

	INODE(4, nlink = 2);
	commit();
	assert_int_equal(store_check(dir, NULL, &r, NULL), 0);
	assert_int_equal(r.findings, 1);
}

/* ---- inodes and names ------------------------------------------------------------------- */

static void link_counts_of_files(void **state)
{
	INODE(3, nlink = 3);
	INODE(4, nlink = 0);
	EXPECT("inode 3: link count 3, but 2 entries name it",
	       "inode 4: link count 0, but 1 entry names it",
	       "inode 4: link count 0, but it is not among the orphans");
}

static void link_counts_of_directories(void **state)
{
	INODE(1, nlink = 2);
	INODE(2, nlink = 3);
	EXPECT("inode 1: link count 2, but the directory has 1 subdirectories (2 more expected)",
	       "inode 2: link count 3, but the directory has 0 subdirectories (2 more expected)");
}

static void a_lost_file(void **state)
{
	drop_name(1, "link");
	EXPECT("inode 1: size 4, but the directory has 3 entries",
	       "inode 4: link count 1, but 0 entries name it");
}

static void a_name_of_nothing(void **state)
{
	char text[200];

	put_name(2, "odd\nname", 99, S_IFREG);
	INODE(2, size = 2);
	snprintf(text, sizeof(text),
		 "directory 2, entry 0x%llx: \"odd\\x0aname\" names inode 99, which does not exist",
		 (unsigned long long)cookie_of("odd\nname"));
	EXPECT(text);
}

static void an_entry_in_no_directory(void **state)
{
	char text[2][200];

	put_name(99, "x", 3, S_IFREG);
	put_name(4, "x", 3, S_IFREG);
	INODE(3, nlink = 4);
	snprintf(text[0], sizeof(text[0]),
		 "directory 4, entry 0x%llx: inode 4 is no directory (mode 120777)",
		 (unsigned long long)cookie_of("x"));
	snprintf(text[1], sizeof(text[1]), "directory 99, entry 0x%llx: there is no such directory",
		 (unsigned long long)cookie_of("x"));
	EXPECT(text[0], text[1]);
}

static void the_type_in_an_entry(void **state)
{
	char text[200];

	put_name(1, "link", 4, S_IFREG);
	snprintf(text, sizeof(text),
		 "directory 1, entry 0x%llx: \"link\" has type 10, but inode 4 has mode 120777",
		 (unsigned long long)cookie_of("link"));
	EXPECT(text);
}

static void a_name_in_the_wrong_place(void **state)
{
	uint64_t base = cookie_of("link");
	char text[200];

	drop_name(1, "link");
	put_at(1, base + COOKIE_STEPS - 1, "link", 4, S_IFLNK);
	commit();
	check();
	assert_int_equal(found.count, 0);
	begin();
	put_at(1, base + COOKIE_STEPS, "link", 4, S_IFLNK);
	INODE(1, size = 5);
	INODE(4, nlink = 2);
	snprintf(text, sizeof(text),
		 "directory 1, entry 0x%llx: not where its name \"link\" belongs, 0x%llx",
		 (unsigned long long)base + COOKIE_STEPS, (unsigned long long)base);
	commit();
	check();
	assert_int_equal(found.count, 2);
	assert_string_equal(found.text[0], text);
	assert_non_null(strstr(found.text[1], "the name \"link\" is in this directory twice"));
}

static void a_double_name(void **state)
{
	uint64_t cookie = cookie_of("file") + 3;
	char text[200];

	put_at(1, cookie, "file", 4, S_IFLNK);
	INODE(4, nlink = 2);
	INODE(1, size = 5);
	snprintf(text, sizeof(text),
		 "directory 1, entry 0x%llx: the name \"file\" is in this directory twice",
		 (unsigned long long)cookie);
	EXPECT(text);
}

static void a_directory_with_two_names(void **state)
{
	char text[200];

	put_name(2, "again", 2, S_IFDIR);
	INODE(2, size = 2);
	INODE(2, nlink = 3);
	snprintf(text, sizeof(text),
		 "directory 2, entry 0x%llx: \"again\" names directory 2, whose parent is 1",
		 (unsigned long long)cookie_of("again"));
	EXPECT(text, "inode 2: link count 3 of a directory, but 2 entries name it");
}

static void directories_inside_each_other(void **state)
{
	struct rec_inode d = { .mode = S_IFDIR | 0755, .nlink = 3, .size = 1 };

	d.parent = 8;
	put_inode(7, d);
	put_name(8, "seven", 7, S_IFDIR);
	d.parent = 7;
	put_inode(8, d);
	put_name(7, "eight", 8, S_IFDIR);
	super.inodes = 8;
	super.next_ino = 9;
	put_super();
	EXPECT("inode 7: the directory is inside itself");
}

static void a_directory_in_nothing(void **state)
{
	struct rec_inode d = { .mode = S_IFDIR | 0755, .nlink = 2, .parent = 77 };

	put_inode(7, d);
	d.parent = 6;
	put_inode(8, d);
	super.inodes = 8;
	super.next_ino = 9;
	put_super();
	EXPECT("inode 7: link count 2 of a directory, but 0 entries name it",
	       "inode 7: its parent is no directory with a name",
	       "inode 8: link count 2 of a directory, but 0 entries name it",
	       "inode 8: its parent is no directory with a name");
}

static void the_root_is_special(void **state)
{
	uint8_t key[KEY_MAX];
	char text[200];

	put_name(2, "root", 1, S_IFDIR);
	INODE(1, parent = 2);
	INODE(2, size = 2);
	INODE(2, nlink = 3);
	EXPECT("inode 1: parent 2, but it is the root",
	       "inode 1: 1 entry names it, but it is the root");
	begin();
	drop(ZCF_DB_INODE, key, key_inode(key, 1));
	snprintf(text, sizeof(text), "directory 1, entry 0x%llx: there is no such directory",
		 (unsigned long long)cookie_of("file"));
	commit();
	assert_true(check().findings > 5);
	for (unsigned n = 0; n < found.count; n++)
		if (!strcmp(found.text[n], "inode 1: the root directory is missing"))
			return;
	fail_msg("the missing root was not found");
}

static void orphans_have_no_names(void **state)
{
	uint8_t key[KEY_MAX];

	drop(ZCF_DB_ORPHAN, key, key_orphan(key, 6));
	put_orphan(4);
	put_orphan(50);
	EXPECT("orphan 4: the inode has a link count of 1", "orphan 50: there is no such inode",
	       "inode 6: link count 0, but it is not among the orphans");
}

static void fields_of_inodes(void **state)
{
	struct rec_inode fifo = { .mode = S_IFIFO | 0644, .nlink = 0, .size = 3, .parent = 1 };

	put_inode(7, fifo);
	put_orphan(7);
	INODE(4, size = 4096);
	INODE(4, pages = 1);
	EXPECT("inode 4: size 4096 of a symbolic link (1 to 4095)",
	       "inode 4: 1 pages, but it is no regular file",
	       "inode 7: not below the next number to give, 7",
	       "inode 7: parent 1, but it is no directory",
	       "inode 7: size 3, but it is a special file",
	       "inode 4, target of the symbolic link: 6 bytes, but the inode's size is 4096",
	       "inode 4: 1 pages, but its map names 0", "super record: 6 inodes, but there are 7");
}

/* ---- xattrs ----------------------------------------------------------------------------- */

static void xattrs_belong_to_something(void **state)
{
	uint8_t key[KEY_MAX];

	put_xattr(99, "user.b", "", 0);
	put_xattr(3, "", "nowhere", 7);
	drop(ZCF_DB_XATTR, key, key_xattr(key, 4, "", 0));
	EXPECT("inode 3, target of the symbolic link: the inode is no symbolic link (mode 100644)",
	       "inode 99, xattr user.b: there is no such inode",
	       "inode 4: a symbolic link without a target");
}

static void xattrs_have_limits(void **state)
{
	static uint8_t large[ZCF_XATTR_MAX + 1];

	put_xattr(3, "user.fits", large, ZCF_XATTR_MAX);
	put_xattr(3, "user.large", large, ZCF_XATTR_MAX + 1);
	put_xattr(4, "", "tar\0et", 6);
	EXPECT("inode 3, xattr user.large: a value of 65537 bytes (65536 at most)",
	       "inode 4, target of the symbolic link: a zero byte in it");
}

static void acls_are_valid(void **state)
{
	put_xattr(2, "system.posix_acl_access", "\2\0\0\0", 4);
	put_xattr(3, "system.posix_acl_access", "junk", 4);
	put_xattr(3, "system.posix_acl_default", "\2\0\0\0\1\0\7\0", 8);
	EXPECT("inode 2, xattr system.posix_acl_access: not a valid ACL",
	       "inode 3, xattr system.posix_acl_access: not a valid ACL",
	       "inode 3, xattr system.posix_acl_default: not a valid ACL",
	       "inode 3, xattr system.posix_acl_default: a default ACL, but the inode is no "
	       "directory (mode 100644)");
}

/* ---- pages ------------------------------------------------------------------------------ */

static void the_number_of_pages(void **state)
{
	INODE(3, pages = 6);
	EXPECT("inode 3: 6 pages, but its map names 7");
}

static void data_beyond_the_end(void **state)
{
	INODE(3, size = 4 * ZCF_PAGE_SIZE);
	EXPECT("inode 3, chunk 0: data up to page 4 of the file, beyond its end at byte 16384");
}

static void maps_belong_to_files(void **state)
{
	uint8_t key[KEY_MAX];

	put_run(2, 0, 0, 1, 40, 0);
	put_run(99, 0, 0, 1, 41, 0);
	drop_free(0, 31);
	put_free(0, 31, 9);
	put_free(0, 42, PAGES - 42);
	drop(ZCF_DB_FREE, key, key_free(key, 0, ZCF_FREE_SUMMARY));
	put_free(0, ZCF_FREE_SUMMARY, 54);
	super.free_pages = 54;
	put_super();
	EXPECT("inode 2, chunk 0: the inode is no regular file (mode 40755)",
	       "inode 99, chunk 0: there is no such inode");
}

static void pages_beyond_the_page_file(void **state)
{
	put_run(6, 0, 0, 1, PAGES, 0);
	EXPECT("inode 6, chunk 0: names pages beyond the page file of 64 pages",
	       "inode 6: 1 pages, but its map names 0",
	       "store page 30: neither in use nor in the free map");
}

static void pages_used_twice(void **state)
{
	/* 20 and 21 belong to 3, 22 is free. */
	put_run(6, 0, 0, 3, 20, RUN_UNWRITTEN);
	INODE(6, pages = 3);
	EXPECT("inode 6, chunk 0: store pages 20 to 21: named by another run too, without a "
	       "reference count",
	       "store page 22: in use and in the free map",
	       "store page 30: neither in use nor in the free map");
}

static void reference_counts(void **state)
{
	uint8_t key[KEY_MAX];

	put_ref(10, 3);
	drop(ZCF_DB_REF, key, key_page(key, 11));
	put_ref(12, 2);
	put_ref(40, 2);
	put_ref(PAGES, 2);
	EXPECT("reference count of store page 64: beyond the page file of 64 pages",
	       "inode 5, chunk 0: store page 11: named by another run too, without a reference "
	       "count",
	       "store page 10: reference count 3, but 2 runs name it",
	       "store page 12: reference count 2, but 1 run names it",
	       "store page 40: reference count 2, but 0 runs name it");
}

static void one_file_may_name_a_page_more_than_once(void **state)
{
	put_run(5, 7, 3, 1, 11, RUN_UNWRITTEN);
	INODE(5, pages = 3);
	put_ref(11, 3);
	commit();
	assert_int_equal(check().findings, 0);
}

static void lost_pages(void **state)
{
	drop_free(0, 0);
	put_free(0, 1, 9);
	drop_free(0, 22);
	EXPECT("free map, summary of region 0: 56 free pages, but its runs have 47",
	       "super record: 56 free pages, but the free map has 47",
	       "store page 0: neither in use nor in the free map",
	       "store pages 22 to 29: neither in use nor in the free map");
}

static void the_runs_of_the_free_map(void **state)
{
	put_free(0, 5, 2);
	put_free(0, 17, 4);
	put_free(0, 60, 5);
	put_free(1, ZCF_REGION_PAGES - 1, 1);
	EXPECT("free map, region 0, run at store page 5: overlaps the run before it, which ends "
	       "at page 10",
	       "free map, region 0, run at store page 17: overlaps the run before it, which ends "
	       "at page 20",
	       "free map, region 0, run at store page 60: 5 pages, beyond the page file of 64 "
	       "pages",
	       "free map, summary of region 0: 56 free pages, but its runs have 67",
	       "free map, region 1, run at store page 262143: 1 pages, not inside the region",
	       "super record: 56 free pages, but the free map has 67",
	       "store page 20: in use and in the free map");
}

static void runs_are_merged(void **state)
{
	drop_free(0, 0);
	put_free(0, 0, 4);
	put_free(0, 4, 6);
	EXPECT("free map, region 0, run at store page 4: not merged with the run before it");
}

static void a_region_without_a_summary(void **state)
{
	drop_free(0, ZCF_FREE_SUMMARY);
	put_free(1, ZCF_FREE_SUMMARY, 0);
	EXPECT("free map: region 0 has no summary",
	       "free map, summary of region 1: beyond the page file of 64 pages");
}

/* A terabyte of page file, sparse: the free map spans many regions. */
static void many_regions(void **state)
{
	uint64_t pages = 1024ull * ZCF_REGION_PAGES;
	char path[128];

	path_of("pages", path);
	if (truncate(path, (off_t)(pages * ZCF_PAGE_SIZE)) < 0)
		skip();
	drop_free(0, 31);
	put_free(0, 31, ZCF_REGION_PAGES - 31);
	put_free(0, ZCF_FREE_SUMMARY, ZCF_REGION_PAGES - 8);
	for (uint32_t n = 1; n < 1024; n++) {
		put_free(n, (uint64_t)n * ZCF_REGION_PAGES, ZCF_REGION_PAGES);
		put_free(n, ZCF_FREE_SUMMARY, ZCF_REGION_PAGES);
	}
	super.pages = pages;
	super.free_pages = pages - 8;
	put_super();
	commit();
	assert_true(check().findings == 0);
	begin();
	drop_free(234, 234ull * ZCF_REGION_PAGES);
	put_free(234, ZCF_FREE_SUMMARY, 0);
	drop_free(1000, ZCF_FREE_SUMMARY);
	super.free_pages -= ZCF_REGION_PAGES;
	put_super();
	EXPECT("free map: region 1000 has no summary",
	       "store pages 61341696 to 61603839: neither in use nor in the free map");
}

/* ---- records, databases, files ---------------------------------------------------------- */

/* Flip a bit of the value, somewhere. */
static void spoil(enum zcf_db db, const uint8_t *key, size_t len)
{
	struct kv_val v;
	uint8_t copy[512];

	assert_int_equal(kv_get(txn, db, key, len, &v), 0);
	assert_true(v.size <= sizeof(copy));
	memcpy(copy, v.data, v.size);
	copy[v.size - 1] ^= 0x10;
	put(db, key, len, copy, v.size);
}

static void seals_in_every_database(void **state)
{
	uint8_t key[KEY_MAX];

	spoil(ZCF_DB_INODE, key, key_inode(key, 5));
	spoil(ZCF_DB_ORPHAN, key, key_orphan(key, 6));
	spoil(ZCF_DB_XATTR, key, key_xattr(key, 3, "user.a", 6));
	spoil(ZCF_DB_FREE, key, key_free(key, 0, 15));
	spoil(ZCF_DB_REF, key, key_page(key, 10));
	spoil(ZCF_DB_MAP, key, key_map(key, 6, 0));
	EXPECT("inode 5: the record is damaged: its seal does not hold",
	       "orphan 6: the record is damaged: its seal does not hold",
	       "inode 3, xattr user.a: the record is damaged: its seal does not hold",
	       "free map, region 0, run at store page 15: the record is damaged: its seal does "
	       "not hold",
	       "free map, summary of region 0: 56 free pages, but its runs have 51",
	       "super record: 56 free pages, but the free map has 51",
	       "reference count of store page 10: the record is damaged: its seal does not hold",
	       "inode 5, chunk 0: store page 10: named by another run too, without a reference "
	       "count",
	       "inode 6, chunk 0: the record is damaged: its seal does not hold",
	       "inode 6: 1 pages, but its map names 0",
	       "inode 6: link count 0, but it is not among the orphans",
	       "store pages 15 to 19: neither in use nor in the free map",
	       "store page 30: neither in use nor in the free map");
}

static void the_seal_of_an_entry(void **state)
{
	uint8_t key[KEY_MAX];
	char text[200];

	spoil(ZCF_DB_DIRENT, key, key_dirent(key, 1, cookie_of("link")));
	snprintf(text, sizeof(text),
		 "directory 1, entry 0x%llx: the record is damaged: its seal does not hold",
		 (unsigned long long)cookie_of("link"));
	EXPECT(text, "inode 1: size 4, but the directory has 3 entries",
	       "inode 4: link count 1, but 0 entries name it");
}

static void a_record_under_another_key(void **state)
{
	uint8_t key[KEY_MAX], copy[sizeof(struct zcf_inode)];
	struct kv_val v;

	assert_int_equal(kv_get(txn, ZCF_DB_INODE, key, key_inode(key, 3), &v), 0);
	assert_int_equal(v.size, sizeof(copy));
	memcpy(copy, v.data, sizeof(copy));
	put(ZCF_DB_INODE, key, key_inode(key, 5), copy, sizeof(copy));
	EXPECT("inode 5: the record is damaged: its seal does not hold");
}

static void impossible_records(void **state)
{
	uint8_t key[KEY_MAX];
	struct run run = { .first = 200, .count = 100, .page = 10 };
	char text[200];

	INODE(4, flags = 1u << 31);
	put_runs(6, 0, &run, 1);
	put_run(6, 1ull << 43, 0, 1, 30, 0);
	put_name(1, "..", 3, S_IFREG);
	put_count(ZCF_DB_REF, key, key_page(key, 12), 1);
	put_free(0, 12, 0);
	INODE(1, size = 5);
	snprintf(text, sizeof(text),
		 "directory 1, entry 0x%llx: the record has an impossible name or field",
		 (unsigned long long)cookie_of(".."));
	EXPECT("inode 4: the record has impossible fields", text,
	       "free map, region 0, run at store page 12: the record has an impossible count",
	       "reference count of store page 12: an impossible count (2 to 4294967295)",
	       "inode 6, chunk 0: the record has impossible runs",
	       "inode 6, chunk 8796093022208: no file is that large",
	       "inode 6: 1 pages, but its map names 0",
	       "store page 30: neither in use nor in the free map");
}

static void impossible_keys(void **state)
{
	uint8_t key[KEY_MAX];
	size_t len = key_inode(key, 8);

	put(ZCF_DB_INODE, key, len - 1, "", 0);
	key[len - 1] = 0xfe;
	put(ZCF_DB_INODE, key, len, "", 0);
	put(ZCF_DB_ORPHAN, key, 9, "", 0);
	EXPECT("database inode: a key of 15 bytes (16 to 16)",
	       "inode 8: a record of an epoch that does not exist",
	       "database orphan: a key of 9 bytes (8 to 8)");
}

static void commits_that_were_not_yet(void **state)
{
	super.commit = COMMIT - 1;
	put_super();
	commit();
	check();
	assert_true(found.count > 10);
	assert_string_equal(found.text[0], "inode 1: written by commit 5, but the last one is 4");
}

static void databases_that_nothing_uses(void **state)
{
	put(ZCF_DB_META, "other", 5, "", 0);
	put(ZCF_DB_SUM, "x", 1, "", 0);
	put(ZCF_DB_DEAD, "x", 1, "", 0);
	put(ZCF_DB_SNAPSHOT, "x", 1, "", 0);
	EXPECT("database meta: 2 records (1 expected)", "database sum: 1 records (0 expected)",
	       "database dead: 1 records (0 expected)",
	       "database snapshot: 1 records (0 expected)");
}

static void the_super_record(void **state)
{
	spoil(ZCF_DB_META, (const uint8_t *)KEY_SUPER, strlen(KEY_SUPER));
	EXPECT("super record: damaged: nothing else can be checked");
}

static void a_missing_super_record(void **state)
{
	drop(ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER));
	EXPECT("super record: missing");
}

static void only_a_hundred_findings_are_shown(void **state)
{
	struct store_check_result r;

	for (uint64_t ino = 1000; ino < 1250; ino++)
		put_orphan(ino);
	commit();
	r = check();
	assert_int_equal(r.findings, 250);
	assert_int_equal(found.count, 100);
}

static void the_page_file(void **state)
{
	char path[128];

	path_of("pages", path);
	assert_int_equal(truncate(path, PAGES * ZCF_PAGE_SIZE + 1), 0);
	commit();
	assert_int_equal(check().findings, 0);
	assert_int_equal(truncate(path, PAGES * ZCF_PAGE_SIZE - 1), 0);
	EXPECT("file pages: cut short, 262143 bytes (64 pages of 4096 expected)");
	assert_int_equal(unlink(path), 0);
	EXPECT("file pages: missing");
	assert_int_equal(symlink("format", path), 0);
	EXPECT("file pages: not a regular file");
}

static void the_metadata_file(void **state)
{
	char path[128], text[300];

	commit();
	path_of("meta/data.mdb", path);
	assert_int_equal(truncate(path, 8192), 0);
	snprintf(
		text, sizeof(text),
		"metadata %s/meta: its file data.mdb is cut short; restore the store from a backup",
		dir);
	EXPECT(text);
}

static void another_stores_metadata(void **state)
{
	super.uuid[0] ^= 1;
	put_super();
	EXPECT("file format: its uuid is not the one of the metadata");
}

/* ---- what can't be checked -------------------------------------------------------------- */

static void expect_error(int code, const char *part)
{
	struct store_check_result r = { .findings = 4711 };
	struct zu_err err = { 0 };

	assert_int_equal(store_check(dir, NULL, &r, &err), -code);
	assert_int_equal(err.code, code);
	assert_int_equal(r.findings, 4711);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void a_store_in_use(void **state)
{
	char path[128];
	int fd;

	commit();
	path_of("lock", path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	expect_error(EBUSY, "in use by another process; unmount it first (zcctl umount)");
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_int_equal(check().findings, 0);
	close(fd);
}

static void features_from_the_future(void **state)
{
	super.incompat = 1ull << 40;
	put_super();
	commit();
	expect_error(EPROTONOSUPPORT, "incompat 0x10000000000");
	begin();
	super.incompat = 0;
	super.ro_compat = 2;
	put_super();
	commit();
	expect_error(EPROTONOSUPPORT, "ro_compat 0x2");
	begin();
	super.ro_compat = 0;
	super.compat = 2;
	put_super();
	commit();
	assert_int_equal(check().findings, 0);
}

static void not_a_store(void **state)
{
	char path[128];

	commit();
	path_of("format", path);
	assert_int_equal(unlink(path), 0);
	expect_error(EINVAL, "not a zcfs store");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_sound_store_has_no_findings),
		TEST(nobody_needs_to_listen),
		TEST(link_counts_of_files),
		TEST(link_counts_of_directories),
		TEST(a_lost_file),
		TEST(a_name_of_nothing),
		TEST(an_entry_in_no_directory),
		TEST(the_type_in_an_entry),
		TEST(a_name_in_the_wrong_place),
		TEST(a_double_name),
		TEST(a_directory_with_two_names),
		TEST(directories_inside_each_other),
		TEST(a_directory_in_nothing),
		TEST(the_root_is_special),
		TEST(orphans_have_no_names),
		TEST(fields_of_inodes),
		TEST(xattrs_belong_to_something),
		TEST(xattrs_have_limits),
		TEST(acls_are_valid),
		TEST(the_number_of_pages),
		TEST(data_beyond_the_end),
		TEST(maps_belong_to_files),
		TEST(pages_beyond_the_page_file),
		TEST(pages_used_twice),
		TEST(reference_counts),
		TEST(one_file_may_name_a_page_more_than_once),
		TEST(lost_pages),
		TEST(the_runs_of_the_free_map),
		TEST(runs_are_merged),
		TEST(a_region_without_a_summary),
		TEST(many_regions),
		TEST(seals_in_every_database),
		TEST(the_seal_of_an_entry),
		TEST(a_record_under_another_key),
		TEST(impossible_records),
		TEST(impossible_keys),
		TEST(commits_that_were_not_yet),
		TEST(databases_that_nothing_uses),
		TEST(the_super_record),
		TEST(a_missing_super_record),
		TEST(only_a_hundred_findings_are_shown),
		TEST(the_page_file),
		TEST(the_metadata_file),
		TEST(another_stores_metadata),
		TEST(a_store_in_use),
		TEST(features_from_the_future),
		TEST(not_a_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
