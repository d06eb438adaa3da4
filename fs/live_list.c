/* SPDX-License-Identifier: MIT */
/*
 * live_list.c - what the control socket tells of live files: LIVE_LIST (abi/zc_ctl.h).
 */
#include <errno.h>
#include <stdio.h>

#include "abi/zc_ctl.h"
#include "fs.h"
#include "live.h"
#include "passthrough.h"

struct listing {
	cJSON *images;
	size_t room; /* bytes, about */
	unsigned left_out;
	bool good;
};

static bool add_u64(cJSON *json, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cJSON_AddRawToObject(json, name, text) != NULL;
}

static bool add_clients(cJSON *json, const struct live_info *info)
{
	const unsigned most = sizeof(info->client) / sizeof(info->client[0]);
	cJSON *array = cJSON_AddArrayToObject(json, "clients");
	bool good = array != NULL;

	for (unsigned i = 0; i < info->clients && i < most && good; i++) {
		const struct live_client_info *c = &info->client[i];
		cJSON *one = cJSON_CreateObject();

		good = one && cJSON_AddNumberToObject(one, "pid", c->pid) &&
		       cJSON_AddNumberToObject(one, "uid", c->uid) &&
		       cJSON_AddBoolToObject(one, "writable", c->writable) &&
		       cJSON_AddBoolToObject(one, "tracked", c->tracked) &&
		       cJSON_AddItemToArray(array, one);
	}
	return good;
}

static bool add_image(cJSON *json, const struct live_info *i)
{
	char age[24];

	snprintf(age, sizeof(age), "%lld", (long long)i->commit_age_ms);
	return add_u64(json, "ino", i->ino) && add_u64(json, "id", i->id) &&
	       add_u64(json, "generation", i->generation) && add_u64(json, "size", i->size) &&
	       add_u64(json, "capacity", i->capacity) &&
	       add_u64(json, "resident_bytes", i->resident) &&
	       cJSON_AddStringToObject(json, "state", i->state) &&
	       cJSON_AddStringToObject(json, "kind", "default") &&
	       cJSON_AddStringToObject(json, "policy", i->explicit_policy ? "explicit" : "auto") &&
	       add_u64(json, "dirty_pages", i->dirty_pages) &&
	       cJSON_AddRawToObject(json, "commit_age_ms", age) &&
	       add_u64(json, "commits", i->commits) && add_u64(json, "compares", i->compares) &&
	       add_u64(json, "fill_ms", i->fill_ms) && add_u64(json, "client_count", i->clients) &&
	       add_clients(json, i);
}

static bool add_one(void *arg, const struct live_info *info)
{
	struct listing *l = arg;
	size_t size = 512 + (info->clients < 64 ? info->clients : 64) * 80u;
	cJSON *one;

	if (size > l->room) {
		l->left_out++;
		return true;
	}
	l->room -= size;
	one = cJSON_CreateObject();
	l->good = one && cJSON_AddItemToArray(l->images, one) && add_image(one, info);
	return l->good;
}

static void add_passed(void *arg, const struct passthrough_facts *f)
{
	struct listing *l = arg;
	cJSON *one;
	int64_t age = f->committed_ms ? fs_now_ms() - f->committed_ms : -1;

	if (!l->good || l->room < 512) {
		l->left_out++;
		return;
	}
	l->room -= 512;
	one = cJSON_CreateObject();
	l->good =
		one && cJSON_AddItemToArray(l->images, one) && add_u64(one, "ino", f->ino) &&
		add_u64(one, "id", f->ino) && add_u64(one, "size", f->size) &&
		add_u64(one, "capacity", f->size) && add_u64(one, "resident_bytes", f->resident) &&
		cJSON_AddStringToObject(one, "state", "live") &&
		cJSON_AddStringToObject(one, "kind", "passthrough") &&
		add_u64(one, "dirty_pages", f->dirty_pages) &&
		cJSON_AddNumberToObject(one, "commit_age_ms", (double)age) &&
		add_u64(one, "opens", f->opens) && add_u64(one, "writers", f->writers) &&
		add_u64(one, "client_count", f->attached) && cJSON_AddArrayToObject(one, "clients");
}

int live_ctl_list(void *arg, cJSON *into)
{
	struct listing l = { .room = ZC_CTL_REPLY_MAX - 1024, .good = true };
	struct live_stats stats;

	if (!fs_live)
		return -EROFS;
	live_get_stats(fs_live, &stats);
	l.good = add_u64(into, "limit_bytes", stats.limit) &&
		 add_u64(into, "used_bytes", stats.used) &&
		 add_u64(into, "attaches", stats.attaches) &&
		 add_u64(into, "commits", stats.commits) &&
		 add_u64(into, "compares", stats.compares) &&
		 add_u64(into, "written_pages", stats.written_pages) &&
		 add_u64(into, "compared_pages", stats.compared_pages) &&
		 add_u64(into, "foreign_seals", stats.foreign_seals);
	l.images = cJSON_AddArrayToObject(into, "images");
	if (!l.good || !l.images)
		return -ENOMEM;
	live_list(fs_live, add_one, &l);
	passthrough_each(add_passed, &l);
	return l.good && add_u64(into, "left_out", l.left_out) ? 0 : -ENOMEM;
}
