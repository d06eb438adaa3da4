/* SPDX-License-Identifier: MIT */
/* zcctl.c - the admin tool: finds the verb, which does the rest in its cmd_<verb>.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zcctl.h"
#include "util/fdio.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} verbs[] = {
	{ "create", cmd_create, "make a store" },
	{ "mount", cmd_mount, "mount a store" },
	{ "umount", cmd_umount, "unmount it, and wait for the last commit" },
	{ "commit", cmd_commit, "commit files of a mount, all or none" },
	{ "rollback", cmd_rollback, "return a file of a mount to its last commit" },
	{ "policy", cmd_policy, "what commits a file of a mount" },
	{ "live", cmd_live, "live files of a mount; mark files to be live" },
	{ "info", cmd_info, "facts of a store or a mount" },
	{ "stats", cmd_stats, "what the daemon of a mount has done, by path, and how fast" },
	{ "top", cmd_top, "watch what a mount does" },
	{ "ls", cmd_ls, "list a directory of a store that is not mounted" },
	{ "stat", cmd_stat, "attributes of a file in a store that is not mounted" },
	{ "check", cmd_check, "check every invariant of a store that is not mounted" },
	{ "scrub", cmd_scrub, "read all pages and compare them with their checksums" },
	{ "probe", cmd_probe, "what this machine has for zcfs, and what a lack costs" },
};
enum { VERBS = sizeof(verbs) / sizeof(*verbs) };

const char *argp_program_version = "zcctl " ZC_VERSION;

static char *list_verbs(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	out = open_memstream(&list, &size);
	if (!out)
		return NULL;
	fputs("Verbs:\n", out);
	for (int i = 0; i < VERBS; i++)
		fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].help);
	fputs("\n`zcctl VERB --help' tells more. Exit codes: 0 fine, 1 a negative finding "
	      "(damaged), "
	      "2 could not.\nThe manual: zcctl(8).\n",
	      out);
	fclose(out);
	return list;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		/* The rest belongs to the verb. */
		*name = arg;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "a verb is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "VERB [ARGUMENT...]",
		.doc = "Administer zcfs stores.\v",
		.help_filter = list_verbs,
	};
	const char *name = NULL;
	int index = 1;

	zu_fill_stdio();
	argp_err_exit_status = EXIT_CANNOT;
	/* A reader that leaves is an error of writing, not a death without a word. */
	signal(SIGPIPE, SIG_IGN);
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &name) || !name)
		return EXIT_CANNOT;
	while (index < argc && argv[index] != name)
		index++;
	for (int i = 0; i < VERBS; i++)
		if (!strcmp(name, verbs[i].name)) {
			char title[32];

			snprintf(title, sizeof(title), "zcctl %s", name);
			argv[index] = title;
			return verbs[i].run(argc - index, argv + index);
		}
	return complain("no verb %s; `zcctl --help' lists them", name);
}
