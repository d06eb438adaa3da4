/* SPDX-License-Identifier: MIT */
/* cmd_rollback.c - zcctl rollback FILE */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "file_ctl.h"
#include "zcctl.h"

struct args {
	const char *file;
	unsigned seconds;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case 't':
		a->seconds = parse_seconds(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (a->file)
			argp_error(state, "one FILE only, not also %s", arg);
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->file)
			argp_error(state, "the FILE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_result(const struct args *a, const struct lz_rollback *r)
{
	cJSON *json = cJSON_CreateObject();

	json_bytes(json, "path", a->file, strlen(a->file));
	json_u64(json, "size", r->size);
	json_time(json, "mtime", &r->mtime);
	cJSON_AddBoolToObject(json, "mtime_kept", r->mtime_kept);
	json_print(json);
	cJSON_Delete(json);
}

/* The child */
static int roll_back(void *arg)
{
	const struct args *a = arg;
	struct lz_rollback result;
	struct zu_err err = { 0 };
	int fd = open(a->file, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return complain("%s: cannot open it for reading and writing: %s", a->file,
				strerror(errno));
	if (file_roll_back(fd, a->file, &result, &err) < 0)
		return complain("%s", err.text);
	if (!result.mtime_kept)
		complain(
			"%s: rolled back, but only its owner can set its time of modification back",
			a->file);
	if (a->json)
		print_result(a, &result);
	return EXIT_FINE;
}

int cmd_rollback(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "timeout", 't', "SECONDS", 0, "Wait so long (300)", 0 },
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "FILE",
		.doc = "Return a file of a mount, also one that is open and mapped, to its last "
		       "commit: its bytes, size and time of modification. What is stored to it "
		       "meanwhile may be lost.",
	};
	struct args a = { .seconds = 300 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return child_run(roll_back, &a, a.seconds, a.file);
}
