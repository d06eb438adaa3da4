/* SPDX-License-Identifier: MIT */
/* record.c - see record.h; the layout is abi/zc_format.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <isa-l/crc.h>
#include <sodium.h>

#include "store/record.h"
#include "util/bytes.h"

#define SEAL_VERSION 1u
#define CRC_SIZE sizeof(((struct zcf_seal *)0)->crc)

/* ---- keys ------------------------------------------------------------------------------- */

static size_t key_u64(uint8_t *key, size_t at, uint64_t value)
{
	zu_put_be64(key + at, value);
	return at + 8;
}

size_t key_inode(uint8_t *key, uint64_t ino)
{
	return key_u64(key, key_u64(key, 0, ino), ~EPOCH_LIVE);
}

size_t key_dirent(uint8_t *key, uint64_t parent, uint64_t cookie)
{
	return key_u64(key, key_u64(key, key_u64(key, 0, parent), cookie), ~EPOCH_LIVE);
}

size_t key_xattr(uint8_t *key, uint64_t ino, const char *name, size_t namelen)
{
	size_t at = key_u64(key, 0, ino);

	if (namelen)
		memcpy(key + at, name, namelen);
	return key_u64(key, at + namelen, ~EPOCH_LIVE);
}

size_t key_map(uint8_t *key, uint64_t ino, uint64_t chunk)
{
	return key_u64(key, key_u64(key, key_u64(key, 0, ino), chunk), ~EPOCH_LIVE);
}

size_t key_free(uint8_t *key, uint32_t region, uint64_t page)
{
	zu_put_be32(key, region);
	return key_u64(key, 4, page);
}

size_t key_page(uint8_t *key, uint64_t page)
{
	return key_u64(key, 0, page);
}

size_t key_orphan(uint8_t *key, uint64_t ino)
{
	return key_u64(key, 0, ino);
}

/* ---- seals ------------------------------------------------------------------------------ */

/* The library does not invert, neither before nor after: pieces can be chained. */
static uint32_t crc_more(uint32_t crc, const void *data, size_t size)
{
	return crc32_iscsi((unsigned char *)data, (int)size, crc);
}

static uint32_t seal_crc(enum zcf_db db, const void *key, size_t keylen, const void *value,
			 size_t size)
{
	uint8_t number = (uint8_t)db;
	uint32_t crc = crc_more(UINT32_MAX, &number, 1);

	crc = crc_more(crc, key, keylen);
	return ~crc_more(crc, (const uint8_t *)value + CRC_SIZE, size - CRC_SIZE);
}

void rec_seal(enum zcf_db db, const void *key, size_t keylen, void *value, size_t size,
	      uint64_t commit)
{
	struct zcf_seal *seal = value;

	zu_put_le16(seal->version, SEAL_VERSION);
	zu_put_le16(seal->length, (uint16_t)size);
	zu_put_le64(seal->commit, commit);
	zu_put_le32(seal->crc, seal_crc(db, key, keylen, value, size));
}

int rec_verify(enum zcf_db db, const void *key, size_t keylen, struct kv_val value, size_t least)
{
	const struct zcf_seal *seal = value.data;

	if (value.size < sizeof(*seal) || value.size < least || value.size > INT32_MAX)
		return -EIO;
	if (zu_get_le16(seal->version) != SEAL_VERSION ||
	    zu_get_le16(seal->length) != (uint16_t)value.size)
		return -EIO;
	if (zu_get_le32(seal->crc) != seal_crc(db, key, keylen, value.data, value.size))
		return -EIO;
	return 0;
}

