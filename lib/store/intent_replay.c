/* SPDX-License-Identifier: MIT */
/*
 * Opening a store after a crash: the commits in the intent log are done again, in memory; the commit
 * that follows puts them into LMDB. (On a store that is opened read-only they stay in memory.)
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/bytes.h"
#include "util/cleanup.h"

/* What is left of a record. */
struct reader {
	struct store *s;
	const uint8_t *at, *end; /* entries */
	const uint8_t *pages, *stop;
};

static const void *next(struct reader *r, size_t size)
{
	const void *p = r->at;

	if ((size_t)(r->end - r->at) < size)
		return NULL;
	r->at += size;
	return p;
}

static bool get_span(struct reader *r, unsigned *ret_first, unsigned *ret_end)
{
	const struct zcf_log_span *span = next(r, sizeof(*span));

	if (!span)
		return false;
	*ret_first = zu_get_le16(span->first);
	*ret_end = *ret_first + zu_get_le16(span->count);
	return *ret_end <= ZCF_CHUNK_PAGES && *ret_first < *ret_end;
}

static int do_pages(struct reader *r, struct inode *i, uint64_t first, uint64_t end)
{
	for (uint64_t n = first; n < end; n++) {
		int e = r->stop - r->pages < (ptrdiff_t)PAGE
				? -EBADMSG
				: page_change(r->s, i, n, 0, PAGE, r->pages);

		if (e < 0)
			return e;
		r->pages += PAGE;
		if (r->s->nbuffers * PAGE >= BUFFER_LIMIT && !r->s->read_only)
			e = buffer_flush(r->s, true);
		if (e < 0)
			return e;
	}
	return 0;
}

static bool get_place(struct reader *r, unsigned *ret_first, uint64_t *ret_page,
		      unsigned *ret_count)
{
	const struct zcf_log_place *place = next(r, sizeof(*place));

	if (!place)
		return false;
	*ret_first = zu_get_le16(place->first);
	*ret_count = zu_get_le16(place->count);
	*ret_page = zu_get_le64(place->page);
	return *ret_count && *ret_first + *ret_count <= ZCF_CHUNK_PAGES;
}

/* They were claimed before. */
static int do_place(struct reader *r, struct inode *i, uint64_t index)
{
	unsigned first, count;
	struct chunk *c;
	uint64_t page;
	int e = get_place(r, &first, &page, &count) ? 0 : -EBADMSG;

	if (e == 0)
		e = chunk_change(r->s, i, index, &c);
	if (e == 0)
		e = chunk_set(r->s, i, c, first, count, page, BIRTH_PENDING, RUN_FRESH);
	return e;
}

static void skip_padding(struct reader *r)
{
	if ((r->at - r->end) % 8)
		next(r, (size_t)(r->end - r->at) % 8);
}

static int do_chunk(struct reader *r, struct inode *i)
{
	const struct zcf_log_chunk *head = next(r, sizeof(*head));
	uint64_t index = head ? zu_get_le64(head->index) : UINT64_MAX;
	unsigned holes, spans, places, first, end;
	int e = 0;

	if (!head || index >= (uint64_t)ZCF_SIZE_MAX / CHUNK_BYTES + 1)
		return -EBADMSG;
	holes = zu_get_le16(head->holes);
	spans = zu_get_le16(head->spans);
	places = zu_get_le16(head->places);
	while (holes-- && e == 0)
		e = get_span(r, &first, &end)
			    ? pages_punch(r->s, i, index * ZCF_CHUNK_PAGES + first,
					  index * ZCF_CHUNK_PAGES + end)
			    : -EBADMSG;
	while (e == 0 && spans--)
		e = get_span(r, &first, &end) ? do_pages(r, i, index * ZCF_CHUNK_PAGES + first,
							 index * ZCF_CHUNK_PAGES + end)
					      : -EBADMSG;
	while (e == 0 && places--)
		e = do_place(r, i, index);
	skip_padding(r);
	return e;
}

static struct timespec from_rec(struct rec_time t)
{
	return (struct timespec){ .tv_sec = t.sec, .tv_nsec = t.nsec };
}

static void set_inode(struct store *s, struct inode *i, const struct rec_inode *rec)
{
	i->mode = rec->mode;
	i->uid = rec->uid;
	i->gid = rec->gid;
	i->flags = rec->flags;
	i->atime = from_rec(rec->atime);
	i->btime = from_rec(rec->btime);
	i->ctime = from_rec(rec->ctime);
	i->now.size = rec->size;
	i->now.mtime = from_rec(rec->mtime);
	i->now.ctime = i->ctime;
	inode_dirty(s, i);
	inode_data_dirty(s, i);
}

