/* SPDX-License-Identifier: MIT */
/* Random numbers, the log of the last operations, and how a difference is told. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { KEEP = 30, LINE = 400 };

static char last[KEEP][LINE];
static uint64_t state;

void rng_seed(uint64_t seed)
{
	/* Through the generator once: neighbouring seeds must not give the same stream, shifted. */
	state = seed ^ 0x5851f42d4c957f2dull;
	state = rng() ^ (seed << 32);
}

uint64_t rng(void) /* splitmix64 */
{
	uint64_t z = (state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

unsigned below(unsigned n)
{
	return (unsigned)(rng() % n);
}

bool chance(unsigned percent)
{
	return below(100) < percent;
}

void fill_random(uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v = rng();

		memcpy(p, &v, 8);
	}
	for (; n; n--)
		*p++ = (uint8_t)rng();
}

/* Into a line: paths without the directory of the run, long names as L*3 by their last letters. */
static void shorten(char *out, const char *in)
{
	size_t skip = strlen(W.dir), n = 0;

	while (*in && n < LINE - 8) {
		size_t run = strspn(in, "L");

		if (!strncmp(in, W.dir, skip)) {
			in += skip;
			out[n++] = '@';
		} else if (run > 200) {
			in += run;
			out[n++] = 'L';
			out[n++] = '*';
		} else {
			out[n++] = *in == '\n' ? '?' : *in;
			in++;
		}
	}
	out[n] = 0;
}

void note(const char *fmt, ...)
{
	char *line = last[W.noted % KEEP], text[3 * PATH_CAP];
	int n = snprintf(line, LINE, "%8llu  ", (unsigned long long)W.op);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	shorten(text, text);
	snprintf(line + n, (size_t)(LINE - n), "%.300s", text);
	if (W.trace)
		fprintf(stderr, "%s\n", line);
	W.noted++;
}

/* An argument as a shell takes it. */
static void put_quoted(const char *arg)
{
	if (!strpbrk(arg, " \t'\"$&;|<>()")) {
		fprintf(stderr, " %s", arg);
		return;
	}
	fprintf(stderr, " '");
	for (; *arg; arg++)
		fprintf(stderr, *arg == '\'' ? "'\\''" : "%c", *arg);
	fprintf(stderr, "'");
}

void differ(const char *fmt, ...)
{
	uint64_t from = W.noted > KEEP ? W.noted - KEEP : 0;
	char text[3 * PATH_CAP];
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "model: seed %llu: operation %llu differs from the reference:\n  ",
		(unsigned long long)W.seed, (unsigned long long)W.op);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	shorten(text, text);
	fprintf(stderr,
		"%s\nthe last operations (@ is the directory), the failing one at the end:\n",
		text);
	for (uint64_t i = from; i < W.noted; i++)
		fprintf(stderr, "%s\n", last[i % KEEP]);
	fprintf(stderr, "replay, in an empty directory:");
	for (char **a = W.argv; *a; a++)
		put_quoted(*a);
	fprintf(stderr, "\n");
	exit(1);
}

void expect(long rc, int want, const char *what)
{
	int err = rc < 0 ? errno : 0;

	if (err == want)
		return;
	differ("%s: got %s, want %s", what, err ? strerrorname_np(err) : "success",
	       want ? strerrorname_np(want) : "success");
}
