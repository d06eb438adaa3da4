/* SPDX-License-Identifier: MIT */
/* cmd_stat.c - zcctl stat STORE[:PATH] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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
			argp_error(state, "one STORE[:PATH] only, not also %s", arg);
		a->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->what)
			argp_error(state, "STORE[:PATH] is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The names of the extended attributes, one after another; NULL after an error. */
static char *xattr_names(struct store *store, uint64_t ino, size_t *ret_size)
{
	zu_cleanup_free char *list = NULL;
	ssize_t n = store_listxattr(store, ino, NULL, 0);

	if (n < 0)
		return NULL;
	list = malloc((size_t)n + 1);
	if (!list)
		return NULL;
	n = n ? store_listxattr(store, ino, list, (size_t)n) : 0;
	if (n < 0)
		return NULL;
	*ret_size = (size_t)n;
	return TAKE_PTR(list);
}

static void add_xattrs(cJSON *json, struct store *store, uint64_t ino)
{
	size_t size = 0;
	zu_cleanup_free char *list = xattr_names(store, ino, &size);
	cJSON *array = list ? cJSON_AddArrayToObject(json, "xattrs") : NULL;

	for (size_t at = 0; array && at < size; at += strlen(list + at) + 1) {
		cJSON *one = cJSON_CreateObject();
		ssize_t length = store_getxattr(store, ino, list + at, NULL, 0);

		json_bytes(one, "name", list + at, strlen(list + at));
		json_u64(one, "size", length < 0 ? 0 : (uint64_t)length);
		cJSON_AddItemToArray(array, one);
	}
}

static void print_json(struct store *store, const char *path, const struct store_attr *a,
		       const char *target, ssize_t length)
{
	cJSON *json = attr_json(path, strlen(path), a);

	if (json && length >= 0)
		json_bytes(json, "target", target, (size_t)length);
	if (json)
		add_xattrs(json, store, a->ino);
	json_print(json);
	cJSON_Delete(json);
}

static void print_time(const char *name, const struct timespec *time)
{
	char text[64];

	format_time(time, text);
	printf("%10s: %s\n", name, text);
}

static void print_text(struct store *store, const char *path, const struct store_attr *a,
		       const char *target, ssize_t length)
{
	size_t size = 0;
	zu_cleanup_free char *list = xattr_names(store, a->ino, &size);
	char mode[11];

	mode_text(a->mode, mode);
	printf("%10s: ", "path");
	print_name(path, strlen(path));
	if (length >= 0) {
		fputs(" -> ", stdout);
		print_name(target, (size_t)length);
	}
	printf("\n%10s: %s\n", "type", type_name(a->mode));
	printf("%10s: %llu, generation %u\n", "inode", (unsigned long long)a->ino, a->generation);
	printf("%10s: %04o %s, %llu links, uid %u, gid %u\n", "mode", (unsigned)a->mode & 07777,
	       mode, (unsigned long long)a->nlink, (unsigned)a->uid, (unsigned)a->gid);
	if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
		printf("%10s: %u:%u\n", "device", major(a->rdev), minor(a->rdev));
	printf("%10s: %llu bytes, %llu blocks of 512\n", "size", (unsigned long long)a->size,
	       (unsigned long long)a->blocks);
	printf("%10s: %s%s\n", "policy", a->flags & STORE_INODE_EXPLICIT ? "explicit" : "auto",
	       a->flags & STORE_INODE_LIVE ? ", live" : "");
	print_time("accessed", &a->atime);
	print_time("modified", &a->mtime);
	print_time("changed", &a->ctime);
	print_time("born", &a->btime);
	for (size_t at = 0; list && at < size; at += strlen(list + at) + 1) {
		printf("%10s: ", "xattr");
		print_name(list + at, strlen(list + at));
		printf(", %lld bytes\n",
		       (long long)store_getxattr(store, a->ino, list + at, NULL, 0));
	}
}

int cmd_stat(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE[:PATH]",
		.doc = "Attributes of PATH (the root directory without it) in a store that is not "
		       "mounted. Symbolic links are not followed.",
	};
	zu_cleanup_free char *path = NULL;
	struct args a = { 0 };
	struct store *store;
	struct store_attr attr;
	char target[4096];
	ssize_t length = -1;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	r = offline_open(a.what, &store, &path, &attr);
	if (r != EXIT_FINE)
		return r;
	if (S_ISLNK(attr.mode))
		length = store_readlink(store, attr.ino, target, sizeof(target));
	(a.json ? print_json : print_text)(store, path, &attr, target, length);
	store_forget(store, attr.ino, 1);
	store_close(store);
	return finish(EXIT_FINE);
}
