/* SPDX-License-Identifier: MIT */
/* stats.c - see stats.h. */
#include "stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/zc_ctl.h"
#include "ctl_client.h"
#include "util/cleanup.h"
#include "zcctl.h"

static int no_mount(const char *point)
{
	zu_cleanup_free char *around = mount_around(point);

	if (around)
		return complain("%s: lies in the mount %s; name that", point, around);
	return complain("%s: no mount of zcfs", point);
}

int stats_open(const char *point, struct stats_source *ret_source, cJSON **ret_json)
{
	struct stats_source source = { 0 };
	struct zu_err err = { 0 };
	int r = mount_find(point, &source.mount);

	if (r < 0)
		return complain("/proc/self/mountinfo: %s; mount /proc", strerror(-r));
	if (r == 0 || strcmp(source.mount.type, MOUNT_TYPE)) {
		stats_close(&source);
		return no_mount(point);
	}
	if (source.mount.source[0] == '/')
		source.store = strdup(source.mount.source);
	else /* -o fsname */
		source.store = ctl_find_store(source.mount.point, source.mount.uid);
	r = source.store ? ctl_ask(source.store, source.mount.uid, ZC_CTL_STATS, source.address,
				   ret_json, &err)
			 : -ENOENT;
	if (r == 0) {
		*ret_source = source;
		return EXIT_FINE;
	}
	stats_close(&source);
	if (r == -ENOENT)
		return complain("%s: no daemon answers for this mount (mounted read-only?)", point);
	return complain("%s", err.text);
}

int stats_ask(const struct stats_source *source, cJSON **ret_json, struct zu_err *err)
{
	return ctl_ask_at(source->address, source->mount.uid, ZC_CTL_STATS, NULL, 0, ret_json, err);
}

void stats_close(struct stats_source *source)
{
	mount_clear(&source->mount);
	free(source->store);
	source->store = NULL;
}

double stats_number(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

const char *stats_duration(double seconds, char buf[32])
{
	static const char *const units[] = { "s", "ms", "us", "ns" };
	unsigned unit = 0;

	while (unit < 3 && seconds < 1) {
		seconds *= 1000;
		unit++;
	}
	snprintf(buf, 32, seconds < 10 ? "%.2f %s" : "%.1f %s", seconds, units[unit]);
	return buf;
}

unsigned stats_paths(const cJSON *json, struct stats_path list[STATS_PATHS])
{
	const cJSON *item;
	unsigned n = 0;

	cJSON_ArrayForEach(item, json) {
		struct stats_path *p = &list[n];
		char bytes[64];
		size_t length = item->string ? strlen(item->string) : 0;

		if (n == STATS_PATHS || length <= 4 || length >= sizeof(p->name) ||
		    strcmp(item->string + length - 4, "_ops") != 0)
			continue;
		snprintf(p->name, sizeof(p->name), "%.*s", (int)length - 4, item->string);
		snprintf(bytes, sizeof(bytes), "%s_bytes", p->name);
		p->bytes = stats_number(json, bytes);
		p->ops = stats_number(json, item->string);
		n++;
	}
	return n;
}
