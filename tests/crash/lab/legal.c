/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "legal.h"
#include "listing.h"

#define WHY 1000

/* ---- markers ---------------------------------------------------------------------------- */

void legal_marker(struct legal *l, const struct event *e)
{
	const char *p = (const char *)e->data, *end = p + e->length;
	unsigned w = e->length > 2 ? (unsigned)(p[2] - '0') : LEGAL_WORLDS;
	const char *nl = memchr(p, '\n', e->length);
	struct text t = { nl ? nl + 1 : end, 0 };

	if (p[0] == 'W')
		return;
	if (w >= LEGAL_WORLDS) {
		fprintf(stderr, "replay: a marker that nobody understands: %.*s\n", (int)e->length,
			p);
		exit(2);
	}
	t.length = (size_t)(end - t.text);
	if (w >= l->nworlds)
		l->nworlds = w + 1;
	l->number++;
	switch (p[0]) {
	case 'B':
		l->worlds[w].flight = t;
		l->worlds[w].in_flight = true;
		break;
	case 'E':
		l->worlds[w].acked = l->worlds[w].flight;
		l->worlds[w].in_flight = false;
		l->worlds[w].nloose = 0;
		break;
	default:
		if (l->worlds[w].nloose == LEGAL_LOOSE) {
			fprintf(stderr, "replay: too many states without a commit\n");
			exit(2);
		}
		l->worlds[w].loose[l->worlds[w].nloose++] = t;
	}
}

void legal_look_ahead(struct legal *l, const struct log *log, size_t n)
{
	for (unsigned w = 0; w < l->nworlds; w++) {
		l->worlds[w].has_next = false;
		for (size_t k = n; k < log->nevents; k++) {
			const struct event *e = &log->events[k];
			const char *p = (const char *)e->data, *nl;

			if (e->type != REC_MARKER || (unsigned)(p[2] - '0') != w)
				continue;
			nl = memchr(p, '\n', e->length);
			l->worlds[w].has_next = p[0] == 'L' && nl;
			if (l->worlds[w].has_next)
				l->worlds[w].next =
					(struct text){ nl + 1, (size_t)(p + e->length - nl - 1) };
			break;
		}
	}
}

/* ---- one image -------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int bad(char why[WHY], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY, fmt, ap);
	va_end(ap);
	return 1;
}

static void finding(void *arg, const char *text)
{
	char *why = arg;

	if (!why[0])
		snprintf(why, WHY, "check: %s", text);
}

static int sound(const char *dir, char why[WHY])
{
	const struct store_check_options o = { .finding = finding, .arg = why };
	struct store_check_result result = { 0 };
	struct zu_err err = { 0 };

	why[0] = '\0';
	if (store_check(dir, &o, &result, &err) < 0)
		return bad(why, "check failed: %s", err.text);
	return result.findings ? 1 : 0;
}

static bool same(struct text t, const struct listing *l)
{
	return t.length == l->length && memcmp(t.text, l->text, t.length) == 0;
}

static void show(const char *title, struct text t)
{
	fprintf(stderr, "--- %s\n%.*s", title, (int)t.length, t.text);
}

static int world_is_legal(const struct legal *l, unsigned w, struct store *s, char why[WHY],
			  bool explain)
{
	struct listing real;
	char what[300] = "", name[16];

	snprintf(name, sizeof(name), "w%u", w);
	if (listing_of_store(s, name, &real, what) < 0)
		return bad(why, "world %u: %s", w, what);
	if (same(l->worlds[w].acked, &real))
		return 0;
	if (l->worlds[w].in_flight && same(l->worlds[w].flight, &real))
		return 0;
	if (l->worlds[w].has_next && same(l->worlds[w].next, &real))
		return 0;
	for (unsigned k = 0; k < l->worlds[w].nloose; k++)
		if (same(l->worlds[w].loose[k], &real))
			return 0;
	if (explain) {
		show("acknowledged", l->worlds[w].acked);
		if (l->worlds[w].in_flight)
			show("in flight", l->worlds[w].flight);
		for (unsigned k = 0; k < l->worlds[w].nloose; k++)
			show("possible", l->worlds[w].loose[k]);
		if (l->worlds[w].has_next)
			show("in progress", l->worlds[w].next);
		show("the image has", (struct text){ real.text, real.length });
		listing_explain(s, name);
	}
	return bad(why, "world %u is not in a legal state", w);
}

static void logged(void *arg, int level, const char *text)
{
	if (level <= STORE_LOG_ERROR)
		fprintf(stderr, "store: %s\n", text);
}

int legal_check(const struct legal *l, const char *dir, char why[WHY], bool explain)
{
	const struct store_options o = { .read_only = true, .log = logged };
	struct zu_err err = { 0 };
	struct store *s;
	int r = sound(dir, why);

	if (r && !explain)
		return r;
	if (store_open(dir, &o, &s, &err) < 0)
		return r ? r : bad(why, "it does not open: %s", err.text);
	for (unsigned w = 0; w < l->nworlds && (r == 0 || explain); w++) {
		char other[WHY];

		r |= world_is_legal(l, w, s, r ? other : why, explain);
	}
	store_close(s);
	return r;
}

static int use(struct store *s, char why[WHY])
{
	static const uint8_t bytes[20000] = "after the crash";
	const struct store_source source = { .buf = bytes };
	const struct store_cred cred = { 0 };
	struct store_attr a;
	int r = store_mknod(s, 1, "new", S_IFREG | 0644, 0, &cred, &a);

	if (r == 0) {
		ssize_t n = store_write(s, a.ino, 0, sizeof(bytes), &source, 0);

		r = n == -ENOSPC ? 0 : n < 0 ? (int)n : store_commit(s, &a.ino, 1, 0);
	}
	return r == 0 || r == -ENOSPC ? 0 : bad(why, "it cannot be used: %s", strerror(-r));
}

int legal_recover(const struct legal *l, const char *dir, char why[WHY])
{
	const struct store_options o = { .log = logged };
	struct zu_err err = { 0 };
	struct store *s;
	int r = 0;

	if (store_open(dir, &o, &s, &err) < 0)
		return bad(why, "it does not open for writing: %s", err.text);
	for (unsigned w = 0; w < l->nworlds && r == 0; w++)
		r = world_is_legal(l, w, s, why, false);
	if (r == 0)
		r = use(s, why);
	if (store_close(s) < 0 && r == 0)
		r = bad(why, "closing it failed");
	if (r == 0)
		r = legal_check(l, dir, why, false);
	return r;
}