uint64_t rec_commit(struct kv_val value)
{
	const struct zcf_seal *seal = value.data;

	return zu_get_le64(seal->commit);
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* ---- inodes ----------------------------------------------------------------------------- */

static bool type_is_known(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) ||
	       S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

static void put_time(struct zcf_time *out, const struct rec_time *in)
{
	zu_put_le64(out->sec, (uint64_t)in->sec);
	zu_put_le32(out->nsec, in->nsec);
}

static bool get_time(const struct zcf_time *in, struct rec_time *out)
{
	out->sec = (int64_t)zu_get_le64(in->sec);
	out->nsec = zu_get_le32(in->nsec);
	return out->nsec < 1000000000u;
}

void rec_put_inode(struct zcf_inode *out, const struct rec_inode *in, uint64_t ino, uint64_t commit)
{
	uint8_t key[KEY_MAX];

	memset(out, 0, sizeof(*out));
	zu_put_le32(out->mode, in->mode);
	zu_put_le32(out->uid, in->uid);
	zu_put_le32(out->gid, in->gid);
	zu_put_le32(out->nlink, in->nlink);
	zu_put_le64(out->size, in->size);
	zu_put_le64(out->pages, in->pages);
	zu_put_le64(out->rdev, in->rdev);
	zu_put_le64(out->parent, in->parent);
	zu_put_le32(out->flags, in->flags);
	zu_put_le32(out->generation, in->generation);
	put_time(&out->atime, &in->atime);
	put_time(&out->mtime, &in->mtime);
	put_time(&out->ctime, &in->ctime);
	put_time(&out->btime, &in->btime);
	rec_seal(ZCF_DB_INODE, key, key_inode(key, ino), out, sizeof(*out), commit);
}

int rec_get_inode(struct kv_val value, uint64_t ino, struct rec_inode *ret_inode)
{
	const struct zcf_inode *in = value.data;
	struct rec_inode out;
	uint8_t key[KEY_MAX];
	bool times;

	if (value.size != sizeof(*in) ||
	    rec_verify(ZCF_DB_INODE, key, key_inode(key, ino), value, sizeof(*in)) < 0)
		return -EIO;
	out = (struct rec_inode){
		.mode = zu_get_le32(in->mode),
		.uid = zu_get_le32(in->uid),
		.gid = zu_get_le32(in->gid),
		.nlink = zu_get_le32(in->nlink),
		.size = zu_get_le64(in->size),
		.pages = zu_get_le64(in->pages),
		.rdev = zu_get_le64(in->rdev),
		.parent = zu_get_le64(in->parent),
		.flags = zu_get_le32(in->flags),
		.generation = zu_get_le32(in->generation),
	};
	times = get_time(&in->atime, &out.atime) && get_time(&in->mtime, &out.mtime) &&
		get_time(&in->ctime, &out.ctime) && get_time(&in->btime, &out.btime);
	if (!times || !type_is_known(out.mode) || out.mode & ~(uint32_t)(S_IFMT | 07777) ||
	    out.size > (uint64_t)ZCF_SIZE_MAX || out.flags & ~ZCF_INODE_FLAGS ||
	    !all_zero(in->reserved, sizeof(in->reserved)))
		return -EIO;
	*ret_inode = out;
	return 0;
}

/* ---- names ------------------------------------------------------------------------------ */

size_t rec_put_dirent(void *out, uint64_t parent, uint64_t cookie, uint64_t ino, uint8_t type,
		      const char *name, size_t namelen, uint64_t commit)
{
	struct zcf_dirent *d = out;
	uint8_t key[KEY_MAX];
	size_t size = sizeof(*d) + namelen;

	memset(d, 0, sizeof(*d));
	zu_put_le64(d->ino, ino);
	d->type = type;
	d->namelen = (uint8_t)namelen;
	memcpy(d + 1, name, namelen);
	rec_seal(ZCF_DB_DIRENT, key, key_dirent(key, parent, cookie), out, size, commit);
	return size;
}

static bool name_is_valid(const char *name, size_t namelen)
{
	if (namelen == 0 || memchr(name, '/', namelen) || memchr(name, '\0', namelen))
		return false;
	return !(name[0] == '.' && (namelen == 1 || (namelen == 2 && name[1] == '.')));
}

int rec_get_dirent(struct kv_val value, const void *key, size_t keylen,
		   struct rec_dirent *ret_dirent)
{
	const struct zcf_dirent *d = value.data;
	struct rec_dirent out;

	if (keylen != sizeof(struct zcf_key_dirent) ||
	    rec_verify(ZCF_DB_DIRENT, key, keylen, value, sizeof(*d) + 1) < 0)
		return -EIO;
	out = (struct rec_dirent){
		.ino = zu_get_le64(d->ino),
		.type = d->type,
		.namelen = d->namelen,
		.name = (const char *)(d + 1),
	};
	if (value.size != sizeof(*d) + out.namelen || !name_is_valid(out.name, out.namelen) ||
	    out.ino == 0 || out.type > 15 || !type_is_known((mode_t)out.type << 12) ||
	    !all_zero(d->reserved, sizeof(d->reserved)))
		return -EIO;
	*ret_dirent = out;
	return 0;
}

uint64_t rec_cookie(const uint8_t secret[16], const char *name, size_t namelen)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t cookie;

	static_assert(crypto_shorthash_KEYBYTES == 16 && sizeof(hash) == 8, "SipHash-2-4");
	crypto_shorthash(hash, (const unsigned char *)name, namelen, secret);
	cookie = zu_get_le64(hash) & INT64_MAX;
	/* Room for the steps, at both ends: a cookie is an off_t, small ones are "." and "..". */
	if (cookie < 16)
		cookie += 16;
	if (cookie > INT64_MAX - COOKIE_STEPS)
		cookie -= COOKIE_STEPS;
	return cookie;
}

