/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/acl.h"
#include "util/bytes.h"

enum { U_OBJ = 1, U = 2, G_OBJ = 4, G = 8, M = 16, O = 32 };

struct ent {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint8_t bytes[256];
	size_t size;
};

static struct acl make(const struct ent *e, size_t n)
{
	struct acl acl = { .size = 4 + 8 * n };

	zu_put_le32(acl.bytes, 2);
	for (size_t i = 0; i < n; i++) {
		zu_put_le16(acl.bytes + 4 + 8 * i, e[i].tag);
		zu_put_le16(acl.bytes + 6 + 8 * i, e[i].perm);
		zu_put_le32(acl.bytes + 8 + 8 * i, e[i].id);
	}
	return acl;
}
#define ACL(...)                                  \
	make((const struct ent[]){ __VA_ARGS__ }, \
	     sizeof((const struct ent[]){ __VA_ARGS__ }) / sizeof(struct ent))

static int check(struct acl acl)
{
	return acl_check(acl.bytes, acl.size);
}

static unsigned perm_at(const struct acl *acl, size_t n)
{
	return zu_get_le16(acl->bytes + 6 + 8 * n);
}

static void valid_ones_pass(void **state)
{
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 })), 0);
	assert_int_equal(check(ACL({ U_OBJ, 7, -1u }, { G_OBJ, 5, -1u }, { M, 7, 3 }, { O, 0, 9 })),
			 0);
	assert_int_equal(check(ACL({ U_OBJ, 6, 0 }, { U, 7, 0 }, { U, 4, 12 }, { G_OBJ, 5, 0 },
				   { G, 1, 4 }, { G, 2, 3 }, { M, 7, 0 }, { O, 4, 0 })),
			 0);
}

static void no_entries_mean_none(void **state)
{
	struct acl acl = make(NULL, 0);

	assert_int_equal(check(acl), 1);
}

static void cut_and_foreign_ones_are_refused(void **state)
{
	struct acl acl = ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 });

	for (size_t size = 0; size < 4; size++)
		assert_int_equal(acl_check(acl.bytes, size), -EINVAL);
	for (size_t size = 5; size < acl.size; size++)
		assert_int_equal(acl_check(acl.bytes, size), -EINVAL);
	zu_put_le32(acl.bytes, 1);
	assert_int_equal(check(acl), -EOPNOTSUPP);
	zu_put_le32(acl.bytes, 3);
	assert_int_equal(check(acl), -EOPNOTSUPP);
}

static void a_basic_entry_is_never_missing(void **state)
{
	assert_int_equal(check(ACL({ G_OBJ, 5, 0 }, { O, 0, 0 })), -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 5, 0 }, { O, 0, 0 })), -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 5, 0 }, { G_OBJ, 0, 0 })), -EINVAL);
	assert_int_equal(check(ACL({ M, 5, 0 })), -EINVAL);
}

static void order_and_doubles_are_refused(void **state)
{
	assert_int_equal(check(ACL({ G_OBJ, 5, 0 }, { U_OBJ, 7, 0 }, { O, 0, 0 })), -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { U_OBJ, 7, 1 }, { G_OBJ, 5, 0 }, { O, 0, 0 })),
			 -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 }, { O, 0, 1 })),
			 -EINVAL);
	assert_int_equal(
		check(ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { U, 7, 6 }, { M, 7, 0 }, { O, 0, 0 })),
		-EINVAL);
}

static void named_entries_need_a_mask_and_an_id(void **state)
{
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { U, 7, 5 }, { G_OBJ, 5, 0 }, { O, 0, 0 })),
			 -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { G, 7, 5 }, { O, 0, 0 })),
			 -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { U, 7, -1u }, { G_OBJ, 5, 0 }, { M, 7, 0 },
				   { O, 0, 0 })),
			 -EINVAL);
}

static void tags_and_permissions_are_limited(void **state)
{
	assert_int_equal(check(ACL({ U_OBJ, 8, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 })), -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 }, { 64, 0, 0 })),
			 -EINVAL);
	assert_int_equal(check(ACL({ 0, 7, 0 }, { U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 })),
			 -EINVAL);
	assert_int_equal(check(ACL({ U_OBJ, 7, 0 }, { 3, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 })),
			 -EINVAL);
}

