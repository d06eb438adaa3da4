/* SPDX-License-Identifier: MIT */
/* cmd_ls.c - zcctl ls STORE[:PATH]: streams, so that a million names need no memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "zcctl.h"

enum { BATCH = 512 };

struct args {
	const char *what;
	bool json, recursive;
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

/* A directory that is still to be listed. */
struct todo {
	struct todo *next;
	uint64_t ino;
	char path[];
};

struct listing {
	const struct args *args;
	struct store *store;
	struct todo *todo;
	uint64_t directories, inodes; /* listed so far; in the store: more means a cycle */
	bool first;		      /* nothing printed yet */
	bool no_memory;
	/* One batch of entries: the store is not called while it hands them out. */
	struct entry {
		struct store_attr attr;
		size_t namelen;
		char name[256];
	} batch[BATCH];
	unsigned count;
	uint64_t cookie;
};

static bool collect(void *arg, const struct store_entry *entry)
{
	struct listing *l = arg;
	struct entry *e = &l->batch[l->count];

	if (l->count == BATCH)
		return false;
	e->attr = *entry->attr;
	e->namelen = entry->namelen < sizeof(e->name) ? entry->namelen : sizeof(e->name) - 1;
	memcpy(e->name, entry->name, e->namelen);
	e->name[e->namelen] = '\0';
	l->cookie = entry->cookie + 1;
	l->count++;
	return true;
}

static void push(struct listing *l, uint64_t ino, const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	struct todo *t = malloc(sizeof(*t) + size);

	if (!t) {
		l->no_memory = true;
		return;
	}
	t->ino = ino;
	snprintf(t->path, size, "%s%s%s", dir, *name && strcmp(dir, "/") ? "/" : "", name);
	t->next = l->todo;
	l->todo = t;
}

/* The target of a symbolic link, or -1. */
static ssize_t read_target(struct listing *l, const struct store_attr *attr, char target[4096])
{
	struct store_attr now;
	ssize_t n;

	if (!S_ISLNK(attr->mode) || store_ref(l->store, attr->ino, &now) < 0)
		return -1;
	n = store_readlink(l->store, attr->ino, target, 4096);
	store_forget(l->store, attr->ino, 1);
	return n;
}

static void print_text(const char *path, size_t length, const struct store_attr *a,
		       const char *target, ssize_t target_length)
{
	char mode[11], time[64];

	mode_text(a->mode, mode);
	format_time(&a->mtime, time);
	time[16] = '\0'; /* to the minute */
	printf("%s %3llu %5u %5u %12llu %s ", mode, (unsigned long long)a->nlink, (unsigned)a->uid,
	       (unsigned)a->gid, (unsigned long long)a->size, time);
	print_name(path, length);
	if (target_length >= 0) {
		fputs(" -> ", stdout);
		print_name(target, (size_t)target_length);
	}
	putchar('\n');
}

static void print_entry(struct listing *l, const char *dir, const struct entry *e)
{
	bool whole = l->args->recursive && *dir;
	zu_cleanup_free char *path = NULL, *text = NULL;
	char target[4096];
	ssize_t length = read_target(l, &e->attr, target);
	int n = asprintf(&path, "%s%s%s", whole ? dir : "", whole && strcmp(dir, "/") ? "/" : "",
			 e->name);
	cJSON *json;

	if (n < 0) {
		path = NULL;
		l->no_memory = true;
		return;
	}
	if (!l->args->json) {
		print_text(path, (size_t)n, &e->attr, target, length);
		return;
	}
	json = attr_json(path, (size_t)n, &e->attr);
	if (json && length >= 0)
		json_bytes(json, "target", target, (size_t)length);
	text = json ? cJSON_PrintUnformatted(json) : NULL;
	cJSON_Delete(json);
	if (text)
		printf("%s\n  %s", l->first ? "" : ",", text);
	else
		l->no_memory = true;
	l->first = false;
}

static int list_one(struct listing *l, const struct todo *dir)
{
	struct store_attr attr;
	int r = store_ref(l->store, dir->ino, &attr);

	if (r < 0)
		return r;
	l->cookie = 0;
	for (;;) {
		l->count = 0;
		r = store_readdir(l->store, dir->ino, l->cookie, STORE_DIR_ATTRS, collect, l);
		if (r < 0 || !l->count)
			break;
		for (unsigned i = 0; i < l->count; i++) {
			const struct entry *e = &l->batch[i];

			print_entry(l, dir->path, e);
			if (l->args->recursive && S_ISDIR(e->attr.mode))
				push(l, e->attr.ino, dir->path, e->name);
		}
		if (ferror(stdout))
			break;
	}
	store_forget(l->store, dir->ino, 1);
	return r < 0 ? r : 0;
}

static int list_all(struct listing *l)
{
	int code = EXIT_FINE;

	while (l->todo) {
		zu_cleanup_free struct todo *dir = l->todo;
		int r;

		l->todo = dir->next;
		if (code != EXIT_FINE)
			continue; /* only to free the rest */
		r = ++l->directories > l->inodes ? -EIO : list_one(l, dir);
		if (r < 0)
			code = complain("%s: %s", dir->path,
					r == -EIO ? "damaged; run zcctl check" : strerror(-r));
		else if (l->no_memory)
			code = complain("no memory left");
	}
	return code;
}

static int run(struct listing *l, const char *path, const struct store_attr *attr)
{
	struct store_info info;
	int code = EXIT_FINE;

	store_get_info(l->store, &info);
	l->inodes = info.inodes;
	l->first = true;
	if (l->args->json)
		putchar('[');
	if (S_ISDIR(attr->mode)) {
		push(l, attr->ino, path, "");
		code = list_all(l);
	} else {
		struct entry *e = &l->batch[0];
		const char *name = strrchr(path, '/') + 1;

		e->attr = *attr;
		e->namelen = strnlen(name, sizeof(e->name) - 1);
		memcpy(e->name, name, e->namelen);
		e->name[e->namelen] = '\0';
		print_entry(l, "", e);
	}
	if (l->args->json)
		puts(l->first ? "]" : "\n]");
	return code;
}

int cmd_ls(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "recursive", 'R', NULL, 0, "With everything below, by full paths", 0 },
		{ "json", 'j', NULL, 0, "Print a JSON array", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE[:PATH]",
		.doc = "List the directory PATH (the root without it) of a store that is not "
		       "mounted: "
		       "mode, links, uid, gid, size, time of modification, name.",
	};
	zu_cleanup_free char *path = NULL;
	zu_cleanup_free struct listing *l = calloc(1, sizeof(*l));
	struct args a = { 0 };
	struct store_attr attr;
	int code;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (!l)
		return complain("no memory left");
	l->args = &a;
	code = offline_open(a.what, &l->store, &path, &attr);
	if (code != EXIT_FINE)
		return code;
	code = run(l, path, &attr);
	store_forget(l->store, attr.ino, 1);
	store_close(l->store);
	return finish(code);
}
