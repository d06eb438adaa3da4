/* SPDX-License-Identifier: MIT */
/* offline.c - looking into a store that is not mounted: STORE[:PATH]. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mounts.h"
#include "util/cleanup.h"
#include "zcctl.h"

static bool is_store(const char *path)
{
	zu_cleanup_free char *name = NULL;

	return asprintf(&name, "%s/format", path) >= 0 && access(name, F_OK) == 0;
}

/* Where the PATH of STORE:PATH starts; both may have colons in them. */
static char *split(char *text)
{
	if (is_store(text))
		return text + strlen(text);
	for (char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':')) {
		*colon = '\0';
		if (is_store(text))
			return colon + 1;
		*colon = ':';
	}
	/* Not there: let the whole be the store, for the error. */
	return text + strlen(text);
}

/* Only what is allowed in a signal handler. */
static void on_crash(int number)
{
	static const char text[] =
		"zcctl: crashed while reading the metadata: they are damaged; run "
		"zcctl check\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
	_exit(EXIT_CANNOT);
}

void guard_reader(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	static char stack[1 << 16];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = {
		.sa_handler = on_crash,
		.sa_flags = (int)(SA_ONSTACK | SA_RESETHAND),
	};

	/* Endless recursion leaves no other stack to run on. */
	sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
}

static int open_store(const char *path, struct store **ret)
{
	static const struct store_options options = { .read_only = true };
	zu_cleanup_free char *real = NULL, *point = NULL;
	struct zu_err err = { 0 };

	if (store_open(path, &options, ret, &err) == 0)
		return EXIT_FINE;
	real = err.code == EBUSY ? realpath(path, NULL) : NULL;
	point = real ? mount_of_store(real) : NULL;
	if (point)
		return complain("store %s: mounted at %s; look there, or unmount it first", path,
				point);
	return complain("%s", err.text);
}

/* Walk from the root; symbolic links are not followed. The result is referenced. */
static int walk(struct store *store, const char *path, struct store_attr *ret)
{
	zu_cleanup_free char *copy = strdup(path);
	struct store_attr at;
	char *save = NULL;
	int r = copy ? store_ref(store, 1, &at) : -ENOMEM;

	if (r < 0)
		return r;
	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		uint64_t parent = at.ino, up;

		if (!strcmp(part, "."))
			continue;
		if (!strcmp(part, "..")) {
			r = store_parent(store, parent, &up);
			if (r == 0)
				r = store_ref(store, up, &at);
		} else {
			r = store_lookup(store, parent, part, &at);
		}
		store_forget(store, parent, 1);
		if (r < 0)
			return r;
	}
	*ret = at;
	return 0;
}

int offline_open(const char *arg, struct store **ret_store, char **ret_path,
		 struct store_attr *ret_attr)
{
	zu_cleanup_free char *inside = mount_around(arg);
	zu_cleanup_free char *text = strdup(arg);
	zu_cleanup_free char *path = NULL;
	struct store *store;
	char *rest;
	int r;

	if (inside)
		return complain("%s: lies in the mount %s; use ls and stat themselves there", arg,
				inside);
	if (!text)
		return complain("no memory left");
	guard_reader();
	rest = split(text);
	while (*rest == '/')
		rest++;
	if (asprintf(&path, "/%s", rest) < 0)
		return complain("no memory left");
	r = open_store(text, &store);
	if (r != EXIT_FINE)
		return r;
	r = walk(store, path, ret_attr);
	if (r < 0) {
		store_close(store);
		return complain("store %s: %s: %s", text, path,
				r == -EIO ? "damaged; run zcctl check" : strerror(-r));
	}
	*ret_store = store;
	*ret_path = TAKE_PTR(path);
	return EXIT_FINE;
}

const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFBLK:
		return "block";
	case S_IFCHR:
		return "char";
	default:
		return "unknown";
	}
}

void mode_text(mode_t mode, char text[11])
{
	static const char bits[] = "rwxrwxrwx";
	static const char types[] = "?pc?d?b?-?l?s???";

	text[0] = types[mode >> 12 & 15];
	for (int i = 0; i < 9; i++)
		text[i + 1] = mode & (0400u >> i) ? bits[i] : '-';
	if (mode & S_ISUID)
		text[3] = text[3] == 'x' ? 's' : 'S';
	if (mode & S_ISGID)
		text[6] = text[6] == 'x' ? 's' : 'S';
	if (mode & S_ISVTX)
		text[9] = text[9] == 'x' ? 't' : 'T';
	text[10] = '\0';
}

cJSON *attr_json(const char *path, size_t length, const struct store_attr *a)
{
	cJSON *json = cJSON_CreateObject();
	char mode[16];

	if (!json)
		return NULL;
	json_bytes(json, "path", path, length);
	cJSON_AddStringToObject(json, "type", type_name(a->mode));
	json_u64(json, "ino", a->ino);
	json_u64(json, "generation", a->generation);
	snprintf(mode, sizeof(mode), "%04o", (unsigned)a->mode & 07777);
	cJSON_AddStringToObject(json, "mode", mode);
	json_u64(json, "nlink", a->nlink);
	json_u64(json, "uid", a->uid);
	json_u64(json, "gid", a->gid);
	json_u64(json, "size", a->size);
	json_u64(json, "blocks", a->blocks);
	if (S_ISCHR(a->mode) || S_ISBLK(a->mode)) {
		json_u64(json, "major", major(a->rdev));
		json_u64(json, "minor", minor(a->rdev));
	}
	cJSON_AddStringToObject(json, "policy",
				a->flags & STORE_INODE_EXPLICIT ? "explicit" : "auto");
	cJSON_AddBoolToObject(json, "live", !!(a->flags & STORE_INODE_LIVE));
	json_time(json, "atime", &a->atime);
	json_time(json, "mtime", &a->mtime);
	json_time(json, "ctime", &a->ctime);
	json_time(json, "btime", &a->btime);
	return json;
}
