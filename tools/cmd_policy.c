/* SPDX-License-Identifier: MIT */
/*
 * cmd_policy.c - zcctl policy PATH [explicit|auto], zcctl live PATH [on|off]: the extended attributes
 * user.zcfs.commit and user.zcfs.live.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "child.h"
#include "zcctl.h"

struct args {
	const struct flag_verb *verb;
	char *path;
	const char *value;
	unsigned seconds;
	bool recursive, json;
	cJSON *list;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case 'R':
		a->recursive = true;
		return 0;
	case 't':
		a->seconds = parse_seconds(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (a->value)
			argp_error(state, "one PATH and one %s only, not also %s", a->verb->what,
				   arg);
		if (!a->path) {
			a->path = arg;
			return 0;
		}
		if (strcmp(arg, a->verb->words[0]) && strcmp(arg, a->verb->words[1]))
			argp_error(state, "no %s %s: %s or %s", a->verb->what, arg,
				   a->verb->words[0], a->verb->words[1]);
		a->value = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->path)
			argp_error(state, "the PATH is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int failed(const char *path)
{
	int e = errno;

	return complain("%s: %s", path,
			e == ENODATA || e == EOPNOTSUPP ? "no file or directory of a mounted zcfs"
							: strerror(e));
}

static void print_one(struct args *a, const char *path, const char *value)
{
	if (a->json) {
		cJSON *one = cJSON_CreateObject();

		json_bytes(one, "path", path, strlen(path));
		cJSON_AddStringToObject(one, a->verb->what, value);
		cJSON_AddItemToArray(a->list, one);
	} else if (a->recursive) {
		printf("%-8s  ", value);
		print_name(path, strlen(path));
		putchar('\n');
	} else {
		puts(value);
	}
}

static int do_one(struct args *a, const char *path)
{
	char value[16];
	ssize_t n = lgetxattr(path, a->verb->xattr, value, sizeof(value) - 1);

	/* (Looked at first also to set it: another filesystem would take any attribute.) */
	if (n < 0)
		return failed(path);
	value[n] = '\0';
	if (!a->value) {
		print_one(a, path, value);
		return EXIT_FINE;
	}
	if (!strcmp(value, a->value))
		return EXIT_FINE;
	if (lsetxattr(path, a->verb->xattr, a->value, strlen(a->value), 0) < 0)
		return failed(path);
	return EXIT_FINE;
}

/* Everything below, without leaving the mount; links and devices have none. */
static int do_tree(struct args *a)
{
	char *const paths[] = { a->path, NULL };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	int code = EXIT_FINE;
	FTSENT *e;

	if (!tree)
		return failed(a->path);
	while ((errno = 0, e = fts_read(tree)) != NULL) {
		int r = EXIT_FINE;

		if (e->fts_info == FTS_D || e->fts_info == FTS_F)
			r = do_one(a, e->fts_path);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
			r = complain("%s: %s", e->fts_path, strerror(e->fts_errno));
		if (r != EXIT_FINE)
			code = r;
	}
	if (errno != 0)
		code = failed(a->path);
	fts_close(tree);
	return code;
}

/* The child */
static int work(void *arg)
{
	struct args *a = arg;
	struct stat st;
	int code;

	a->list = cJSON_CreateArray();
	if (lstat(a->path, &st) < 0)
		return failed(a->path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return complain("%s: only files and directories have a %s", a->path, a->verb->what);
	code = a->recursive ? do_tree(a) : do_one(a, a->path);
	if (a->json && !a->value && a->recursive)
		json_print(a->list);
	else if (a->json && !a->value && code == EXIT_FINE)
		json_print(cJSON_GetArrayItem(a->list, 0));
	cJSON_Delete(a->list);
	return code;
}

int flag_verb(int argc, char **argv, const struct flag_verb *verb)
{
	static const struct argp_option options[] = {
		{ "recursive", 'R', NULL, 0, "And everything below PATH", 0 },
		{ "timeout", 't', "SECONDS", 0, "Wait so long (300)", 0 },
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = verb->args_doc,
		.doc = verb->doc,
	};
	struct args a = { .verb = verb, .seconds = 300 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return child_run(work, &a, a.seconds, a.path);
}

int cmd_policy(int argc, char **argv)
{
	static const struct flag_verb verb = {
		.what = "policy",
		.xattr = STORE_XATTR_POLICY,
		.words = { "explicit", "auto" },
		.args_doc = "PATH [explicit|auto]",
		.doc = "Show or set what commits a file of a mount: only its own fsync, msync and "
		       "commit (explicit), or also the periodic commit (auto). What is made in a "
		       "directory has the directory's.",
	};

	return flag_verb(argc, argv, &verb);
}
