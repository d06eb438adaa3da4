/* SPDX-License-Identifier: MIT */
/*
 * check.c - is a store sound? Opens it read-only, walks the databases and compares; check_i.h says
 * who does what.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/check_i.h"
#include "util/cleanup.h"

#define PROGRESS_STEP 1024u
#define LMDB_KEY_MAX 511u

/* ---- walking ---------------------------------------------------------------------------- */

struct kind {
	size_t key_least, key_most;
	bool epoch; /* the key ends in one */
	int (*record)(struct check *c, const struct check_item *at);
};

static const struct kind kinds[ZCF_DB_COUNT] = {
	[ZCF_DB_INODE] = { 16, 16, true, check_inode_record },
	[ZCF_DB_DIRENT] = { 24, 24, true, check_dirent_record },
	[ZCF_DB_XATTR] = { 16, 16 + ZCF_NAME_MAX, true, check_xattr_record },
	[ZCF_DB_MAP] = { 24, 24, true, check_map_record },
	[ZCF_DB_FREE] = { 12, 12, false, check_free_record },
	[ZCF_DB_REF] = { 8, 8, false, check_ref_record },
	[ZCF_DB_ORPHAN] = { 8, 8, false, check_orphan_record },
};

static void progress(struct check *c, enum zcf_db db, bool last)
{
	if (c->options->progress && (last || c->done % PROGRESS_STEP == 0))
		c->options->progress(c->options->arg, check_db_name(db), c->done, c->total);
}