/* ---- pages of files --------------------------------------------------------------------- */

static bool runs_touch(const struct run *a, const struct run *b)
{
	return a->first + a->count == b->first && a->page + a->count == b->page &&
	       a->birth == b->birth && a->flags == b->flags;
}

static void put_run(struct zcf_run *out, const struct run *in)
{
	zu_put_le64(out->page, in->page);
	zu_put_le64(out->birth, in->birth);
	zu_put_le16(out->first, in->first);
	zu_put_le16(out->count, in->count);
	zu_put_le32(out->flags, in->flags);
}

size_t rec_put_map(void *out, uint64_t ino, uint64_t chunk, const struct run *runs, unsigned count,
		   uint64_t commit)
{
	struct zcf_run *disk = (struct zcf_run *)((struct zcf_map *)out + 1);
	struct run last = { .count = 0 };
	uint8_t key[KEY_MAX];
	unsigned n = 0;
	size_t size;

	for (unsigned i = 0; i < count; i++) {
		struct run next = runs[i];

		if (next.birth == BIRTH_PENDING)
			next.birth = commit;
		next.flags &= RUN_UNWRITTEN;
		if (n && runs_touch(&last, &next)) {
			last.count = (uint16_t)(last.count + next.count);
		} else {
			last = next;
			n++;
		}
		put_run(&disk[n - 1], &last);
	}
	size = sizeof(struct zcf_map) + n * sizeof(*disk);
	rec_seal(ZCF_DB_MAP, key, key_map(key, ino, chunk), out, size, commit);
	return size;
}

static bool get_run(const struct zcf_run *in, uint64_t commit, uint64_t pages, unsigned from,
		    struct run *out)
{
	uint32_t flags = zu_get_le32(in->flags);

	*out = (struct run){
		.page = zu_get_le64(in->page),
		.birth = zu_get_le64(in->birth),
		.first = zu_get_le16(in->first),
		.count = zu_get_le16(in->count),
		.flags = (uint8_t)(flags & ZCF_RUN_UNWRITTEN),
	};
	return out->first >= from && out->count >= 1 && out->count <= ZCF_CHUNK_PAGES &&
	       out->first + out->count <= (int)ZCF_CHUNK_PAGES && out->page < pages &&
	       out->count <= pages - out->page && out->birth <= commit &&
	       !(flags & ~ZCF_RUN_UNWRITTEN);
}

int rec_get_map(struct kv_val value, uint64_t ino, uint64_t chunk, uint64_t pages,
		struct run *ret_runs)
{
	const struct zcf_run *disk;
	struct run runs[ZCF_CHUNK_PAGES];
	uint8_t key[KEY_MAX];
	unsigned from = 0;
	size_t n;

	if (rec_verify(ZCF_DB_MAP, key, key_map(key, ino, chunk), value,
		       sizeof(struct zcf_map) + sizeof(*disk)) < 0)
		return -EIO;
	n = (value.size - sizeof(struct zcf_map)) / sizeof(*disk);
	if (n > ZCF_CHUNK_PAGES || value.size != sizeof(struct zcf_map) + n * sizeof(*disk))
		return -EIO;
	disk = (const struct zcf_run *)((const struct zcf_map *)value.data + 1);
	for (size_t i = 0; i < n; i++) {
		if (!get_run(&disk[i], rec_commit(value), pages, from, &runs[i]))
			return -EIO;
		from = runs[i].first + runs[i].count;
	}
	memcpy(ret_runs, runs, n * sizeof(*runs));
	return (int)n;
}

