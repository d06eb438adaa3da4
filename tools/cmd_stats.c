/* SPDX-License-Identifier: MIT */
/* cmd_stats.c - zcctl stats MNT: the ledger of a mount, as text, JSON or for Prometheus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"
#include "util/cleanup.h"
#include "zcctl.h"

struct args {
	const char *mnt;
	bool json, prometheus;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case 'p':
		a->prometheus = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->mnt)
			argp_error(state, "one MNT only, not also %s", arg);
		a->mnt = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->mnt)
			argp_error(state, "MNT is missing");
		if (a->json && a->prometheus)
			argp_error(state, "--json or --prometheus, not both");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* cJSON prints doubles; all of these are integers, to be printed as such. */
static void make_exact(cJSON *json)
{
	for (cJSON *item = json->child; item; item = item->next) {
		char text[32];

		if (cJSON_IsObject(item))
			make_exact(item);
		if (!cJSON_IsNumber(item))
			continue;
		snprintf(text, sizeof(text), "%.0f", item->valuedouble);
		item->valuestring = strdup(text);
		if (item->valuestring)
			item->type = cJSON_Raw;
	}
}

int cmd_stats(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ "prometheus", 'p', NULL, 0, "Print the text format of Prometheus", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "MNT",
		.doc = "What the daemon of the mount MNT has done since it was mounted: bytes by "
		       "the path they took, requests and how long they took, commits, fallbacks "
		       "and errors. Never waits for a mount that hangs.",
	};
	zu_cleanup(stats_close) struct stats_source source = { 0 };
	struct args a = { 0 };
	cJSON *json = NULL;
	int code;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	code = stats_open(a.mnt, &source, &json);
	if (code != EXIT_FINE)
		return code;
	if (a.json) {
		make_exact(json);
		json_print(json);
	} else if (a.prometheus) {
		stats_print_prometheus(json);
	} else {
		stats_print_text(json);
	}
	cJSON_Delete(json);
	return finish(EXIT_FINE);
}
