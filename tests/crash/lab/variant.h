/* SPDX-License-Identifier: MIT */
/*
 * The choices of a cut. With few unsynced writes: all subsets. With many: none, all, up to each,
 * all but each, each alone (the newest ones), and random subsets. Then torn ones: of one write some
 * sectors, of the others all, none or some; and lengths of files without their bytes.
 */
#ifndef LAB_VARIANT_H
#define LAB_VARIANT_H

#include "image.h"

struct variants {
	struct image *image;
	uint64_t state; /* of the random numbers of this variant */
	uint64_t cut;
	unsigned random, at;
	unsigned subsets, prefixes, without, alone, torn;
};

void variants_begin(struct variants *v, struct image *i, uint64_t cut, unsigned random);
/* Make the next image: false when there is none. The one before must be undone. */
bool variants_next(struct variants *v);

#endif
