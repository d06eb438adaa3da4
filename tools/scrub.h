/* SPDX-License-Identifier: MIT */
/* scrub.h - the steps of a scrub, of a store that is not mounted or through its daemon. */
#ifndef SCRUB_H
#define SCRUB_H

#include <cjson/cJSON.h>

#include "util/err.h"

struct scrubber;

/* `what`: a store or a mount point. */
int scrub_open(const char *what, struct scrubber **ret_scrubber, struct zu_err *err);
/* The next part: 1 and an object with the members total, pages, damaged_pages, damaged_files (numbers of
 * this step, but the first), checksums, findings (array of lines); 0: there is no more. The object is
 * the caller's. */
int scrub_step(struct scrubber *scrubber, cJSON **ret_step, struct zu_err *err);
void scrub_close(struct scrubber *scrubber); /* accepts NULL */

#endif
