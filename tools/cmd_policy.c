/* SPDX-License-Identifier: MIT */
/* cmd_policy.c - zcctl policy PATH [explicit|auto]: the extended attribute user.zcfs.commit. */
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
	char *path;
	const char *policy;
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
		if (a->policy)
			argp_error(state, "one PATH and one policy only, not also %s", arg);
		if (!a->path) {
			a->path = arg;
			return 0;
		}
		if (strcmp(arg, "explicit") && strcmp(arg, "auto"))
			argp_error(state, "no policy %s: explicit or auto", arg);
		a->policy = arg;
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

static void print_one(struct args *a, const char *path, const char *policy)
{
	if (a->json) {
		cJSON *one = cJSON_CreateObject();

		json_bytes(one, "path", path, strlen(path));
		cJSON_AddStringToObject(one, "policy", policy);
		cJSON_AddItemToArray(a->list, one);
	} else if (a->recursive) {
		printf("%-8s  ", policy);
		print_name(path, strlen(path));
		putchar('\n');
	} else {
		puts(policy);
	}
}

static int do_one(struct args *a, const char *path)
{
	char value[16];
	ssize_t n = lgetxattr(path, STORE_XATTR_POLICY, value, sizeof(value) - 1);

	/* (Looked at first also to set it: another filesystem would take any attribute.) */
	if (n < 0)
		return failed(path);
	value[n] = '\0';
	if (!a->policy) {
		print_one(a, path, value);
		return EXIT_FINE;
	}
	if (!strcmp(value, a->policy))
		return EXIT_FINE;
	if (lsetxattr(path, STORE_XATTR_POLICY, a->policy, strlen(a->policy), 0) < 0)
		return failed(path);
	return EXIT_FINE;
}

/* Everything below, without leaving the mount; links and devices have no policy. */
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
		return complain("%s: only files and directories have a policy", a->path);
	code = a->recursive ? do_tree(a) : do_one(a, a->path);
	if (a->json && !a->policy && a->recursive)
		json_print(a->list);
	else if (a->json && !a->policy && code == EXIT_FINE)
		json_print(cJSON_GetArrayItem(a->list, 0));
	cJSON_Delete(a->list);
	return code;
}

int cmd_policy(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "recursive", 'R', NULL, 0, "And everything below PATH", 0 },
		{ "timeout", 't', "SECONDS", 0, "Wait so long (300)", 0 },
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PATH [explicit|auto]",
		.doc = "Show or set what commits a file of a mount: only its own fsync, msync and "
		       "commit (explicit), or also the periodic commit (auto). What is made in a "
		       "directory has the directory's.",
	};
	struct args a = { .seconds = 300 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return child_run(work, &a, a.seconds, a.path);
}
