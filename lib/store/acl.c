/* SPDX-License-Identifier: MIT */
/*
 * acl.c - see acl.h. The rules are those of POSIX.1e draft 17, as Linux follows them: the order
 * of the entries is owner, named users (by id), group, named groups (by id), mask, other.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/acl.h"
#include "util/bytes.h"

#define VERSION 2u
#define RWX 7u

/* Tags, in the order in which they must come. */
#define USER_OBJ 0x01u
#define USER 0x02u
#define GROUP_OBJ 0x04u
#define GROUP 0x08u
#define MASK 0x10u
#define OTHER 0x20u

struct header {
	uint8_t version[4];
};

struct entry {
	uint8_t tag[2], perm[2], id[4];
};

/* The entries that mode bits speak of; NULL: there is none. */
struct basic {
	struct entry *owner, *group, *mask, *other;
	bool named;
};

static size_t entry_count(size_t size)
{
	return (size - sizeof(struct header)) / sizeof(struct entry);
}

static struct entry *entries(void *acl)
{
	return (struct entry *)((struct header *)acl + 1);
}

static unsigned perm_of(const struct entry *e)
{
	return zu_get_le16(e->perm);
}

static bool is_named(unsigned tag)
{
	return tag == USER || tag == GROUP;
}

static bool tag_is_known(unsigned tag)
{
	return tag && !(tag & (tag - 1)) && tag <= OTHER;
}

/* Like the kernel, any order and repetition among the named users, and among the groups. */
static bool in_order(unsigned before, unsigned tag)
{
	return before < tag || (before == tag && is_named(tag));
}

int acl_check(const void *acl, size_t size)
{
	const struct entry *e = (const struct entry *)((const struct header *)acl + 1);
	unsigned seen = 0;
	size_t n;

	if (size < sizeof(struct header))
		return -EINVAL;
	if (zu_get_le32(acl) != VERSION)
		return -EOPNOTSUPP;
	n = entry_count(size);
	if (size != sizeof(struct header) + n * sizeof(*e))
		return -EINVAL;
	if (n == 0)
		return 1;
	for (size_t i = 0; i < n; i++) {
		unsigned tag = zu_get_le16(e[i].tag);

		if (!tag_is_known(tag) || perm_of(&e[i]) & ~RWX)
			return -EINVAL;
		if (is_named(tag) && zu_get_le32(e[i].id) == UINT32_MAX)
			return -EINVAL;
		if (i && !in_order(zu_get_le16(e[i - 1].tag), tag))
			return -EINVAL;
		seen |= tag;
	}
	if ((seen & (USER_OBJ | GROUP_OBJ | OTHER)) != (USER_OBJ | GROUP_OBJ | OTHER))
		return -EINVAL;
	return seen & (USER | GROUP) && !(seen & MASK) ? -EINVAL : 0;
}

/* False: not all of the three basic ones are there. */
static bool find_basic(void *acl, size_t size, struct basic *ret)
{
	struct entry *e = entries(acl);
	size_t n;

	*ret = (struct basic){ 0 };
	if (size < sizeof(struct header))
		return false;
	n = entry_count(size);
	for (size_t i = 0; i < n; i++) {
		switch (zu_get_le16(e[i].tag)) {
		case USER_OBJ:
			ret->owner = &e[i];
			break;
		case GROUP_OBJ:
			ret->group = &e[i];
			break;
		case MASK:
			ret->mask = &e[i];
			break;
		case OTHER:
			ret->other = &e[i];
			break;
		default:
			ret->named = true;
		}
	}
	return ret->owner && ret->group && ret->other;
}

/* The mode's group bits are the mask where there is one. */
static struct entry *group_class(const struct basic *b)
{
	return b->mask ? b->mask : b->group;
}

static int says_it_all(const struct basic *b)
{
	return b->named || b->mask ? 0 : 1;
}

int acl_to_mode(const void *acl, size_t size, mode_t *mode)
{
	struct basic b;

	if (!find_basic((void *)acl, size, &b))
		return 1;
	*mode = (*mode & ~(mode_t)0777) | perm_of(b.owner) << 6 | perm_of(group_class(&b)) << 3 |
		perm_of(b.other);
	return says_it_all(&b);
}

void acl_chmod(void *acl, size_t size, mode_t mode)
{
	struct basic b;

	if (!find_basic(acl, size, &b))
		return;
	zu_put_le16(b.owner->perm, mode >> 6 & RWX);
	zu_put_le16(group_class(&b)->perm, mode >> 3 & RWX);
	zu_put_le16(b.other->perm, mode & RWX);
}

static unsigned restrict_entry(struct entry *e, unsigned bits)
{
	unsigned both = perm_of(e) & bits;

	zu_put_le16(e->perm, (uint16_t)both);
	return both;
}

int acl_create(void *acl, size_t size, mode_t *mode)
{
	struct basic b;
	mode_t bits;

	if (!find_basic(acl, size, &b))
		return 1;
	bits = restrict_entry(b.owner, *mode >> 6 & RWX) << 6;
	bits |= restrict_entry(group_class(&b), *mode >> 3 & RWX) << 3;
	bits |= restrict_entry(b.other, *mode & RWX);
	*mode = (*mode & ~(mode_t)0777) | bits;
	return says_it_all(&b);
}