static void a_minimal_one_becomes_the_mode(void **state)
{
	struct acl acl = ACL({ U_OBJ, 6, 0 }, { G_OBJ, 4, 0 }, { O, 1, 0 });
	mode_t mode = S_IFREG | 07777;

	assert_int_equal(acl_to_mode(acl.bytes, acl.size, &mode), 1);
	assert_int_equal(mode, S_IFREG | 07641);
}

static void the_mask_is_the_groups_part_of_the_mode(void **state)
{
	struct acl acl =
		ACL({ U_OBJ, 6, 0 }, { U, 7, 5 }, { G_OBJ, 1, 0 }, { M, 3, 0 }, { O, 4, 0 });
	mode_t mode = S_IFDIR | 01000;

	assert_int_equal(acl_to_mode(acl.bytes, acl.size, &mode), 0);
	assert_int_equal(mode, S_IFDIR | 01634);
	/* A mask alone is not in the mode either: the group's own bits would be lost. */
	acl = ACL({ U_OBJ, 6, 0 }, { G_OBJ, 1, 0 }, { M, 3, 0 }, { O, 4, 0 });
	assert_int_equal(acl_to_mode(acl.bytes, acl.size, &mode), 0);
	assert_int_equal(mode, S_IFDIR | 01634);
}

static void chmod_moves_the_mask_or_the_group(void **state)
{
	struct acl acl =
		ACL({ U_OBJ, 6, 0 }, { U, 7, 5 }, { G_OBJ, 1, 0 }, { M, 3, 0 }, { O, 4, 0 });

	acl_chmod(acl.bytes, acl.size, S_IFREG | 0752);
	assert_int_equal(perm_at(&acl, 0), 7);
	assert_int_equal(perm_at(&acl, 1), 7);
	assert_int_equal(perm_at(&acl, 2), 1);
	assert_int_equal(perm_at(&acl, 3), 5);
	assert_int_equal(perm_at(&acl, 4), 2);
	assert_int_equal(check(acl), 0);

	acl = ACL({ U_OBJ, 6, 0 }, { G_OBJ, 1, 0 }, { O, 4, 0 });
	acl_chmod(acl.bytes, acl.size, 0007);
	assert_int_equal(perm_at(&acl, 0), 0);
	assert_int_equal(perm_at(&acl, 1), 0);
	assert_int_equal(perm_at(&acl, 2), 7);
}

static void creation_gives_what_both_allow(void **state)
{
	struct acl acl =
		ACL({ U_OBJ, 7, 0 }, { U, 7, 5 }, { G_OBJ, 5, 0 }, { M, 7, 0 }, { O, 5, 0 });
	mode_t mode = S_IFREG | 02664;

	assert_int_equal(acl_create(acl.bytes, acl.size, &mode), 0);
	assert_int_equal(mode, S_IFREG | 02664);
	assert_int_equal(perm_at(&acl, 0), 6);
	assert_int_equal(perm_at(&acl, 1), 7);
	assert_int_equal(perm_at(&acl, 2), 5);
	assert_int_equal(perm_at(&acl, 3), 6);
	assert_int_equal(perm_at(&acl, 4), 4);

	acl = ACL({ U_OBJ, 7, 0 }, { G_OBJ, 5, 0 }, { O, 0, 0 });
	mode = S_IFDIR | 0777;
	assert_int_equal(acl_create(acl.bytes, acl.size, &mode), 1);
	assert_int_equal(mode, S_IFDIR | 0750);
	assert_int_equal(perm_at(&acl, 1), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_ones_pass),
		cmocka_unit_test(no_entries_mean_none),
		cmocka_unit_test(cut_and_foreign_ones_are_refused),
		cmocka_unit_test(a_basic_entry_is_never_missing),
		cmocka_unit_test(order_and_doubles_are_refused),
		cmocka_unit_test(named_entries_need_a_mask_and_an_id),
		cmocka_unit_test(tags_and_permissions_are_limited),
		cmocka_unit_test(a_minimal_one_becomes_the_mode),
		cmocka_unit_test(the_mask_is_the_groups_part_of_the_mode),
		cmocka_unit_test(chmod_moves_the_mask_or_the_group),
		cmocka_unit_test(creation_gives_what_both_allow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