/* ---- counts ----------------------------------------------------------------------------- */

void rec_put_count(enum zcf_db db, const void *key, size_t keylen, struct zcf_free *out,
		   uint64_t count, uint64_t commit)
{
	if (db == ZCF_DB_ORPHAN) {
		rec_seal(db, key, keylen, out, sizeof(struct zcf_orphan), commit);
		return;
	}
	zu_put_le64(out->count, count);
	rec_seal(db, key, keylen, out, sizeof(*out), commit);
}

static bool count_is_valid(enum zcf_db db, const uint8_t *key, size_t keylen, uint64_t count)
{
	if (db == ZCF_DB_REF)
		return keylen == sizeof(struct zcf_key_page) && count >= 2;
	if (keylen != sizeof(struct zcf_key_free) || count > ZCF_REGION_PAGES)
		return false;
	return count > 0 || zu_get_be64(key + 4) == ZCF_FREE_SUMMARY;
}

int rec_get_count(enum zcf_db db, const void *key, size_t keylen, struct kv_val value,
		  uint64_t *ret_count)
{
	static_assert(sizeof(struct zcf_free) == sizeof(struct zcf_ref), "one decoder for both");
	const struct zcf_free *in = value.data;
	size_t size = db == ZCF_DB_ORPHAN ? sizeof(struct zcf_orphan) : sizeof(*in);
	uint64_t count = 0;

	if (value.size != size || rec_verify(db, key, keylen, value, size) < 0)
		return -EIO;
	if (db == ZCF_DB_ORPHAN) {
		if (keylen != sizeof(struct zcf_key_orphan))
			return -EIO;
	} else {
		count = zu_get_le64(in->count);
		if (!count_is_valid(db, key, keylen, count))
			return -EIO;
	}
	*ret_count = count;
	return 0;
}

/* ---- the super record ------------------------------------------------------------------- */

void rec_put_super(struct zcf_super *out, const struct rec_super *in)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->uuid, in->uuid, sizeof(out->uuid));
	memcpy(out->secret, in->secret, sizeof(out->secret));
	zu_put_le64(out->incompat, in->incompat);
	zu_put_le64(out->ro_compat, in->ro_compat);
	zu_put_le64(out->compat, in->compat);
	zu_put_le64(out->commit, in->commit);
	zu_put_le64(out->next_ino, in->next_ino);
	zu_put_le64(out->epoch, in->epoch);
	zu_put_le64(out->pages, in->pages);
	zu_put_le64(out->free_pages, in->free_pages);
	zu_put_le64(out->limit_pages, in->limit_pages);
	zu_put_le64(out->inodes, in->inodes);
	rec_seal(ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), out, sizeof(*out), in->commit);
}

int rec_get_super(struct kv_val value, struct rec_super *ret_super)
{
	const struct zcf_super *in = value.data;
	struct rec_super out;

	if (value.size != sizeof(*in) ||
	    rec_verify(ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), value, sizeof(*in)) < 0)
		return -EIO;
	out = (struct rec_super){
		.incompat = zu_get_le64(in->incompat),
		.ro_compat = zu_get_le64(in->ro_compat),
		.compat = zu_get_le64(in->compat),
		.commit = zu_get_le64(in->commit),
		.next_ino = zu_get_le64(in->next_ino),
		.epoch = zu_get_le64(in->epoch),
		.pages = zu_get_le64(in->pages),
		.free_pages = zu_get_le64(in->free_pages),
		.limit_pages = zu_get_le64(in->limit_pages),
		.inodes = zu_get_le64(in->inodes),
	};
	memcpy(out.uuid, in->uuid, sizeof(out.uuid));
	memcpy(out.secret, in->secret, sizeof(out.secret));
	/* A newer format is for the caller to refuse by its feature bits, not damage. */
	if (!(out.incompat & ~ZCF_INCOMPAT_KNOWN) &&
	    (!all_zero(in->reserved, sizeof(in->reserved)) || out.epoch != EPOCH_LIVE ||
	     out.next_ino <= ZCF_ROOT_INO || out.free_pages > out.pages ||
	     out.pages > (uint64_t)INT64_MAX / ZCF_PAGE_SIZE))
		return -EIO;
	*ret_super = out;
	return 0;
}
