/* SPDX-License-Identifier: MIT */
/* cmd_mount.c - zcctl mount STORE MNT: becomes zcfs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zcctl.h"

enum { MAX_ARGS = 256 };

struct args {
	const char *store, *mnt;
	char *list[MAX_ARGS]; /* of zcfs */
	unsigned count;
};

static void pass(struct args *a, struct argp_state *state, const char *arg)
{
	if (a->count >= MAX_ARGS - 4)
		argp_error(state, "too many options");
	a->list[a->count++] = (char *)(uintptr_t)arg;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'o':
		pass(a, state, "-o");
		pass(a, state, arg);
		return 0;
	case 'f':
		pass(a, state, "-f");
		return 0;
	case 'd':
		pass(a, state, "-d");
		return 0;
	case ARGP_KEY_ARG:
		if (a->mnt)
			argp_error(state, "one STORE and one MNT only, not also %s", arg);
		*(a->store ? &a->mnt : &a->store) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->mnt)
			argp_error(state, "STORE and MNT are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Run the zcfs that belongs to this zcctl: beside it, in its build tree, in PATH. */
static void run_zcfs(char **list)
{
	char self[PATH_MAX], path[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		snprintf(path, sizeof(path), "%s/zcfs", self);
		execv(path, list);
		snprintf(path, sizeof(path), "%s/../fs/zcfs", self);
		execv(path, list);
	}
	execvp("zcfs", list);
}

int cmd_mount(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ NULL, 'o', "OPTION,...", 0, "Mount options, see zcfs(8)", 0 },
		{ NULL, 'f', NULL, 0, "Stay in the foreground", 0 },
		{ NULL, 'd', NULL, 0, "Foreground, with a trace of every request", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE MNT",
		.doc = "Mount STORE on the directory MNT: runs zcfs(8). Returns when it is ready "
		       "to "
		       "use.",
	};
	struct args a = { .list = { (char *)(uintptr_t) "zcfs" }, .count = 1 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.list[a.count++] = (char *)(uintptr_t) "--"; /* names may begin with "-" */
	a.list[a.count++] = (char *)(uintptr_t)a.store;
	a.list[a.count++] = (char *)(uintptr_t)a.mnt;
	run_zcfs(a.list);
	return complain("cannot run zcfs: %s; install it beside zcctl or in PATH", strerror(errno));
}
