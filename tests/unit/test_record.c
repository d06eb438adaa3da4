/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/record.h"
#include "util/bytes.h"

static struct kv_val val(const void *data, size_t size)
{
	return (struct kv_val){ .data = data, .size = size };
}

static const struct rec_inode an_inode = {
	.mode = S_IFREG | 0640,
	.uid = 1000,
	.gid = 100,
	.nlink = 2,
	.flags = ZCF_INODE_EXPLICIT,
	.generation = 7,
	.size = 123456789,
	.pages = 30141,
	.rdev = 0,
	.parent = 0,
	.atime = { -5, 999999999 },
	.mtime = { 1ll << 40, 1 },
	.ctime = { 3, 2 },
	.btime = { 4, 3 },
};

static void keys_sort_as_numbers(void **state)
{
	uint8_t a[KEY_MAX], b[KEY_MAX];

	assert_int_equal(key_map(a, 5, 255), sizeof(struct zcf_key_map));
	key_map(b, 5, 256);
	assert_true(memcmp(a, b, 24) < 0);
	key_map(a, 4, UINT64_MAX);
	assert_true(memcmp(a, b, 24) < 0);
	assert_int_equal(key_inode(a, 0x0102030405060708), sizeof(struct zcf_key_inode));
	assert_memory_equal(a, "\1\2\3\4\5\6\7\10\377\377\377\377\377\377\377\377", 16);
	assert_int_equal(key_dirent(a, 1, 2), sizeof(struct zcf_key_dirent));
	assert_int_equal(key_free(a, 1, 2), sizeof(struct zcf_key_free));
	assert_memory_equal(a, "\0\0\0\1\0\0\0\0\0\0\0\2", 12);
	assert_int_equal(key_page(a, 1), sizeof(struct zcf_key_page));
	assert_int_equal(key_orphan(a, 1), sizeof(struct zcf_key_orphan));
	assert_int_equal(key_xattr(a, 1, "user.a", 6), 22);
	assert_memory_equal(a + 8, "user.a", 6);
	assert_int_equal(key_xattr(a, 1, "", 0), 16);
}