static int do_file(struct reader *r)
{
	const struct zcf_log_file *head = next(r, sizeof(*head));
	uint64_t ino = head ? zu_get_le64(head->ino) : 0, cut;
	struct rec_inode rec;
	struct inode *i;
	int e = head ? inode_get(r->s, ino, &i) : -EBADMSG;

	if (e == 0)
		e = rec_get_inode((struct kv_val){ (void *)&head->inode, sizeof(head->inode) }, ino,
				  &rec);
	if (e == 0 && ((rec.mode & S_IFMT) != (i->mode & S_IFMT) || rec.nlink != i->nlink))
		e = -EBADMSG;
	if (e < 0)
		return e;
	cut = zu_get_le64(head->cut);
	if (cut != UINT64_MAX)
		e = cut > (uint64_t)ZCF_SIZE_MAX / CHUNK_BYTES + 1
			    ? -EBADMSG
			    : data_cut(r->s, i, cut * ZCF_CHUNK_PAGES);
	for (uint32_t n = zu_get_le32(head->chunks); n && e == 0; n--)
		e = S_ISREG(i->mode) ? do_chunk(r, i) : -EBADMSG;
	if (e == 0 && S_ISREG(i->mode) && i->now.pages != rec.pages)
		e = -EBADMSG;
	set_inode(r->s, i, &rec);
	return e;
}

static struct reader read_record(struct store *s, const struct intent_record *rec)
{
	return (struct reader){
		.s = s,
		.at = rec->at + sizeof(struct zcf_log_record),
		.end = rec->at + rec->entries,
		.pages = rec->at + PAGE_UP(rec->entries),
		.stop = rec->at + rec->length,
	};
}

static int do_record(struct store *s, const struct intent_record *rec)
{
	struct reader r = read_record(s, rec);
	int e = 0;

	for (uint32_t n = 0; n < rec->files && e == 0; n++)
		e = do_file(&r);
	return e;
}

static int chunk_places(struct reader *r, intent_place_fn *fn, void *arg)
{
	const struct zcf_log_chunk *head = next(r, sizeof(*head));
	unsigned places = head ? zu_get_le16(head->places) : 0, first, count;
	uint64_t page;
	int e = 0;

	if (!head || !next(r, (zu_get_le16(head->holes) + zu_get_le16(head->spans)) *
				      sizeof(struct zcf_log_span)))
		return -EBADMSG;
	while (places-- && e == 0)
		e = get_place(r, &first, &page, &count) ? fn(arg, page, count) : -EBADMSG;
	skip_padding(r);
	return e;
}

int intent_each_place(const struct intent_record *rec, intent_place_fn *fn, void *arg)
{
	struct reader r = read_record(NULL, rec);
	int e = 0;

	for (uint32_t n = 0; n < rec->files && e == 0; n++) {
		const struct zcf_log_file *head = next(&r, sizeof(*head));

		if (!head)
			return -EBADMSG;
		for (uint32_t k = zu_get_le32(head->chunks); k && e == 0; k--)
			e = chunk_places(&r, fn, arg);
	}
	return e;
}

static int claim(void *arg, uint64_t page, uint64_t count)
{
	return alloc_claim(arg, page, count);
}

/* All pages that any record names, before the first of them takes new ones. */
static int claim_record(struct store *s, const struct intent_record *rec)
{
	return intent_each_place(rec, claim, s);
}

typedef int record_fn(struct store *s, const struct intent_record *rec);

/* How many records there are is said also after an error. */
static int each_record(struct store *s, int fd, record_fn *fn, uint64_t *ret_pos, uint64_t *ret_n)
{
	zu_cleanup_free uint8_t *buf = NULL;
	struct intent_record rec;
	size_t room = 0;
	int r;

	*ret_pos = *ret_n = 0;
	while ((r = intent_read(fd, &s->super, *ret_pos, *ret_n, &buf, &room, &rec)) > 0) {
		r = fn(s, &rec);
		if (r < 0)
			break;
		*ret_pos += rec.length;
		++*ret_n;
	}
	return r;
}

int intent_replay(struct store *s, struct zu_err *err)
{
	zu_cleanup_close int fd = intent_open(s->dir_fd);
	uint64_t pos, n;
	int r;

	if (fd < 0)
		return fd == -ENOENT
			       ? 0
			       : zu_err_set(err, -fd, "store %s: cannot open its file log: %s",
					    s->path,
					    fd == -EINVAL ? "not a regular file" : strerror(-fd));
	store_lock(s);
	r = each_record(s, fd, claim_record, &pos, &n);
	if (r == 0)
		r = each_record(s, fd, do_record, &pos, &n);
	store_unlock(s);
	if (r == 0 && intent_goes_on(fd, &s->super, pos, n))
		return zu_err_set(
			err, EBADMSG,
			"store %s: commit %llu of its intent log is damaged, and later ones "
			"are there; restore it from a backup",
			s->path, (unsigned long long)n);
	if (r < 0)
		return zu_err_set(err, r == -EIO ? EBADMSG : -r,
				  "store %s: cannot do commit %llu of its intent log again: %s%s",
				  s->path, (unsigned long long)n, strerror(-r),
				  r == -ENOSPC ? "; make room on the disk, then open it again"
					       : "; restore it from a backup");
	if (n)
		store_log(s, STORE_LOG_INFO, "store %s: %llu commits taken from its intent log",
			  s->path, (unsigned long long)n);
	return n > 0;
}
