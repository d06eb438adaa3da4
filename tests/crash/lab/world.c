/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"
#include "world.h"

#pragma weak zc_marker

__attribute__((format(printf, 2, 3), noreturn)) static void die(struct world *w, const char *fmt,
								...)
{
	va_list ap;

	fprintf(stderr, "workload: world %u op %u: ", w->number, w->ops);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(3);
}

uint64_t w_rnd(struct world *w, uint64_t below)
{
	w->state ^= w->state << 13;
	w->state ^= w->state >> 7;
	w->state ^= w->state << 17;
	return below ? (w->state >> 11) % below : 0;
}

static void marker(struct world *w, char kind, const char *text)
{
	char *line;

	if (!zc_marker)
		return;
	if (asprintf(&line, "%c %u\n%s", kind, w->number, text) < 0)
		abort();
	zc_marker(line);
	free(line);
}

/* ---- the model -------------------------------------------------------------------------- */

static void capture(struct world *w, struct wfile *f)
{
	memcpy(f->kept, f->now, w->span);
	f->kept_size = f->size;
	f->kept_mtime = f->mtime;
	f->capture = false;
}

void w_listing(struct world *w, bool now, struct listing *l)
{
	l->length = 0;
	l->text[0] = '\0';
	for (int k = 0; k < WORLD_FILES; k++) {
		struct wname *n = &w->names[k];
		struct wfile *f = &w->files[n->file < 0 ? 0 : n->file];
		struct store_attr a = { .ino = f->ino, .mode = f->mode, .nlink = f->links };
		char path[64];

		if (!n->name[0] || n->file < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", w->dir, n->name);
		a.size = now ? f->size : f->kept_size;
		a.mtime = now ? f->mtime : f->kept_mtime;
		listing_file(l, path, &a, content_hash(now ? f->now : f->kept, a.size));
	}
	listing_sort(l);
}

void w_compare(struct world *w)
{
	struct listing model, real;
	char what[300] = "";

	w_listing(w, true, &model);
	if (listing_of_store(w->s, w->dir, &real, what) < 0)
		die(w, "%s", what);
	if (strcmp(model.text, real.text) != 0)
		die(w, "the store differs from the model:\n--- model\n%s--- store\n%s", model.text,
		    real.text);
}

static void forget_possible(struct world *w)
{
	while (w->npossible)
		free(w->possible[--w->npossible]);
}

/* As if everything but `explicit` data were captured now. */
static void say_possible(struct world *w)
{
	struct wfile saved[WORLD_FILES];
	struct listing l;

	memcpy(saved, w->files, sizeof(saved));
	for (int k = 0; k < WORLD_FILES; k++) {
		struct wfile *f = &w->files[k];

		if (f->used && (!f->is_explicit || f->capture)) {
			f->kept = f->now;
			f->kept_size = f->size;
			f->kept_mtime = f->mtime;
		}
	}
	w_listing(w, false, &l);
	memcpy(w->files, saved, sizeof(saved));
	marker(w, 'L', l.text);
	if (w->npossible == WORLD_POSSIBLE)
		die(w, "too many operations without a commit");
	w->possible[w->npossible++] = strdup(l.text);
}

/* After an operation, and what it did if nobody knows. */
int w_after(struct world *w, int f, int r)
{
	struct wfile *p = f >= 0 ? &w->files[f] : NULL;
	struct store_attr a;

	w->ops++;
	if (r < 0 && !w->may_fail)
		die(w, "unexpected error: %s", strerror(-r));
	if (r < 0)
		w->errors++;
	if (p && p->used) {
		if (store_getattr(w->s, p->ino, &a) < 0)
			die(w, "getattr of %llu failed", (unsigned long long)p->ino);
		if (r < 0) {
			memset(p->now, 0, w->span);
			if (store_pread(w->s, p->ino, p->now, w->span, 0) != (ssize_t)a.size)
				die(w, "a read after an error failed");
			p->size = a.size;
		}
		p->mtime = a.mtime;
	}
	if (w->loose && !w->failed)
		say_possible(w);
	return r;
}

/* ---- worlds ----------------------------------------------------------------------------- */

void w_make_directory(struct store *s, unsigned number)
{
	const struct store_cred cred = { 0 };
	struct store_attr a;
	char name[16];

	snprintf(name, sizeof(name), "w%u", number);
	if (store_mkdir(s, 1, name, 0755, &cred, &a) < 0)
		abort();
	store_forget(s, a.ino, 1);
}

void w_open(struct world *w, struct store *s, unsigned number, uint64_t seed)
{
	struct store_attr a;
	struct store_info info;

	w->s = s;
	w->number = number;
	w->state = seed * 0x9e3779b97f4a7c15ull + 77 + number;
	w->span = w->span ? w->span : 64 << 10;
	snprintf(w->dir, sizeof(w->dir), "w%u", number);
	if (store_lookup(s, 1, w->dir, &a) < 0)
		abort();
	w->dir_ino = a.ino;
	for (int k = 0; k < WORLD_FILES; k++)
		w->names[k].file = -1;
	store_get_info(s, &info);
	w->last_commit = info.commit;
	w->acked = strdup("");
	marker(w, 'B', "");
	marker(w, 'E', "");
}

void w_free(struct world *w)
{
	for (int k = 0; k < WORLD_FILES; k++) {
		free(w->files[k].now);
		free(w->files[k].kept);
	}
	forget_possible(w);
	free(w->acked);
	free(w->flight);
}

struct wname *w_find_name(struct world *w, const char *name, bool make)
{
	struct wname *room = NULL;

	for (int k = 0; k < WORLD_FILES; k++) {
		if (strcmp(w->names[k].name, name) == 0)
			return &w->names[k];
		if (!room && w->names[k].file < 0)
			room = &w->names[k];
	}
	if (make && room) {
		snprintf(room->name, sizeof(room->name), "%s", name);
		return room;
	}
	if (make)
		die(w, "too many names");
	return NULL;
}

static int add_file(struct world *w, const struct store_attr *a, bool is_explicit)
{
	const char *policy = is_explicit ? "explicit" : "auto";

	for (int k = 0; k < WORLD_FILES; k++) {
		struct wfile *f = &w->files[k];
		uint8_t *now = f->now ? f->now : malloc(w->span),
			*kept = f->kept ? f->kept : malloc(w->span);
		uint32_t version = f->version;

		if (f->used)
			continue;
		*f = (struct wfile){ .ino = a->ino,
				     .id = w->number * 100 + (unsigned)k,
				     .version = version,
				     .links = a->nlink,
				     .mode = a->mode,
				     .is_explicit = is_explicit,
				     .used = true,
				     .now = now,
				     .kept = kept,
				     .mtime = a->mtime,
				     .kept_mtime = a->mtime };
		memset(now, 0, w->span);
		memset(kept, 0, w->span);
		if (store_setxattr(w->s, a->ino, STORE_XATTR_POLICY, policy, strlen(policy), 0) <
			    0 &&
		    !w->may_fail)
			die(w, "cannot set the policy");
		return k;
	}
	die(w, "too many files");
}

int w_create(struct world *w, const char *name, bool is_explicit)
{
	const struct store_cred cred = { 0 };
	struct store_attr a;
	int r = store_mknod(w->s, w->dir_ino, name, S_IFREG | 0644, 0, &cred, &a);

	if (r == 0) {
		r = add_file(w, &a, is_explicit);
		w_find_name(w, name, true)->file = r;
	}
	w_after(w, -1, r);
	return r;
}

int w_tmpfile(struct world *w, bool is_explicit)
{
	const struct store_cred cred = { 0 };
	struct store_attr a;
	int r = store_tmpfile(w->s, w->dir_ino, 0644, &cred, &a);

	if (r == 0)
		r = add_file(w, &a, is_explicit);
	w_after(w, -1, r);
	return r;
}

void w_forget(struct world *w, int f)
{
	struct wfile *p = &w->files[f];

	if (p->links)
		die(w, "a file with names was to be forgotten");
	store_forget(w->s, p->ino, 1);
	p->used = false;
	w_after(w, -1, 0);
}

/* ---- data ------------------------------------------------------------------------------- */

int w_write(struct world *w, int f, uint64_t offset, uint64_t length, bool from_pipe)
{
	struct wfile *p = &w->files[f];
	uint8_t *buf = aligned_alloc(4096, (length + 8191) & ~4095ull);
	struct store_source source = { .buf = buf };
	int fds[2] = { -1, -1 };
	ssize_t n;

	if (!buf || offset + length > w->span)
		die(w, "a write to %llu", (unsigned long long)(offset + length));
	content_fill(buf, length, p->id, ++p->version, offset);
	if (from_pipe) {
		if (pipe(fds) < 0 || fcntl(fds[1], F_SETPIPE_SZ, 256 << 10) < 0 ||
		    write(fds[1], buf, length) != (ssize_t)length)
			die(w, "no pipe");
		source = (struct store_source){ .pipe_fd = fds[0] };
	}
	n = store_write(w->s, p->ino, offset, length, &source, 0);
	if (n == (ssize_t)length) {
		memcpy(p->now + offset, buf, length);
		p->size = offset + length > p->size ? offset + length : p->size;
	}
	close(fds[0]);
	close(fds[1]);
	free(buf);
	return w_after(w, f, n < 0 ? (int)n : 0);
}

static int write_ahead(struct world *w, struct wfile *p, const uint64_t *pages, unsigned n,
		       uint8_t *buf)
{
	struct store_attr a = { .size = p->size };
	struct store_ahead *ahead;
	int r = store_ahead_new(w->s, &ahead);

	if (r < 0)
		return r;
	for (unsigned k = 0; k < n && r == 0; k++)
		r = store_ahead_add(ahead, p->ino, pages[k], buf + k * 4096);
	if (r == 0)
		r = store_ahead_write(ahead);
	if (n && (pages[n - 1] + 1) * 4096 > p->size)
		a.size = (pages[n - 1] + 1) * 4096;
	store_hold_begin(w->s);
	if (r == 0)
		r = store_ahead_place(ahead, p->ino, 0);
	if (r == 0 && a.size != p->size)
		r = store_setattr(w->s, p->ino, STORE_SET_SIZE, &a, &a);
	store_hold_end(w->s);
	store_ahead_free(ahead);
	return r;
}

int w_ahead(struct world *w, int f, uint64_t span, unsigned n)
{
	struct wfile *p = &w->files[f];
	uint8_t *buf = aligned_alloc(4096, n * 4096);
	uint64_t pages[64], all = span / 4096;
	unsigned count = 0;
	int r;

	if (!buf || n > 64 || n > all)
		die(w, "%u pages ahead", n);
	p->version++;
	for (uint64_t k = 0; k < all && count < n; k++)
		if (w_rnd(w, all - k) < n - count) {
			content_fill(buf + count * 4096, 4096, p->id, p->version, k * 4096);
			pages[count++] = k;
		}
	r = write_ahead(w, p, pages, count, buf);
	for (unsigned k = 0; k < count && r == 0; k++) {
		memcpy(p->now + pages[k] * 4096, buf + k * 4096, 4096);
		if ((pages[k] + 1) * 4096 > p->size)
			p->size = (pages[k] + 1) * 4096;
	}
	free(buf);
	return w_after(w, f, r);
}

int w_truncate(struct world *w, int f, uint64_t size)
{
	struct wfile *p = &w->files[f];
	struct store_attr a = { .size = size };
	int r = store_setattr(w->s, p->ino, STORE_SET_SIZE, &a, &a);

	if (r == 0) {
		if (size < p->size)
			memset(p->now + size, 0, p->size - size);
		p->size = size;
	}
	return w_after(w, f, r);
}

int w_fallocate(struct world *w, int f, int mode, uint64_t offset, uint64_t length)
{
	struct wfile *p = &w->files[f];
	int r = store_fallocate(w->s, p->ino, mode, offset, length);

	if (r == 0) {
		if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
			memset(p->now + offset, 0, length);
		if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + length > p->size)
			p->size = offset + length;
	}
	return w_after(w, f, r);
}