static int one_record(struct check *c, struct check_item *at)
{
	static const uint8_t live[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct kind *k = &kinds[at->db];

	if (at->key.size < k->key_least || at->key.size > k->key_most) {
		check_say(c, NULL, "database %s: a key of %zu bytes (%zu to %zu)",
			  check_db_name(at->db), at->key.size, k->key_least, k->key_most);
		return 0;
	}
	if (k->epoch && memcmp((const uint8_t *)at->key.data + at->key.size - 8, live, 8) != 0) {
		check_say(c, at, "a record of an epoch that does not exist");
		return 0;
	}
	at->sealed = rec_verify(at->db, at->key.data, at->key.size, at->val, 0) == 0;
	if (!at->sealed) {
		check_say(c, at, "the record is damaged: its seal does not hold");
		return at->db == ZCF_DB_INODE ? k->record(c, at) : 0;
	}
	if (rec_commit(at->val) > c->super.commit)
		check_say(c, at, "written by commit %llu, but the last one is %llu",
			  (unsigned long long)rec_commit(at->val),
			  (unsigned long long)c->super.commit);
	return k->record(c, at);
}

/* Keys that go up: the tree of pages is one, and the walk ends. */
static bool ascends(uint8_t *before, size_t *size, struct kv_val key)
{
	size_t both = MIN(*size, key.size);
	int order = both ? memcmp(before, key.data, both) : 0;

	if (key.size > LMDB_KEY_MAX || order > 0 || (order == 0 && *size && *size >= key.size))
		return false;
	memcpy(before, key.data, key.size);
	*size = key.size;
	return true;
}

static int walk(struct check *c, enum zcf_db db)
{
	struct check_item at = { .db = db };
	uint8_t before[LMDB_KEY_MAX];
	size_t before_size = 0;
	uint64_t count = 0, seen = 0;
	struct kv_cursor *cursor;
	int r = kv_count(c->txn, db, &count), fatal = 0;

	if (r == 0)
		r = kv_cursor_open(c->txn, db, &cursor);
	if (r == 0) {
		r = kv_first(cursor, &at.key, &at.val);
		for (; r == 0 && fatal == 0; r = kv_next(cursor, &at.key, &at.val)) {
			if (!ascends(before, &before_size, at.key)) {
				r = -EIO;
				break;
			}
			fatal = one_record(c, &at);
			seen++;
			c->done++;
			progress(c, db, false);
		}
		kv_cursor_close(cursor);
	}
	if (fatal < 0)
		return fatal;
	if (r != -ENOENT)
		check_say(c, NULL, "database %s: damaged, cannot read on: %s", check_db_name(db),
			  strerror(-r));
	else if (seen != count)
		check_say(c, NULL, "database %s: %llu records, but it says %llu", check_db_name(db),
			  (unsigned long long)seen, (unsigned long long)count);
	progress(c, db, true);
	return 0;
}

/* Databases that nothing uses yet. */
static void check_empty(struct check *c, enum zcf_db db, uint64_t expected)
{
	uint64_t count = 0;
	int r = kv_count(c->txn, db, &count);

	if (r < 0)
		check_say(c, NULL, "database %s: damaged, cannot read it: %s", check_db_name(db),
			  strerror(-r));
	else if (count != expected)
		check_say(c, NULL, "database %s: %llu records (%llu expected)", check_db_name(db),
			  (unsigned long long)count, (unsigned long long)expected);
}

static void count_records(struct check *c)
{
	for (unsigned db = 0; db < ZCF_DB_COUNT; db++) {
		uint64_t count = 0;

		if (kinds[db].record && kv_count(c->txn, db, &count) == 0)
			c->total += count;
	}
}

static int check_records(struct check *c)
{
	/* Inodes before all that names them, reference counts before the maps. */
	static const enum zcf_db order[] = {
		ZCF_DB_INODE, ZCF_DB_ORPHAN, ZCF_DB_DIRENT, ZCF_DB_XATTR,
		ZCF_DB_FREE,  ZCF_DB_REF,    ZCF_DB_MAP,
	};
	int r = check_pages_begin(c);

	count_records(c);
	for (size_t n = 0; n < sizeof(order) / sizeof(*order) && r == 0; n++) {
		r = walk(c, order[n]);
		if (r == 0 && order[n] == ZCF_DB_FREE)
			check_free_end(c);
	}
	if (r < 0)
		return r;
	check_all_inodes(c);
	check_all_pages(c);
	check_empty(c, ZCF_DB_META, 1);
	if (c->super.ro_compat & ZCF_RO_COMPAT_CHECKSUM)
		check_sums(c);
	else
		check_empty(c, ZCF_DB_SUM, 0);
	check_empty(c, ZCF_DB_DEAD, 0);
	check_empty(c, ZCF_DB_SNAPSHOT, 0);
	return 0;
}

/* ---- the files of the store ------------------------------------------------------------- */

/* Damage that keeps the store from being opened is what was found; anything else is a failure of
 * the check. */
static int finding_or_error(struct check *c, int r, struct zu_err *err)
{
	if (r != -EBADMSG)
		return r;
	check_say(c, NULL, "%s", err->text);
	*err = (struct zu_err){ 0 };
	return 0;
}

static void check_page_file(struct check *c, int dir_fd)
{
	struct stat st;

	if (fstatat(dir_fd, "pages", &st, AT_SYMLINK_NOFOLLOW) < 0)
		check_say(c, NULL, "file pages: %s", errno == ENOENT ? "missing" : strerror(errno));
	else if (!S_ISREG(st.st_mode))
		check_say(c, NULL, "file pages: not a regular file");
	else if ((uint64_t)st.st_size / PAGE < c->super.pages)
		check_say(c, NULL, "file pages: cut short, %llu bytes (%llu pages of %u expected)",
			  (unsigned long long)st.st_size, (unsigned long long)c->super.pages, PAGE);
}

static int check_place(void *arg, uint64_t page, uint64_t count)
{
	struct check *c = arg;

	if (!check_pages_take(c, page, count))
		check_say(c, NULL,
			  "file log: commit %llu names %s, not free, not there, or named before",
			  (unsigned long long)c->result.logged, check_pages_text(page, count).text);
	return 0;
}

/* Commits that the next mount takes from the intent log. A last record that is not whole is no finding: a
 * power cut may leave any part of it. */
static int check_log(struct check *c, int dir_fd, struct zu_err *err)
{
	zu_cleanup_close int fd = intent_open(dir_fd);
	zu_cleanup_free uint8_t *buf = NULL;
	struct intent_record rec;
	uint64_t pos = 0;
	size_t room = 0;
	int r;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0) {
		check_say(c, NULL, "file log: %s",
			  fd == -EINVAL ? "not a regular file" : strerror(-fd));
		return 0;
	}
	while ((r = intent_read(fd, &c->super, pos, c->result.logged, &buf, &room, &rec)) > 0) {
		if (c->free && intent_each_place(&rec, check_place, c) < 0)
			check_say(c, NULL, "file log: commit %llu is not well-formed",
				  (unsigned long long)c->result.logged);
		pos += rec.length;
		c->result.logged++;
	}
	if (r == 0 && intent_goes_on(fd, &c->super, pos, c->result.logged))
		check_say(c, NULL, "file log: commit %llu is damaged, and later ones are there",
			  (unsigned long long)c->result.logged);
	return r < 0 ? zu_err_set(err, -r, "store %s: cannot read its file log: %s", c->path,
				  strerror(-r))
		     : 0;
}

