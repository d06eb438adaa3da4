/* SPDX-License-Identifier: MIT */
/*
 * Scrub: read every page of the last commit and compare it with its checksum. Works on a store in
 * use: the lock is held to look up one chunk, and the pages that are read are kept from reuse as for
 * any read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_i.h"
#include "util/bytes.h"
#include "util/cleanup.h"

#define FINDINGS_MOST 1000u
#define PATH_ROOM 4096u

struct bad {
	uint64_t ino, page, count; /* pages of the file */
	int error;		   /* 0: checksum */
};

struct scrub {
	struct store *s;
	const struct store_scrub_options *options;
	struct store_scrub_result *result;
	struct bad *bad;
	size_t nbad;
};

/* What a chunk of the last commit holds. */
struct piece {
	uint64_t ino, index;
	struct run runs[ZCF_CHUNK_PAGES];
	uint32_t sums[ZCF_CHUNK_PAGES];
	int count;
	unsigned epoch;
};

/* The first chunk at or after (ino, index), and its pages kept from reuse. -ENOENT at the end. */
static int piece_next(struct store *s, uint64_t ino, uint64_t index, struct piece *p)
{
	LOCKED(s);
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint8_t key[KEY_MAX];
	int r = kv_cursor_open(s->rtxn, ZCF_DB_MAP, &cursor);

	if (r < 0)
		return r;
	r = kv_seek(cursor, key, key_map(key, ino, index), &k, &v);
	if (r == 0 && k.size != sizeof(struct zcf_key_map))
		r = -EIO;
	if (r == 0) {
		p->ino = zu_get_be64(k.data);
		p->index = zu_get_be64((const uint8_t *)k.data + 8);
		p->count = rec_get_map(v, p->ino, p->index, s->super.pages, p->runs);
		r = p->count < 0 ? p->count : 0;
	}
	if (r == 0 && s->checksum)
		r = sums_load(s->rtxn, p->ino, p->index, p->sums);
	kv_cursor_close(cursor);
	if (r == 0) {
		p->epoch = s->epoch & 1;
		s->readers[p->epoch]++;
	}
	return r;
}

static void piece_done(struct store *s, const struct piece *p)
{
	LOCKED(s);

	s->readers[p->epoch]--;
}

static int found(struct scrub *b, uint64_t ino, uint64_t page, int error)
{
	struct bad *last = b->nbad ? &b->bad[b->nbad - 1] : NULL;

	b->result->damaged_pages++;
	if (last && last->ino == ino && last->error == error && last->page + last->count == page) {
		last->count++;
		return 0;
	}
	if (b->nbad == FINDINGS_MOST)
		return 0;
	if (!b->bad && !(b->bad = calloc(FINDINGS_MOST, sizeof(*b->bad))))
		return -ENOMEM;
	b->bad[b->nbad++] = (struct bad){ ino, page, 1, error };
	return 0;
}

static int verify_run(struct scrub *b, const struct piece *p, const struct run *run, uint8_t *buf)
{
	int whole = pagefile_read(b->s, run->page, buf, (size_t)run->count * PAGE), r = 0;

	for (unsigned n = 0; n < run->count && r == 0; n++) {
		uint64_t page = p->index * ZCF_CHUNK_PAGES + run->first + n;
		int e = 0;

		if (whole < 0) /* which of them cannot be read? */
			e = pagefile_read(b->s, run->page + n, buf + (size_t)n * PAGE, PAGE);
		if (e < 0)
			r = found(b, p->ino, page, e);
		else if (b->s->checksum &&
			 sum_page(buf + (size_t)n * PAGE) != p->sums[run->first + n])
			r = found(b, p->ino, page, 0);
		b->result->pages++;
	}
	return r;
}

/* ---- names -------------------------------------------------------------------------------- */