int w_copy(struct world *w, int f, uint64_t from, int g, uint64_t to, uint64_t length)
{
	struct wfile *p = &w->files[f], *q = &w->files[g];
	ssize_t n;

	length = from >= p->size ? 0 : from + length > p->size ? p->size - from : length;
	n = store_copy_range(w->s, p->ino, from, q->ino, to, length);
	if (n >= 0 && n != (ssize_t)length)
		die(w, "copied %zd of %llu", n, (unsigned long long)length);
	if (n > 0) {
		memmove(q->now + to, p->now + from, length);
		q->size = to + length > q->size ? to + length : q->size;
	}
	return w_after(w, g, n < 0 ? (int)n : 0);
}

int w_utimes(struct world *w, int f, time_t seconds)
{
	struct store_attr a = { .mtime = { .tv_sec = seconds, .tv_nsec = 5 } };

	return w_after(w, f, store_setattr(w->s, w->files[f].ino, STORE_SET_MTIME, &a, &a));
}

int w_rollback(struct world *w, int f)
{
	struct wfile *p = &w->files[f];
	struct store_attr a;
	int r = store_rollback(w->s, p->ino, &a);

	if (r == 0) {
		memcpy(p->now, p->kept, w->span);
		p->size = p->kept_size;
		w_after(w, f, 0);
		if (p->mtime.tv_sec != p->kept_mtime.tv_sec ||
		    p->mtime.tv_nsec != p->kept_mtime.tv_nsec)
			die(w, "a rollback did not restore mtime");
		return 0;
	}
	return w_after(w, f, r);
}

