/* SPDX-License-Identifier: MIT */
/*
 * cmd_scrub.c - zcctl scrub STORE|MNT: read all pages of the last commit and compare them with their
 * checksums, in steps: of a mounted store its daemon does them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scrub.h"
#include "util/cleanup.h"
#include "zcctl.h"

struct args {
	const char *what;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->what)
			argp_error(state, "one STORE or MNT only, not also %s", arg);
		a->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->what)
			argp_error(state, "STORE or MNT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What the steps found so far. */
struct totals {
	uint64_t pages, damaged, files;
	bool checksums, json, terminal;
	cJSON *findings;
};

static void take_findings(struct totals *t, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		if (!cJSON_IsString(item))
			continue;
		if (t->terminal)
			fprintf(stderr, "\r\033[K");
		if (!t->json)
			printf("%s\n", item->valuestring);
		cJSON_AddItemToArray(t->findings, cJSON_CreateString(item->valuestring));
	}
}

static uint64_t number(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItem(json, name);

	/* Counts of pages: a double holds them. */
	return cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : 0;
}

static void take_step(struct totals *t, const cJSON *step)
{
	uint64_t total = number(step, "total");

	t->pages += number(step, "pages");
	t->damaged += number(step, "damaged_pages");
	t->files += number(step, "damaged_files");
	t->checksums = cJSON_IsTrue(cJSON_GetObjectItem(step, "checksums"));
	take_findings(t, cJSON_GetObjectItem(step, "findings"));
	if (t->terminal)
		fprintf(stderr, "\rscrub: %llu of %llu MiB\033[K",
			(unsigned long long)(t->pages / 256), (unsigned long long)(total / 256));
}

static void print_result(const struct totals *t, const char *what)
{
	char size[32];

	if (t->json) {
		cJSON *json = cJSON_CreateObject();

		cJSON_AddStringToObject(json, "store", what);
		cJSON_AddBoolToObject(json, "checksums", t->checksums);
		json_u64(json, "bytes", t->pages * 4096);
		json_u64(json, "damaged_bytes", t->damaged * 4096);
		cJSON_AddItemReferenceToObject(json, "findings", t->findings);
		json_print(json);
		cJSON_Delete(json);
		return;
	}
	human(t->pages * 4096, size);
	if (t->damaged)
		printf("%s: damaged: %llu of %llu pages; restore the files named above\n", what,
		       (unsigned long long)t->damaged, (unsigned long long)t->pages);
	else if (t->checksums)
		printf("%s: sound: %s verified\n", what, size);
	else
		printf("%s: %s could be read; the store keeps no checksums to compare them with "
		       "(zcctl create --checksum)\n",
		       what, size);
}

int cmd_scrub(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE|MNT",
		.doc = "Read every page of a store, mounted or not, and compare it with its "
		       "checksum "
		       "(zcctl create --checksum). Names the damaged ranges of files. Exit status "
		       "1: "
		       "something is damaged.",
	};
	struct args a = { 0 };
	struct totals t = { 0 };
	struct zu_err err = { 0 };
	struct scrubber *scrubber;
	cJSON *step = NULL;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	t.json = a.json;
	t.terminal = isatty(STDERR_FILENO) && !a.json;
	t.findings = cJSON_CreateArray();
	r = scrub_open(a.what, &scrubber, &err);
	while (r == 0 && (r = scrub_step(scrubber, &step, &err)) > 0) {
		take_step(&t, step);
		cJSON_Delete(step);
		r = 0;
	}
	scrub_close(scrubber);
	if (t.terminal)
		fprintf(stderr, "\r\033[K");
	if (r == 0)
		print_result(&t, a.what);
	cJSON_Delete(t.findings);
	if (r < 0)
		return complain("%s", err.text);
	return finish(t.damaged ? EXIT_FINDING : EXIT_FINE);
}