/* The check value of CRC-32C: whoever reads FORMAT.md must come to the same sum. */
static void the_sum_is_crc32c(void **state)
{
	struct zcf_orphan o;
	uint8_t all[1 + 8 + sizeof(o) - 4];
	uint32_t crc = UINT32_MAX;

	rec_seal(ZCF_DB_ORPHAN, "12345678", 8, &o, sizeof(o), 77);
	all[0] = ZCF_DB_ORPHAN;
	memcpy(all + 1, "12345678", 8);
	memcpy(all + 9, (uint8_t *)&o + 4, sizeof(o) - 4);
	for (size_t i = 0; i < sizeof(all); i++) {
		crc ^= all[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	assert_int_equal(zu_get_le32(o.seal.crc), ~crc);
	assert_int_equal(rec_commit(val(&o, sizeof(o))), 77);
}

static void a_seal_breaks_at_every_bit(void **state)
{
	struct zcf_inode disk;
	uint8_t key[KEY_MAX];
	size_t len = key_inode(key, 9);

	rec_put_inode(&disk, &an_inode, 9, 3);
	assert_int_equal(rec_verify(ZCF_DB_INODE, key, len, val(&disk, sizeof(disk)), 0), 0);
	for (size_t i = 0; i < sizeof(disk) * 8; i++) {
		((uint8_t *)&disk)[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(rec_verify(ZCF_DB_INODE, key, len, val(&disk, sizeof(disk)), 0),
				 -EIO);
		((uint8_t *)&disk)[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < len; i++) {
		key[i] ^= 1;
		assert_int_equal(rec_verify(ZCF_DB_INODE, key, len, val(&disk, sizeof(disk)), 0),
				 -EIO);
		key[i] ^= 1;
	}
	assert_int_equal(rec_verify(ZCF_DB_MAP, key, len, val(&disk, sizeof(disk)), 0), -EIO);
}

static void a_cut_value_is_refused(void **state)
{
	struct zcf_inode disk;
	uint8_t key[KEY_MAX];
	size_t len = key_inode(key, 9);

	rec_put_inode(&disk, &an_inode, 9, 3);
	for (size_t size = 0; size < sizeof(disk); size++)
		assert_int_equal(rec_verify(ZCF_DB_INODE, key, len, val(&disk, size), 0), -EIO);
	assert_int_equal(rec_verify(ZCF_DB_INODE, key, len, val(&disk, sizeof(disk)),
				    sizeof(disk) + 1),
			 -EIO);
}

static void long_values_are_sealed_too(void **state)
{
	size_t size = sizeof(struct zcf_xattr) + ZCF_XATTR_MAX;
	uint8_t *value = calloc(1, size), key[KEY_MAX];
	size_t len = key_xattr(key, 4, "user.long", 9);

	assert_non_null(value);
	rec_seal(ZCF_DB_XATTR, key, len, value, size, 1);
	assert_int_equal(rec_verify(ZCF_DB_XATTR, key, len, val(value, size), size), 0);
	value[size - 1] = 1;
	assert_int_equal(rec_verify(ZCF_DB_XATTR, key, len, val(value, size), size), -EIO);
	free(value);
}

static void inodes_come_back(void **state)
{
	struct zcf_inode disk;
	struct rec_inode back;

	rec_put_inode(&disk, &an_inode, 9, 3);
	memset(&back, 0, sizeof(back));
	assert_int_equal(rec_get_inode(val(&disk, sizeof(disk)), 9, &back), 0);
	assert_int_equal(back.mode, an_inode.mode);
	assert_int_equal(back.uid, 1000);
	assert_int_equal(back.gid, 100);
	assert_int_equal(back.nlink, 2);
	assert_int_equal(back.flags, ZCF_INODE_EXPLICIT);
	assert_int_equal(back.generation, 7);
	assert_int_equal(back.size, 123456789);
	assert_int_equal(back.pages, 30141);
	assert_true(back.atime.sec == -5 && back.atime.nsec == 999999999);
	assert_true(back.mtime.sec == 1ll << 40 && back.mtime.nsec == 1);
	assert_true(back.ctime.sec == 3 && back.btime.nsec == 3);
	assert_int_equal(rec_get_inode(val(&disk, sizeof(disk)), 8, &back), -EIO);
}

static int try_inode(struct rec_inode in)
{
	struct zcf_inode disk;
	struct rec_inode back;

	rec_put_inode(&disk, &in, 9, 3);
	return rec_get_inode(val(&disk, sizeof(disk)), 9, &back);
}

static void impossible_inodes_are_refused(void **state)
{
	struct rec_inode in = an_inode;

	assert_int_equal(try_inode(in), 0);
	in.mode = 0640;
	assert_int_equal(try_inode(in), -EIO);
	in.mode = 1u << 20 | S_IFREG;
	assert_int_equal(try_inode(in), -EIO);
	in = an_inode;
	in.size = INT64_MAX;
	assert_int_equal(try_inode(in), -EIO);
	in.size = (uint64_t)ZCF_SIZE_MAX;
	assert_int_equal(try_inode(in), 0);
	in.flags = 4;
	assert_int_equal(try_inode(in), -EIO);
	in = an_inode;
	in.ctime.nsec = 1000000000;
	assert_int_equal(try_inode(in), -EIO);
}

static int try_name(const char *name, size_t namelen, uint64_t ino, uint8_t type)
{
	uint8_t disk[sizeof(struct zcf_dirent) + 255], key[KEY_MAX];
	size_t size = rec_put_dirent(disk, 1, 99, ino, type, name, namelen, 5);
	struct rec_dirent d;
	int r = rec_get_dirent(val(disk, size), key, key_dirent(key, 1, 99), &d);

	if (r < 0)
		return r;
	assert_int_equal(d.ino, ino);
	assert_int_equal(d.type, type);
	assert_int_equal(d.namelen, namelen);
	assert_memory_equal(d.name, name, namelen);
	return 0;
}

static void entries_come_back_and_names_are_checked(void **state)
{
	char longest[255];

	memset(longest, 'x', sizeof(longest));
	assert_int_equal(try_name("a", 1, 5, S_IFREG >> 12), 0);
	assert_int_equal(try_name("...", 3, 5, S_IFDIR >> 12), 0);
	assert_int_equal(try_name(longest, 255, UINT64_MAX, S_IFLNK >> 12), 0);
	assert_int_equal(try_name(".", 1, 5, S_IFREG >> 12), -EIO);
	assert_int_equal(try_name("..", 2, 5, S_IFREG >> 12), -EIO);
	assert_int_equal(try_name("a/b", 3, 5, S_IFREG >> 12), -EIO);
	assert_int_equal(try_name("a\0b", 3, 5, S_IFREG >> 12), -EIO);
	assert_int_equal(try_name("", 0, 5, S_IFREG >> 12), -EIO);
	assert_int_equal(try_name("a", 1, 0, S_IFREG >> 12), -EIO);
	assert_int_equal(try_name("a", 1, 5, 3), -EIO);
	assert_int_equal(try_name("a", 1, 5, 24), -EIO);
}

static void runs_that_touch_are_merged(void **state)
{
	static const struct run runs[] = {
		{ .first = 0, .count = 2, .page = 10, .birth = 3, .flags = RUN_FRESH },
		{ .first = 2, .count = 3, .page = 12, .birth = 3, .flags = RUN_SHARED },
		{ .first = 5, .count = 1, .page = 15, .birth = 4 },
		{ .first = 6, .count = 1, .page = 16, .birth = BIRTH_PENDING },
		{ .first = 7, .count = 1, .page = 17, .birth = 9 },
		{ .first = 8, .count = 1, .page = 18, .birth = 9, .flags = RUN_UNWRITTEN },
		{ .first = 10, .count = 246, .page = 19, .birth = 9, .flags = RUN_UNWRITTEN },
	};
	uint8_t disk[REC_MAP_MAX];
	struct run back[ZCF_CHUNK_PAGES];
	size_t size = rec_put_map(disk, 3, 4, runs, 7, 9);

	assert_int_equal(rec_get_map(val(disk, size), 3, 4, 1000, back), 5);
	assert_true(back[0].first == 0 && back[0].count == 5 && back[0].page == 10 &&
		    back[0].birth == 3 && back[0].flags == 0);
	assert_true(back[1].first == 5 && back[1].count == 1 && back[1].birth == 4);
	assert_true(back[2].first == 6 && back[2].count == 2 && back[2].birth == 9);
	assert_true(back[3].first == 8 && back[3].count == 1 && back[3].flags == RUN_UNWRITTEN);
	assert_true(back[4].first == 10 && back[4].count == 246 && back[4].page == 19);
	assert_int_equal(rec_get_map(val(disk, size), 3, 4, 265, back), 5);
	assert_int_equal(rec_get_map(val(disk, size), 3, 4, 264, back), -EIO);
	assert_int_equal(rec_get_map(val(disk, size), 3, 5, 1000, back), -EIO);
}

static void a_full_chunk_fits(void **state)
{
	static uint8_t disk[REC_MAP_MAX];
	struct run runs[ZCF_CHUNK_PAGES], back[ZCF_CHUNK_PAGES];
	size_t size;

	for (unsigned i = 0; i < ZCF_CHUNK_PAGES; i++)
		runs[i] = (struct run){ .first = (uint16_t)i, .count = 1, .page = 1000 - 2 * i };
	size = rec_put_map(disk, 3, 4, runs, ZCF_CHUNK_PAGES, 9);
	assert_int_equal(size, sizeof(disk));
	assert_int_equal(rec_get_map(val(disk, size), 3, 4, 1001, back), ZCF_CHUNK_PAGES);
	assert_int_equal(back[255].page, 490);
}

static int try_run(uint16_t first, uint16_t count, uint64_t page, uint64_t birth)
{
	struct run runs[2] = { { .first = 3, .count = 2, .page = 70 },
			       { .first = first, .count = count, .page = page, .birth = birth } };
	uint8_t disk[REC_MAP_MAX];
	struct run back[ZCF_CHUNK_PAGES];
	size_t size = rec_put_map(disk, 3, 4, runs, 2, 9);

	return rec_get_map(val(disk, size), 3, 4, 100, back);
}

static void impossible_runs_are_refused(void **state)
{
	uint8_t disk[REC_MAP_MAX];
	struct run back[ZCF_CHUNK_PAGES];
	size_t size;

	assert_int_equal(try_run(5, 251, 0, 9), -EIO);
	assert_int_equal(try_run(5, 90, 0, 9), 2);
	assert_int_equal(try_run(4, 1, 0, 9), -EIO);
	assert_int_equal(try_run(0, 1, 0, 9), -EIO);
	assert_int_equal(try_run(5, 0, 0, 9), -EIO);
	assert_int_equal(try_run(256, 1, 0, 9), -EIO);
	assert_int_equal(try_run(250, 7, 0, 9), -EIO);
	assert_int_equal(try_run(5, 1, 99, 9), 2);
	assert_int_equal(try_run(5, 1, 100, 9), -EIO);
	assert_int_equal(try_run(5, 2, UINT64_MAX, 9), -EIO);
	assert_int_equal(try_run(5, 1, 0, 10), -EIO);
	size = rec_put_map(disk, 3, 4, NULL, 0, 9);
	assert_int_equal(rec_get_map(val(disk, size), 3, 4, 100, back), -EIO);
}

static int try_count(enum zcf_db db, const uint8_t *key, size_t len, uint64_t count)
{
	struct zcf_free disk;
	uint64_t back = 12345;
	int r;

	rec_put_count(db, key, len, &disk, count, 2);
	r = rec_get_count(db, key, len, val(&disk, sizeof(disk)), &back);
	assert_int_equal(back, r == 0 ? count : 12345);
	return r;
}

static void counts_have_limits(void **state)
{
	uint8_t key[KEY_MAX];
	size_t len = key_free(key, 0, 5);
	struct zcf_free disk;
	uint64_t back = 1;

	assert_int_equal(try_count(ZCF_DB_FREE, key, len, 1), 0);
	assert_int_equal(try_count(ZCF_DB_FREE, key, len, ZCF_REGION_PAGES), 0);
	assert_int_equal(try_count(ZCF_DB_FREE, key, len, ZCF_REGION_PAGES + 1), -EIO);
	assert_int_equal(try_count(ZCF_DB_FREE, key, len, 0), -EIO);
	len = key_free(key, 0, ZCF_FREE_SUMMARY);
	assert_int_equal(try_count(ZCF_DB_FREE, key, len, 0), 0);
	len = key_page(key, 5);
	assert_int_equal(try_count(ZCF_DB_REF, key, len, 2), 0);
	assert_int_equal(try_count(ZCF_DB_REF, key, len, 1), -EIO);
	len = key_orphan(key, 5);
	rec_put_count(ZCF_DB_ORPHAN, key, len, &disk, 0, 2);
	assert_int_equal(rec_get_count(ZCF_DB_ORPHAN, key, len,
				       val(&disk, sizeof(struct zcf_orphan)), &back),
			 0);
	assert_int_equal(back, 0);
	assert_int_equal(rec_get_count(ZCF_DB_ORPHAN, key, len, val(&disk, sizeof(disk)), &back),
			 -EIO);
}

static int try_super(struct rec_super in, struct rec_super *back)
{
	struct zcf_super disk;

	rec_put_super(&disk, &in);
	return rec_get_super(val(&disk, sizeof(disk)), back);
}

static void the_super_record_comes_back(void **state)
{
	struct rec_super in = { .uuid = "uuid",
				.secret = "secret",
				.compat = 1u << 30,
				.commit = 8,
				.next_ino = 2,
				.pages = 100,
				.free_pages = 100,
				.limit_pages = 7,
				.inodes = 1 };
	struct rec_super back;

	assert_int_equal(try_super(in, &back), 0);
	assert_memory_equal(&in, &back, sizeof(in));
	in.free_pages = 101;
	assert_int_equal(try_super(in, &back), -EIO);
	in.free_pages = 0;
	in.next_ino = 1;
	assert_int_equal(try_super(in, &back), -EIO);
	in.next_ino = 2;
	in.epoch = 1;
	assert_int_equal(try_super(in, &back), -EIO);
	/* What a later version means by it is not for this one to say. */
	in.incompat = 1ull << 63;
	assert_int_equal(try_super(in, &back), 0);
	assert_true(back.incompat == 1ull << 63);
}

static void cookies_leave_room_at_both_ends(void **state)
{
	uint8_t secret[16] = { 1, 2, 3 }, other[16] = { 0 };
	unsigned differ = 0;

	for (unsigned i = 0; i < 10000; i++) {
		char name[16];
		size_t len = (size_t)snprintf(name, sizeof(name), "f%u", i);
		uint64_t cookie = rec_cookie(secret, name, len);

		assert_true(cookie >= 16);
		assert_true(cookie + COOKIE_STEPS <= INT64_MAX);
		assert_true(cookie == rec_cookie(secret, name, len));
		differ += cookie != rec_cookie(other, name, len);
	}
	assert_int_equal(differ, 10000);
}

/* The test vector of SipHash-2-4's paper: 15 bytes 00..0e, key 00..0f. */
static void cookies_are_siphash(void **state)
{
	uint8_t secret[16], name[15];

	for (uint8_t i = 0; i < 16; i++)
		secret[i] = i;
	memcpy(name, secret, sizeof(name));
	assert_true(rec_cookie(secret, (const char *)name, 15) == (0xa129ca6149be45e5 & INT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_sort_as_numbers),
		cmocka_unit_test(the_sum_is_crc32c),
		cmocka_unit_test(a_seal_breaks_at_every_bit),
		cmocka_unit_test(a_cut_value_is_refused),
		cmocka_unit_test(long_values_are_sealed_too),
		cmocka_unit_test(inodes_come_back),
		cmocka_unit_test(impossible_inodes_are_refused),
		cmocka_unit_test(entries_come_back_and_names_are_checked),
		cmocka_unit_test(runs_that_touch_are_merged),
		cmocka_unit_test(a_full_chunk_fits),
		cmocka_unit_test(impossible_runs_are_refused),
		cmocka_unit_test(counts_have_limits),
		cmocka_unit_test(the_super_record_comes_back),
		cmocka_unit_test(cookies_leave_room_at_both_ends),
		cmocka_unit_test(cookies_are_siphash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