/* ---- commits ---------------------------------------------------------------------------- */

static void begin(struct world *w, const int *files, size_t n, unsigned flags)
{
	struct store_info info;
	struct listing l;

	store_get_info(w->s, &info);
	if (w->alone && !w->loose && !w->may_fail && info.commit != w->last_commit)
		die(w, "the engine committed on its own: the workload needs more room");
	for (size_t k = 0; k < n; k++)
		capture(w, &w->files[files[k]]);
	for (int k = 0; k < WORLD_FILES; k++) {
		struct wfile *f = &w->files[k];

		if (f->used && (f->capture || (flags & STORE_COMMIT_EVERYTHING) ||
				((flags & STORE_COMMIT_ALL) && !f->is_explicit)))
			capture(w, f);
	}
	w_listing(w, false, &l);
	free(w->flight);
	w->flight = strdup(l.text);
	marker(w, 'B', l.text);
}

static void end(struct world *w, int r)
{
	if (r < 0) {
		w->failed = true;
		return;
	}
	free(w->acked);
	w->acked = w->flight;
	w->flight = NULL;
	forget_possible(w);
	marker(w, 'E', "");
}

int w_commit(struct world *w, const int *files, size_t n, unsigned flags)
{
	uint64_t inos[WORLD_FILES];
	struct store_info info;
	int r;

	for (size_t k = 0; k < n; k++)
		inos[k] = w->files[files[k]].ino;
	if (!w->failed)
		begin(w, files, n, flags);
	r = store_commit(w->s, inos, n, flags);
	if (!w->failed)
		end(w, r);
	else if (r == 0)
		die(w, "a commit after a failed one succeeded");
	store_get_info(w->s, &info);
	w->last_commit = info.commit;
	w->ops++;
	if (r < 0 && !w->may_fail)
		die(w, "a commit failed: %s", strerror(-r));
	w->errors += r < 0;
	return r;
}

int w_close(struct world *w)
{
	int r;

	if (!w->failed)
		begin(w, NULL, 0, STORE_COMMIT_EVERYTHING);
	r = store_close(w->s);
	w->s = NULL;
	if (!w->failed)
		end(w, r);
	return r;
}
