/* SPDX-License-Identifier: MIT */
/* check_text.c - findings, one line each: the object, then what is wrong with it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/check_i.h"
#include "util/bytes.h"

#define SHOWN 100u
#define DESCRIBED (CHECK_QUOTED + 64)

const char *check_db_name(enum zcf_db db)
{
	static const char *const names[ZCF_DB_COUNT] = {
		[ZCF_DB_META] = "meta",		[ZCF_DB_INODE] = "inode",
		[ZCF_DB_DIRENT] = "dirent",	[ZCF_DB_XATTR] = "xattr",
		[ZCF_DB_MAP] = "map",		[ZCF_DB_SUM] = "sum",
		[ZCF_DB_FREE] = "free",		[ZCF_DB_REF] = "ref",
		[ZCF_DB_DEAD] = "dead",		[ZCF_DB_ORPHAN] = "orphan",
		[ZCF_DB_SNAPSHOT] = "snapshot",
	};

	return names[db];
}

const char *check_quote(const char *name, size_t namelen, char text[CHECK_QUOTED])
{
	char *out = text;

	for (size_t i = 0; i < namelen && i < ZCF_NAME_MAX; i++) {
		unsigned char b = (unsigned char)name[i];

		if (b < 0x20 || b == 0x7f || b == '\\')
			out += sprintf(out, "\\x%02x", b);
		else
			*out++ = (char)b;
	}
	*out = '\0';
	return text;
}

struct check_range check_pages_text(uint64_t page, uint64_t count)
{
	struct check_range range;

	if (count == 1)
		snprintf(range.text, sizeof(range.text), "store page %llu",
			 (unsigned long long)page);
	else
		snprintf(range.text, sizeof(range.text), "store pages %llu to %llu",
			 (unsigned long long)page, (unsigned long long)(page + count - 1));
	return range;
}

static unsigned long long number(const struct check_item *at, size_t offset)
{
	return zu_get_be64((const uint8_t *)at->key.data + offset);
}

static void describe_xattr(const struct check_item *at, char text[DESCRIBED])
{
	char quoted[CHECK_QUOTED];
	size_t namelen = at->key.size - 16;

	if (namelen)
		snprintf(text, DESCRIBED, "inode %llu, xattr %s", number(at, 0),
			 check_quote((const char *)at->key.data + 8, namelen, quoted));
	else
		snprintf(text, DESCRIBED, "inode %llu, target of the symbolic link", number(at, 0));
}

/* The key has the size that its database wants. */
static void describe(const struct check_item *at, char text[DESCRIBED])
{
	switch (at->db) {
	case ZCF_DB_META:
		snprintf(text, DESCRIBED, "super record");
		break;
	case ZCF_DB_INODE:
		snprintf(text, DESCRIBED, "inode %llu", number(at, 0));
		break;
	case ZCF_DB_DIRENT:
		snprintf(text, DESCRIBED, "directory %llu, entry 0x%llx", number(at, 0),
			 number(at, 8));
		break;
	case ZCF_DB_XATTR:
		describe_xattr(at, text);
		break;
	case ZCF_DB_MAP:
		snprintf(text, DESCRIBED, "inode %llu, chunk %llu", number(at, 0), number(at, 8));
		break;
	case ZCF_DB_FREE:
		if (number(at, 4) == ZCF_FREE_SUMMARY)
			snprintf(text, DESCRIBED, "free map, summary of region %u",
				 zu_get_be32(at->key.data));
		else
			snprintf(text, DESCRIBED, "free map, region %u, run at store page %llu",
				 zu_get_be32(at->key.data), number(at, 4));
		break;
	case ZCF_DB_REF:
		snprintf(text, DESCRIBED, "reference count of store page %llu", number(at, 0));
		break;
	case ZCF_DB_ORPHAN:
		snprintf(text, DESCRIBED, "orphan %llu", number(at, 0));
		break;
	default:
		snprintf(text, DESCRIBED, "database %s", check_db_name(at->db));
	}
}

void check_say(struct check *c, const struct check_item *at, const char *fmt, ...)
{
	char text[DESCRIBED + 1600];
	size_t used = 0;
	va_list ap;

	if (c->result.findings++ >= SHOWN || !c->options->finding)
		return;
	if (at) {
		describe(at, text);
		used = strlen(text);
		used += (size_t)snprintf(text + used, sizeof(text) - used, ": ");
	}
	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	c->options->finding(c->options->arg, text);
}
