/* SPDX-License-Identifier: MIT */
/*
 * stats.h - the ledger of a mount as its daemon tells it (STATS of abi/zc_ctl.h), for `stats` and `top`.
 * The mount itself is never touched.
 */
#ifndef STATS_H
#define STATS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "mounts.h"
#include "util/err.h"

struct stats_source {
	struct mount mount;
	char *store;
	char address[108];
};

/* Find the daemon of the mount `point`, and ask it once. Complains and gives an exit code; 0: fine. */
int stats_open(const char *point, struct stats_source *ret_source, cJSON **ret_json);
/* Ask again. */
int stats_ask(const struct stats_source *source, cJSON **ret_json, struct zu_err *err);
void stats_close(struct stats_source *source);

/* A number, or 0. */
double stats_number(const cJSON *json, const char *name);
/* "1.2 ms" */
const char *stats_duration(double seconds, char buf[32]);

/* What has taken a path: the members NAME_bytes and NAME_ops. "read" and "write" are the sums of the
 * paths read_* and write_*. */
enum { STATS_PATHS = 64 };
struct stats_path {
	char name[48];
	double bytes, ops;
};
unsigned stats_paths(const cJSON *json, struct stats_path list[STATS_PATHS]);

/* Everything since the mount, for people. */
void stats_print_text(const cJSON *json);
/* The text format 0.0.4 of Prometheus. */
void stats_print_prometheus(const cJSON *json);
/* A page of rates between two answers; `before` NULL: since the mount. */
void stats_print_rates(const cJSON *before, const cJSON *now, FILE *out);

#endif
