/* SPDX-License-Identifier: MIT */
#include "variant.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define ALL_SUBSETS 6u
#define MOST_OF_A_KIND 16u

static uint64_t rnd(struct variants *v, uint64_t below)
{
	v->state ^= v->state << 13;
	v->state ^= v->state >> 7;
	v->state ^= v->state << 17;
	return below ? (v->state >> 11) % below : 0;
}

void variants_begin(struct variants *v, struct image *i, uint64_t cut, unsigned random)
{
	unsigned n = (unsigned)i->npending;

	*v = (struct variants){ .image = i, .cut = cut };
	if (n <= ALL_SUBSETS) {
		v->subsets = 1u << n;
	} else {
		v->subsets = 2; /* none, all */
		v->prefixes = MIN(n - 1, MOST_OF_A_KIND);
		v->without = MIN(n, MOST_OF_A_KIND);
		v->alone = MIN(n, MOST_OF_A_KIND);
		v->random = random;
	}
	v->torn = n ? random : 0;
}

static void apply(struct variants *v, size_t k)
{
	image_apply(v->image, v->image->pending[k], 0, UINT64_MAX);
}

static void apply_subset(struct variants *v, unsigned mask)
{
	for (size_t k = 0; k < v->image->npending; k++)
		if (mask >> k & 1)
			apply(v, k);
}

/* Those in [from, to), but `but`. */
static void apply_all(struct variants *v, size_t from, size_t to, size_t but)
{
	for (size_t k = from; k < to; k++)
		if (k != but)
			apply(v, k);
}

static void apply_random(struct variants *v, size_t but)
{
	uint64_t share = 1 + rnd(v, 7);

	for (size_t k = 0; k < v->image->npending; k++)
		if (k != but && rnd(v, 8) < share)
			apply(v, k);
}

/* Some sectors of one write, at borders of 512 bytes or of 4 KiB. */
static void apply_torn(struct variants *v, size_t k)
{
	size_t event = v->image->pending[k];
	const struct event *e = &v->image->log->events[event];
	uint64_t n = image_sectors(e), at = rnd(v, n + 1);

	if (e->type != REC_WRITE || rnd(v, 8) == 0) {
		image_apply_size(v->image, event);
		return;
	}
	if (n > 8 && rnd(v, 2))
		at = at / 8 * 8;
	switch (rnd(v, 3)) {
	case 0:
		image_apply(v->image, event, 0, at);
		break;
	case 1:
		image_apply(v->image, event, at, UINT64_MAX);
		break;
	default:
		for (uint64_t s = 0; s < n; s++)
			if (rnd(v, 2))
				image_apply(v->image, event, s, s + 1);
	}
	if (rnd(v, 2))
		image_apply_size(v->image, event);
}

static void torn(struct variants *v)
{
	size_t n = v->image->npending;
	size_t k = rnd(v, 2) ? n - 1 : rnd(v, n);

	switch (rnd(v, 3)) {
	case 0:
		apply_all(v, 0, n, k);
		break;
	case 1:
		break;
	default:
		apply_random(v, k);
	}
	apply_torn(v, k);
}

bool variants_next(struct variants *v)
{
	unsigned at = v->at++;
	size_t n = v->image->npending;

	/* Each is a function of its number, the cut and the workload. */
	v->state = (v->cut * 0x9e3779b97f4a7c15ull + at + 1) * 0xd6e8feb86659fd93ull | 1;
	for (const char *p = v->image->log->name; *p; p++)
		v->state = (v->state ^ (uint64_t)*p) * 0x100000001b3ull;
	v->state |= 1;
	if (at < v->subsets) {
		if (n <= ALL_SUBSETS)
			apply_subset(v, at);
		else if (at)
			apply_all(v, 0, n, n);
		return true;
	}
	at -= v->subsets;
	if (at < v->prefixes) {
		apply_all(v, 0, n - 1 - at, n);
		return true;
	}
	at -= v->prefixes;
	if (at < v->without) {
		apply_all(v, 0, n, n - 1 - at);
		return true;
	}
	at -= v->without;
	if (at < v->alone) {
		apply(v, n - 1 - at);
		return true;
	}
	at -= v->alone;
	/* However many there are, a number stands for the same choice. */
	if (at < v->random + v->torn) {
		if (v->random && at % 2)
			apply_random(v, n);
		else
			torn(v);
		return true;
	}
	return false;
}
