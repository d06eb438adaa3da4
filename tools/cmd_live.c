/* SPDX-License-Identifier: MIT */
/*
 * cmd_live.c - zcctl live MNT: the live files of a mount, as its daemon tells; zcctl live PATH [on|off]:
 * the mark of files that a mount with -o passthrough makes live when they are opened.
 *
 * The daemon knows inodes, not names. The names are looked for in the mount, by a child process: it may
 * hang, and it ends after so many files.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "child.h"
#include "ctl_client.h"
#include "mounts.h"
#include "util/cleanup.h"
#include "zcctl.h"

enum { FILES_MOST = 1000000 };

struct args {
	const char *mnt;
	struct mount mount;
	unsigned seconds;
	bool json, no_names;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case 'n':
		a->no_names = true;
		return 0;
	case 't':
		a->seconds = parse_seconds(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (a->mnt)
			argp_error(state, "one MNT only, not also %s", arg);
		a->mnt = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->mnt)
			argp_error(state, "MNT or PATH is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static uint64_t number(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

	return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

static const char *text(const cJSON *json, const char *name)
{
	const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

	return value ? value : "";
}

/* ---- names -------------------------------------------------------------------------------- */

/* False: all have one. */
static bool name_image(cJSON *images, uint64_t ino, const char *path)
{
	bool missing = false;
	cJSON *image;

	cJSON_ArrayForEach(image, images) {
		if (cJSON_GetObjectItemCaseSensitive(image, "file"))
			continue;
		if (number(image, "ino") == ino)
			json_bytes(image, "file", path, strlen(path));
		else
			missing = true;
	}
	return missing;
}

static void find_names(const struct args *a, cJSON *images)
{
	char *const paths[] = { a->mount.point, NULL };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	bool missing = cJSON_GetArraySize(images) > 0;
	unsigned seen = 0;
	const FTSENT *e;

	while (tree && missing && seen++ < FILES_MOST && (e = fts_read(tree)) != NULL)
		if (e->fts_info == FTS_F)
			missing = name_image(images, e->fts_statp->st_ino, e->fts_path);
	if (tree)
		fts_close(tree);
}

/* ---- printing ----------------------------------------------------------------------------- */

static void print_age(const cJSON *image)
{
	const cJSON *age = cJSON_GetObjectItemCaseSensitive(image, "commit_age_ms");

	if (!cJSON_IsNumber(age) || age->valuedouble < 0)
		printf("  never committed while live\n");
	else
		printf("  last commit %.1f s ago, %llu dirty pages\n", age->valuedouble / 1000,
		       (unsigned long long)number(image, "dirty_pages"));
}

static void print_image(const cJSON *image)
{
	const char *file = text(image, "file");
	const cJSON *client;
	char buf[32];

	if (*file)
		print_name(file, strlen(file));
	else
		printf("inode %llu", (unsigned long long)number(image, "ino"));
	printf(": %s", human(number(image, "size"), buf));
	printf(" of %s", human(number(image, "capacity"), buf));
	printf(", %s resident, %s, %s%s%s\n", human(number(image, "resident_bytes"), buf),
	       text(image, "state"), text(image, "kind"), *text(image, "policy") ? ", " : "",
	       text(image, "policy"));
	print_age(image);
	cJSON_ArrayForEach(client, cJSON_GetObjectItemCaseSensitive(image, "clients"))
		printf("  process %llu of user %llu, %s%s\n",
		       (unsigned long long)number(client, "pid"),
		       (unsigned long long)number(client, "uid"),
		       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(client, "writable"))
			       ? "read-write"
			       : "read-only",
		       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(client, "tracked"))
			       ? ", tracked"
			       : "");
}

static void print_all(const cJSON *json)
{
	const cJSON *image;
	char used[32], limit[32];

	cJSON_ArrayForEach(image, cJSON_GetObjectItemCaseSensitive(json, "images"))
		print_image(image);
	if (number(json, "left_out"))
		printf("and %llu more\n", (unsigned long long)number(json, "left_out"));
	printf("%s of %s\n", human(number(json, "used_bytes"), used),
	       human(number(json, "limit_bytes"), limit));
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int ask(const struct args *a, cJSON **ret_json)
{
	zu_cleanup_free char *named = NULL;
	const char *store = a->mount.source;
	struct zu_err err = { 0 };
	char address[108];
	int r;

	if (store[0] != '/') { /* -o fsname */
		named = ctl_find_store(a->mount.point, a->mount.uid);
		store = named;
	}
	r = store ? ctl_ask(store, a->mount.uid, ZC_CTL_LIVE_LIST, address, ret_json, &err)
		  : -ENOENT;
	if (r == -ENOENT)
		return complain("%s: no daemon answers for this mount (mounted read-only?)",
				a->mnt);
	return r < 0 ? complain("%s", err.text) : EXIT_FINE;
}

/* The child */
static int list(void *arg)
{
	const struct args *a = arg;
	cJSON *json = NULL;
	int code = ask(a, &json);

	if (code != EXIT_FINE)
		return code;
	if (!a->no_names)
		find_names(a, cJSON_GetObjectItemCaseSensitive(json, "images"));
	if (a->json)
		json_print(json);
	else
		print_all(json);
	cJSON_Delete(json);
	return finish(EXIT_FINE);
}

static int mark(int argc, char **argv)
{
	static const struct flag_verb verb = {
		.what = "live",
		.xattr = STORE_XATTR_LIVE,
		.words = { "on", "off" },
		.args_doc = "PATH [on|off]",
		.doc = "Show or set whether a file becomes live when it is opened, on a mount with "
		       "-o passthrough. What is made in a directory has the directory's.",
	};

	return flag_verb(argc, argv, &verb);
}

/* Is it about a mark? Then MNT is not a mount, or a word follows. */
static bool is_mark(int argc, char **argv)
{
	struct mount mount = { 0 };
	unsigned names = 0;
	bool is_mount = false, recursive = false, help = argc < 2;

	for (int i = 1; i < argc; i++) {
		recursive |= !strcmp(argv[i], "-R") || !strcmp(argv[i], "--recursive");
		help |= !strcmp(argv[i], "--help") || !strcmp(argv[i], "-?") ||
			!strcmp(argv[i], "--usage");
		if (argv[i][0] != '-' && names++ == 0 && mount_find(argv[i], &mount) == 1) {
			is_mount = !strcmp(mount.type, MOUNT_TYPE);
			mount_clear(&mount);
		}
	}
	return !help && (names > 1 || recursive || (names == 1 && !is_mount));
}

int cmd_live(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "no-names", 'n', NULL, 0, "Do not look for the files' names", 0 },
		{ "timeout", 't', "SECONDS", 0, "Wait so long (300)", 0 },
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "MNT\nPATH [on|off]",
		.doc = "List the live files of the mount MNT: size, memory, clients, commits. Or "
		       "show or set whether a file of a mount, or what is made in a directory, is "
		       "to be live when it is opened (-o passthrough).",
	};
	struct args a = { .seconds = 300 };
	int code;

	if (is_mark(argc, argv))
		return mark(argc, argv);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (mount_find(a.mnt, &a.mount) != 1 || strcmp(a.mount.type, MOUNT_TYPE)) {
		mount_clear(&a.mount);
		return complain("%s: no mount of zcfs", a.mnt);
	}
	code = child_run(list, &a, a.seconds, a.mnt);
	mount_clear(&a.mount);
	return code;
}
