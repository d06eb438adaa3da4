/* SPDX-License-Identifier: MIT */
/* cmd_commit.c - zcctl commit FILE... */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "file_ctl.h"
#include "zcctl.h"

struct args {
	char **files;
	size_t n;
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
	case ARGP_KEY_ARGS:
		a->files = state->argv + state->next;
		a->n = (size_t)(state->argc - state->next);
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "a FILE is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_result(const struct args *a)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *files = cJSON_AddArrayToObject(json, "committed");

	for (size_t i = 0; i < a->n; i++) {
		cJSON *file = cJSON_CreateObject();

		json_bytes(file, "path", a->files[i], strlen(a->files[i]));
		cJSON_AddItemToArray(files, file);
	}
	json_print(json);
	cJSON_Delete(json);
}

/* The child; its descriptors go with it. */
static int commit(void *arg)
{
	const struct args *a = arg;
	struct zu_err err = { 0 };
	int *fds = calloc(a->n, sizeof(*fds)), r;

	if (!fds)
		return complain("no memory left");
	for (size_t i = 0; i < a->n; i++) {
		/* Not waiting for the writer of a FIFO */
		fds[i] = open(a->files[i], O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fds[i] < 0)
			return complain("%s: cannot open it: %s", a->files[i], strerror(errno));
	}
	r = file_commit(fds, (const char *const *)a->files, a->n, &err);
	if (r < 0)
		return complain("%s", err.text);
	if (a->json)
		print_result(a);
	return EXIT_FINE;
}

int cmd_commit(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "timeout", 't', "SECONDS", 0, "Wait so long (300)", 0 },
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "FILE...",
		.doc = "Commit the data of files of one mount, all or none, and return when they "
		       "are "
		       "durable.",
	};
	struct args a = { .seconds = 300 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	/* Flushing takes time, too. */
	return child_run(commit, &a, a.seconds, a.files[0]);
}