static int no_features(struct check *c, struct zu_err *err)
{
	uint64_t unknown = c->super.ro_compat & ~ZCF_RO_COMPAT_KNOWN;
	int r = format_features(c->path, &c->super, true, err);

	if (r == 0 && unknown)
		r = zu_err_set(err, EPROTONOSUPPORT,
			       "store %s: it has features this zcfs cannot check (ro_compat "
			       "0x%llx); use a newer zcfs",
			       c->path, (unsigned long long)unknown);
	return r;
}

static int check_metadata(struct check *c, int dir_fd, const uint8_t uuid[16], struct zu_err *err)
{
	struct kv_val val;
	int r = kv_get(c->txn, ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &val);

	if (r == 0)
		r = rec_get_super(val, &c->super);
	if (r < 0) {
		check_say(c, NULL, "super record: %s",
			  r == -ENOENT ? "missing" : "damaged: nothing else can be checked");
		return 0;
	}
	r = no_features(c, err);
	if (r < 0)
		return r;
	if (memcmp(uuid, c->super.uuid, sizeof(c->super.uuid)) != 0)
		check_say(c, NULL, "file format: its uuid is not the one of the metadata");
	check_page_file(c, dir_fd);
	r = check_records(c);
	if (r < 0)
		return zu_err_set(err, -r, "store %s: cannot check it: %s", c->path, strerror(-r));
	return check_log(c, dir_fd, err);
}

static int open_and_check(struct check *c, int dir_fd, const uint8_t uuid[16], struct zu_err *err)
{
	zu_cleanup_free char *meta = NULL;
	struct kv *kv;
	int r;

	if (asprintf(&meta, "%s/meta", c->path) < 0) {
		meta = NULL;
		return zu_err_set(err, ENOMEM, "store %s: out of memory", c->path);
	}
	r = kv_open(meta, KV_READ, &kv, err);
	if (r < 0)
		return finding_or_error(c, r, err);
	r = kv_begin(kv, false, &c->txn);
	if (r < 0) {
		r = zu_err_set(err, -r, "metadata %s: cannot read it: %s", meta, strerror(-r));
	} else {
		r = check_metadata(c, dir_fd, uuid, err);
		kv_abort(c->txn);
	}
	kv_close(kv);
	return r;
}

static int check_store(struct check *c, struct zu_err *err)
{
	zu_cleanup_close int dir_fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	zu_cleanup_close int lock_fd = -1;
	struct zu_err own = { 0 };
	uint8_t uuid[16];
	int r;

	/* Its text may become a finding, so that there must be one. */
	err = err ? err : &own;
	if (dir_fd < 0)
		return zu_err_set(err, errno, "store %s: cannot open it: %s", c->path,
				  strerror(errno));
	r = format_read(dir_fd, c->path, uuid, err);
	if (r < 0)
		return finding_or_error(c, r, err);
	r = format_lock(c->path, dir_fd, true, 0, NULL, &lock_fd, err);
	if (r < 0)
		return r;
	return open_and_check(c, dir_fd, uuid, err);
}

int store_check(const char *path, const struct store_check_options *options,
		struct store_check_result *ret_result, struct zu_err *err)
{
	static const struct store_check_options none;
	struct check c = { .options = options ? options : &none, .path = path };
	int r = check_store(&c, err);

	free(c.inodes);
	free(c.free);
	free(c.used);
	free(c.refs);
	if (r < 0)
		return r;
	*ret_result = c.result;
	return 0;
}
