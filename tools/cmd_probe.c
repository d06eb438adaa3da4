/* SPDX-License-Identifier: MIT */
/* cmd_probe.c - zcctl probe [DIR] */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe.h"
#include "zcctl.h"

struct args {
	const char *dir;
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
		if (a->dir)
			argp_error(state, "one DIR only, not also %s", arg);
		a->dir = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void probe_say(struct probe_result *result, enum probe_answer answer, const char *fmt, ...)
{
	va_list args;

	result->answer = answer;
	va_start(args, fmt);
	vsnprintf(result->detail, sizeof(result->detail), fmt, args);
	va_end(args);
}

void probe_errno(struct probe_result *result)
{
	probe_say(result, PROBE_NO, "%s", strerror(errno));
}

static const char *const answers[] = { "no", "yes", "unknown" };

static void print_line(const struct probe *p, const struct probe_result *r)
{
	printf("%-7s %s", answers[r->answer], p->title);
	if (*r->detail)
		printf(" (%s)", r->detail);
	if (r->answer != PROBE_YES)
		printf(": without it, %s", p->cost);
	putchar('\n');
}

/* Into the array `json`, or as text. */
static void run_list(const struct probe *list, const char *dir, cJSON *json)
{
	for (const struct probe *p = list; p->name; p++) {
		struct probe_result r = { .answer = PROBE_UNKNOWN };
		cJSON *one;

		p->run(dir, &r);
		if (!json) {
			print_line(p, &r);
			continue;
		}
		one = cJSON_CreateObject();
		cJSON_AddItemToArray(json, one);
		cJSON_AddStringToObject(one, "name", p->name);
		cJSON_AddStringToObject(one, "available", answers[r.answer]);
		cJSON_AddStringToObject(one, "title", p->title);
		if (*r.detail)
			cJSON_AddStringToObject(one, "detail", r.detail);
		if (r.answer != PROBE_YES)
			cJSON_AddStringToObject(one, "cost", p->cost);
	}
}

int cmd_probe(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[DIR]",
		.doc = "What this machine has for zcfs, and what each lack costs. A store is to be "
		       "in "
		       "DIR (the working directory); a small file is made there and removed.",
	};
	struct args a = { 0 };
	struct utsname name;
	struct stat st;
	cJSON *json = NULL, *features = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (!a.dir)
		a.dir = ".";
	if (stat(a.dir, &st) < 0)
		return complain("%s: %s", a.dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return complain("%s: not a directory; name the one a store is to be in", a.dir);
	uname(&name);
	if (a.json) {
		json = cJSON_CreateObject();
		cJSON_AddStringToObject(json, "kernel", name.release);
		json_bytes(json, "dir", a.dir, strlen(a.dir));
		features = cJSON_AddArrayToObject(json, "features");
	} else {
		printf("kernel %s, stores in %s\n", name.release, a.dir);
	}
	run_list(probes_fuse, a.dir, features);
	run_list(probes_host, a.dir, features);
	run_list(probes_memory, a.dir, features);
	if (json)
		json_print(json);
	cJSON_Delete(json);
	return finish(EXIT_FINE);
}