/* The entry that names `ino`, in directory `dir` or (0) anywhere. */
static int entry_of(struct store *s, uint64_t dir, uint64_t ino, uint64_t *ret_dir, char *name)
{
	struct rec_dirent d;
	struct kv_cursor *cursor;
	struct kv_val k, v;
	uint8_t key[KEY_MAX];
	int r = kv_cursor_open(s->rtxn, ZCF_DB_DIRENT, &cursor);

	if (r < 0)
		return r;
	for (r = kv_seek(cursor, key, key_dirent(key, dir, 0), &k, &v); r == 0;
	     r = kv_next(cursor, &k, &v)) {
		if (k.size != sizeof(struct zcf_key_dirent) ||
		    (dir && zu_get_be64(k.data) != dir)) {
			r = -ENOENT;
			break;
		}
		if (rec_get_dirent(v, k.data, k.size, &d) == 0 && d.ino == ino) {
			*ret_dir = zu_get_be64(k.data);
			memcpy(name, d.name, d.namelen);
			name[d.namelen] = 0;
			break;
		}
	}
	kv_cursor_close(cursor);
	return r;
}

static int parent_of(struct store *s, uint64_t ino, uint64_t *ret_parent)
{
	uint8_t key[KEY_MAX];
	struct rec_inode rec;
	struct kv_val v;
	int r = kv_get(s->rtxn, ZCF_DB_INODE, key, key_inode(key, ino), &v);

	if (r == 0)
		r = rec_get_inode(v, ino, &rec);
	if (r == 0)
		*ret_parent = rec.parent;
	return r;
}

/* A path of the inode, built from its end; "(unnamed)" where there is none. */
static void path_of(struct store *s, uint64_t ino, char path[PATH_ROOM])
{
	LOCKED(s);
	char text[PATH_ROOM], name[ZCF_NAME_MAX + 1];
	size_t at = sizeof(text) - 1;
	uint64_t dir = 0;

	text[at] = 0;
	if (entry_of(s, 0, ino, &dir, name) < 0) {
		strcpy(path, "(unnamed)");
		return;
	}
	for (unsigned depth = 0; depth < PATH_ROOM / 2; depth++) {
		size_t len = strlen(name);

		if (at < len + 1)
			break;
		at -= len;
		memcpy(text + at, name, len);
		text[--at] = '/';
		ino = dir;
		if (ino == ZCF_ROOT_INO || parent_of(s, ino, &dir) < 0 ||
		    entry_of(s, dir, ino, &dir, name) < 0)
			break;
	}
	strcpy(path, text + at);
}

static void report(struct scrub *b)
{
	char path[PATH_ROOM], text[PATH_ROOM + 200];
	uint64_t last = 0;

	for (size_t n = 0; n < b->nbad; n++) {
		const struct bad *bad = &b->bad[n];

		if (bad->ino != last) {
			path_of(b->s, bad->ino, path);
			b->result->damaged_files++;
		}
		last = bad->ino;
		snprintf(text, sizeof(text), "%s: inode %llu, bytes %llu to %llu: %s", path,
			 (unsigned long long)bad->ino, (unsigned long long)bad->page * PAGE,
			 ((unsigned long long)bad->page + bad->count) * PAGE - 1,
			 bad->error ? strerror(-bad->error) : "damaged (checksum)");
		if (b->options->finding)
			b->options->finding(b->options->arg, text);
	}
}

int store_scrub(struct store *s, const struct store_scrub_options *options,
		struct store_scrub_result *ret_result)
{
	zu_cleanup_free uint8_t *buf = aligned_alloc(PAGE, CHUNK_BYTES);
	zu_cleanup_free struct piece *p = malloc(sizeof(*p));
	struct store_scrub_result result = { .checksums = s->checksum };
	struct scrub b = { .s = s, .options = options, .result = &result };
	uint64_t ino = options->from_ino, index = options->from_chunk;
	int r = buf && p ? 0 : -ENOMEM;

	store_lock(s);
	result.total = s->super.pages - s->super.free_pages;
	store_unlock(s);
	while (r == 0 && (r = piece_next(s, ino, index, p)) == 0) {
		for (int n = 0; n < p->count && r == 0; n++)
			if (!(p->runs[n].flags & RUN_UNWRITTEN))
				r = verify_run(&b, p, &p->runs[n], buf);
		piece_done(s, p);
		ino = p->ino;
		index = p->index + 1;
		if (r == 0 && options->progress && !options->progress(options->arg, result.pages)) {
			result.next_ino = ino;
			result.next_chunk = index;
			break;
		}
	}
	if (r == -ENOENT)
		r = 0;
	report(&b);
	free(b.bad);
	*ret_result = result;
	return r;
}
