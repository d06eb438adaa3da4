/* SPDX-License-Identifier: MIT */
/* check_names.c - inodes, entries, links, orphans, xattrs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/acl.h"
#include "store/check_i.h"
#include "util/bytes.h"

typedef unsigned long long ull;

struct check_inode *check_find(struct check *c, uint64_t ino)
{
	size_t low = 0, high = c->ninodes;

	/* Most records come in the order of inodes, several to each. */
	for (size_t i = c->last; i < c->last + 2 && i < c->ninodes; i++)
		if (c->inodes[i].ino == ino)
			return &c->inodes[c->last = i];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->inodes[middle].ino == ino)
			return &c->inodes[c->last = middle];
		if (c->inodes[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* ---- inodes ----------------------------------------------------------------------------- */

static int inode_add(struct check *c, const struct check_inode *i)
{
	if (c->ninodes == c->room) {
		size_t room = c->room ? c->room * 2 : 1024;
		struct check_inode *inodes = realloc(c->inodes, room * sizeof(*inodes));

		if (!inodes)
			return -ENOMEM;
		c->inodes = inodes;
		c->room = room;
	}
	c->inodes[c->ninodes++] = *i;
	return 0;
}

static void inode_fields(struct check *c, const struct check_item *at, uint64_t ino,
			 const struct rec_inode *rec)
{
	bool directory = S_ISDIR(rec->mode);

	if (ino == 0)
		check_say(c, at, "there is no inode 0");
	if (ino >= c->super.next_ino)
		check_say(c, at, "not below the next number to give, %llu", (ull)c->super.next_ino);
	if (directory ? !rec->parent : rec->parent != 0)
		check_say(c, at, "parent %llu, but it is %s directory", (ull)rec->parent,
			  directory ? "a" : "no");
	if (S_ISLNK(rec->mode) && (rec->size < 1 || rec->size > ZCF_SYMLINK_MAX))
		check_say(c, at, "size %llu of a symbolic link (1 to %u)", (ull)rec->size,
			  ZCF_SYMLINK_MAX);
	if (rec->size && !directory && !S_ISLNK(rec->mode) && !S_ISREG(rec->mode))
		check_say(c, at, "size %llu, but it is a special file", (ull)rec->size);
	if (rec->pages && !S_ISREG(rec->mode))
		check_say(c, at, "%llu pages, but it is no regular file", (ull)rec->pages);
	c->result.directories += directory;
	c->result.files += S_ISREG(rec->mode);
}

int check_inode_record(struct check *c, const struct check_item *at)
{
	uint64_t ino = zu_get_be64(at->key.data);
	struct check_inode i = { .ino = ino, .state = CHECK_DAMAGED };
	struct rec_inode rec;

	c->result.inodes++;
	if (!at->sealed)
		return inode_add(c, &i);
	if (rec_get_inode(at->val, ino, &rec) < 0) {
		check_say(c, at, "the record has impossible fields");
		return inode_add(c, &i);
	}
	inode_fields(c, at, ino, &rec);
	i.state = 0;
	i.parent = rec.parent;
	i.size = rec.size;
	i.pages = rec.pages;
	i.nlink = rec.nlink;
	i.mode = (uint16_t)rec.mode;
	return inode_add(c, &i);
}

int check_orphan_record(struct check *c, const struct check_item *at)
{
	uint64_t ino = zu_get_be64(at->key.data), nothing;
	struct check_inode *i = check_find(c, ino);

	c->result.orphans++;
	if (rec_get_count(ZCF_DB_ORPHAN, at->key.data, at->key.size, at->val, &nothing) < 0)
		check_say(c, at, "a record of %zu bytes (%zu expected)", at->val.size,
			  sizeof(struct zcf_orphan));
	if (!i) {
		check_say(c, at, "there is no such inode");
		return 0;
	}
	i->state |= CHECK_ORPHAN;
	if (i->nlink && !(i->state & CHECK_DAMAGED))
		check_say(c, at, "the inode has a link count of %u", i->nlink);
	return 0;
}

/* ---- entries ---------------------------------------------------------------------------- */

/* Equal names have equal hashes, so their cookies are near each other. */
static void find_double(struct check *c, const struct check_item *at, uint64_t parent,
			uint64_t cookie, const struct rec_dirent *d)
{
	struct check_recent *r;
	unsigned n;

	if (parent != c->recent_parent)
		c->nrecent = 0;
	c->recent_parent = parent;
	n = MIN(c->nrecent, COOKIE_STEPS);
	for (unsigned k = 1; k <= n; k++) {
		char quoted[CHECK_QUOTED];

		r = &c->recent[(c->nrecent - k) % COOKIE_STEPS];
		if (cookie - r->cookie >= COOKIE_STEPS)
			break;
		if (r->namelen == d->namelen && !memcmp(r->name, d->name, d->namelen))
			check_say(c, at, "the name \"%s\" is in this directory twice",
				  check_quote(d->name, d->namelen, quoted));
	}
	r = &c->recent[c->nrecent++ % COOKIE_STEPS];
	r->cookie = cookie;
	r->namelen = d->namelen;
	memcpy(r->name, d->name, d->namelen);
}

static void count_name(struct check *c, const struct check_item *at, struct check_inode *dir,
		       const struct rec_dirent *d)
{
	struct check_inode *i = check_find(c, d->ino);
	uint64_t parent = zu_get_be64(at->key.data);
	char quoted[CHECK_QUOTED];

	if (!i) {
		check_say(c, at, "\"%s\" names inode %llu, which does not exist",
			  check_quote(d->name, d->namelen, quoted), (ull)d->ino);
		return;
	}
	i->names++;
	if (i->state & CHECK_DAMAGED) {
		if (dir && d->type == S_IFDIR >> 12)
			dir->subdirs++;
		return;
	}
	if (d->type != i->mode >> 12)
		check_say(c, at, "\"%s\" has type %o, but inode %llu has mode %o",
			  check_quote(d->name, d->namelen, quoted), d->type, (ull)d->ino, i->mode);
	if (!S_ISDIR(i->mode))
		return;
	if (dir)
		dir->subdirs++;
	if (i->parent != parent && d->ino != ZCF_ROOT_INO)
		check_say(c, at, "\"%s\" names directory %llu, whose parent is %llu",
			  check_quote(d->name, d->namelen, quoted), (ull)d->ino, (ull)i->parent);
}

int check_dirent_record(struct check *c, const struct check_item *at)
{
	uint64_t parent = zu_get_be64(at->key.data);
	uint64_t cookie = zu_get_be64((const uint8_t *)at->key.data + 8), base;
	struct check_inode *dir = check_find(c, parent);
	struct rec_dirent d;

	c->result.entries++;
	if (!dir)
		check_say(c, at, "there is no such directory");
	if (dir && !(dir->state & CHECK_DAMAGED) && !S_ISDIR(dir->mode)) {
		check_say(c, at, "inode %llu is no directory (mode %o)", (ull)parent, dir->mode);
		dir = NULL;
	}
	if (dir)
		dir->seen++;
	if (rec_get_dirent(at->val, at->key.data, at->key.size, &d) < 0) {
		check_say(c, at, "the record has an impossible name or field");
		return 0;
	}
	base = rec_cookie(c->super.secret, d.name, d.namelen);
	if (cookie - base >= COOKIE_STEPS) {
		char quoted[CHECK_QUOTED];

		check_say(c, at, "not where its name \"%s\" belongs, 0x%llx",
			  check_quote(d.name, d.namelen, quoted), (ull)base);
	}
	find_double(c, at, parent, cookie, &d);
	count_name(c, at, dir, &d);
	return 0;
}

/* ---- xattrs ----------------------------------------------------------------------------- */

static void check_target(struct check *c, const struct check_item *at, struct check_inode *i,
			 const char *value, size_t size)
{
	i->state |= CHECK_TARGET;
	if (!S_ISLNK(i->mode))
		check_say(c, at, "the inode is no symbolic link (mode %o)", i->mode);
	else if (size != i->size)
		check_say(c, at, "%zu bytes, but the inode's size is %llu", size, (ull)i->size);
	if (memchr(value, '\0', size))
		check_say(c, at, "a zero byte in it");
}

static void check_acl(struct check *c, const struct check_item *at, const struct check_inode *i,
		      const char *name, const char *value, size_t size)
{
	bool fallback = !strcmp(name, ACL_DEFAULT);

	if (!fallback && strcmp(name, ACL_ACCESS) != 0)
		return;
	if (acl_check(value, size) != 0)
		check_say(c, at, "not a valid ACL");
	if (fallback && !S_ISDIR(i->mode))
		check_say(c, at, "a default ACL, but the inode is no directory (mode %o)", i->mode);
}

int check_xattr_record(struct check *c, const struct check_item *at)
{
	struct check_inode *i = check_find(c, zu_get_be64(at->key.data));
	const char *value = (const char *)at->val.data + sizeof(struct zcf_xattr);
	size_t size = at->val.size - sizeof(struct zcf_xattr), namelen = at->key.size - 16;
	char name[ZCF_NAME_MAX + 1] = "";

	memcpy(name, (const char *)at->key.data + 8, namelen);
	if (memchr(name, '\0', namelen))
		check_say(c, at, "a zero byte in the name");
	if (size > ZCF_XATTR_MAX)
		check_say(c, at, "a value of %zu bytes (%u at most)", size, ZCF_XATTR_MAX);
	if (!i) {
		check_say(c, at, "there is no such inode");
		return 0;
	}
	if (i->state & CHECK_DAMAGED)
		return 0;
	if (!namelen)
		check_target(c, at, i, value, size);
	else
		check_acl(c, at, i, name, value, size);
	return 0;
}

/* ---- what was counted ------------------------------------------------------------------- */

static const char *entries_text(uint32_t names)
{
	return names == 1 ? "entry names" : "entries name";
}

static void check_directory(struct check *c, const struct check_inode *i)
{
	if (i->size != i->seen)
		check_say(c, NULL, "inode %llu: size %llu, but the directory has %llu entries",
			  (ull)i->ino, (ull)i->size, (ull)i->seen);
	if (i->ino == ZCF_ROOT_INO) {
		if (i->parent != ZCF_ROOT_INO)
			check_say(c, NULL, "inode 1: parent %llu, but it is the root",
				  (ull)i->parent);
		if (i->names)
			check_say(c, NULL, "inode 1: %u %s it, but it is the root", i->names,
				  entries_text(i->names));
	} else if (i->names != (i->nlink ? 1 : 0)) {
		check_say(c, NULL, "inode %llu: link count %u of a directory, but %u %s it",
			  (ull)i->ino, i->nlink, i->names, entries_text(i->names));
	}
	if (!i->nlink && i->seen)
		check_say(c, NULL, "inode %llu: a directory without a name has %llu entries",
			  (ull)i->ino, (ull)i->seen);
	if (i->nlink ? i->nlink != i->subdirs + 2ull : i->ino == ZCF_ROOT_INO)
		check_say(c, NULL,
			  "inode %llu: link count %u, but the directory has %u "
			  "subdirectories (2 more expected)",
			  (ull)i->ino, i->nlink, i->subdirs);
}

static void check_inode(struct check *c, const struct check_inode *i)
{
	if (S_ISDIR(i->mode)) {
		check_directory(c, i);
	} else {
		if (i->nlink != i->names)
			check_say(c, NULL, "inode %llu: link count %u, but %u %s it", (ull)i->ino,
				  i->nlink, i->names, entries_text(i->names));
		if (i->pages != i->seen)
			check_say(c, NULL, "inode %llu: %llu pages, but its map names %llu",
				  (ull)i->ino, (ull)i->pages, (ull)i->seen);
	}
	if (!i->nlink && !(i->state & CHECK_ORPHAN))
		check_say(c, NULL, "inode %llu: link count 0, but it is not among the orphans",
			  (ull)i->ino);
	if (S_ISLNK(i->mode) && !(i->state & CHECK_TARGET))
		check_say(c, NULL, "inode %llu: a symbolic link without a target", (ull)i->ino);
}

/* Go up from a directory until something is known, and note the answer all along the way. */
static void check_way_up(struct check *c, struct check_inode *start)
{
	const uint16_t known = CHECK_REACHED | CHECK_LOST;
	struct check_inode *i = start;
	uint64_t below = start->ino;
	uint16_t answer;

	while (i && S_ISDIR(i->mode) && i->nlink && !(i->state & (known | CHECK_PATH))) {
		i->state |= CHECK_PATH;
		below = i->ino;
		i = check_find(c, i->parent);
	}
	if (i && i->state & (CHECK_REACHED | CHECK_DAMAGED)) {
		answer = CHECK_REACHED; /* damaged: that was said, and what lies above is unknown */
	} else {
		answer = CHECK_LOST;
		if (i && i->state & CHECK_PATH)
			check_say(c, NULL, "inode %llu: the directory is inside itself",
				  (ull)i->ino);
		else if (!i || !(i->state & CHECK_LOST))
			check_say(c, NULL, "inode %llu: its parent is no directory with a name",
				  (ull)below);
	}
	for (i = start; i && i->state & CHECK_PATH; i = check_find(c, i->parent))
		i->state = (uint16_t)((i->state & ~CHECK_PATH) | answer);
}

void check_all_inodes(struct check *c)
{
	struct check_inode *root = check_find(c, ZCF_ROOT_INO);

	if (!root)
		check_say(c, NULL, "inode 1: the root directory is missing");
	else if (!(root->state & CHECK_DAMAGED) && !S_ISDIR(root->mode))
		check_say(c, NULL, "inode 1: the root is no directory (mode %o)", root->mode);
	if (root)
		root->state |= CHECK_REACHED;
	for (size_t n = 0; n < c->ninodes; n++) {
		struct check_inode *i = &c->inodes[n];

		if (i->state & CHECK_DAMAGED)
			continue;
		check_inode(c, i);
		if (S_ISDIR(i->mode) && i->nlink && !(i->state & (CHECK_REACHED | CHECK_LOST)))
			check_way_up(c, i);
	}
	if (c->super.inodes != c->result.inodes)
		check_say(c, NULL, "super record: %llu inodes, but there are %llu",
			  (ull)c->super.inodes, (ull)c->result.inodes);
}
