/* SPDX-License-Identifier: MIT */
/*
 * cmd_info.c - zcctl info STORE|MNT: from the daemon if one has the store, else from the store
 * itself, read-only. A mount is never looked at, only the table of mounts: it may hang.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_client.h"
#include "mounts.h"
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
			argp_error(state, "one STORE or MNT only, not also %s", arg);
		a->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->what)
			argp_error(state, "STORE or MNT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* "pending_bytes: 123 (123 B)": one member a line, nested ones with their path. */
static void print_text(const cJSON *json, const char *prefix)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, json) {
		char name[128], size[32];
		size_t length;

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix && item->string ? "." : "",
			 item->string ? item->string : "");
		length = strlen(name);
		if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
			print_text(item, name);
		} else if (cJSON_IsString(item)) {
			printf("%s: ", name);
			print_name(item->valuestring, strlen(item->valuestring));
			putchar('\n');
		} else {
			zu_cleanup_free char *text = cJSON_PrintUnformatted(item);

			printf("%s: %s", name, text ? text : "?");
			if (length > 5 && !strcmp(name + length - 5, "bytes") &&
			    cJSON_IsNumber(item) && item->valuedouble >= 1024)
				printf(" (%s)", human((uint64_t)item->valuedouble, size));
			putchar('\n');
		}
	}
}

static cJSON *offline_json(const char *path, const struct store_info *info)
{
	cJSON *json = cJSON_CreateObject();
	char uuid[37];

	if (!json)
		return NULL;
	uuid_text(info->uuid, uuid);
	cJSON_AddStringToObject(json, "store", path);
	cJSON_AddStringToObject(json, "uuid", uuid);
	cJSON_AddBoolToObject(json, "mounted", false);
	json_u64(json, "format_version", info->version);
	json_u64(json, "incompat", info->incompat);
	json_u64(json, "ro_compat", info->ro_compat);
	json_u64(json, "compat", info->compat);
	json_u64(json, "commit", info->commit);
	cJSON_AddBoolToObject(json, "checksums", info->checksum);
	json_u64(json, "inodes", info->inodes);
	json_u64(json, "page_file_bytes", info->pages * 4096);
	json_u64(json, "used_bytes", (info->pages - info->free_pages) * 4096);
	json_u64(json, "free_bytes", info->free_pages * 4096);
	json_u64(json, "limit_bytes", info->limit_pages * 4096);
	json_u64(json, "total_bytes", info->total_pages * 4096);
	json_u64(json, "available_bytes", info->avail_pages * 4096);
	return json;
}

/* A store that no daemon has. */
static int from_store(const char *path, cJSON **ret_json, struct zu_err *err)
{
	static const struct store_options options = { .read_only = true };
	zu_cleanup_free char *real = realpath(path, NULL);
	struct store_info info;
	struct store *store;
	int r;

	guard_reader();
	r = store_open(path, &options, &store, err);
	if (r < 0)
		return r;
	store_get_info(store, &info);
	store_close(store);
	*ret_json = offline_json(real ? real : path, &info);
	return *ret_json ? 0 : zu_err_set(err, ENOMEM, "no memory left");
}

/* Of the store `path`, mounted at `point` or not at all (NULL). */
static int from_anywhere(const char *path, const char *point, uid_t uid, cJSON **ret_json,
			 struct zu_err *err)
{
	struct zu_err ctl_err = { 0 };
	char address[108];
	int r = ctl_ask(path, uid, ZC_CTL_INFO, address, ret_json, &ctl_err);

	if (r == 0) {
		cJSON_AddBoolToObject(*ret_json, "mounted", true);
		cJSON_AddStringToObject(*ret_json, "socket", address);
		return 0;
	}
	r = from_store(path, ret_json, err);
	if (r == 0 && point) { /* mounted read-only, and its daemon has no socket */
		cJSON_ReplaceItemInObject(*ret_json, "mounted", cJSON_CreateBool(true));
		cJSON_AddStringToObject(*ret_json, "mount", point);
	}
	/* Why the daemon that uses it does not answer is the better reason. */
	if (r == -EBUSY && ctl_err.code)
		*err = ctl_err;
	else if (r == -EBUSY)
		zu_err_set(
			err, EBUSY,
			"store %s: in use by a process without a control socket; ask again when it "
			"is done, or unmount it",
			path);
	return r;
}

int cmd_info(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE|MNT",
		.doc = "Facts of a store, or of the store that is mounted at MNT. Never waits for "
		       "a "
		       "mount that hangs.",
	};
	zu_cleanup(mount_clear) struct mount mount = { 0 };
	zu_cleanup_free char *around = NULL, *named = NULL;
	struct args a = { 0 };
	struct zu_err err = { 0 };
	cJSON *json = NULL;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	r = mount_find(a.what, &mount);
	if (r < 0)
		return complain("/proc/self/mountinfo: %s; mount /proc", strerror(-r));
	if (r == 0)
		around = mount_around(a.what);
	if (around)
		return complain("%s: lies in the mount %s; name that", a.what, around);
	if (r == 1 && !strcmp(mount.type, MOUNT_TYPE) && mount.source[0] != '/')
		named = ctl_find_store(mount.point, mount.uid); /* -o fsname */
	if (r == 1 && !strcmp(mount.type, MOUNT_TYPE))
		r = from_anywhere(named ? named : mount.source, mount.point, mount.uid, &json,
				  &err);
	else
		r = from_anywhere(a.what, NULL, geteuid(), &json, &err);
	if (r < 0)
		return complain("%s", err.text);
	if (a.json)
		json_print(json);
	else
		print_text(json, "");
	cJSON_Delete(json);
	return finish(EXIT_FINE);
}
