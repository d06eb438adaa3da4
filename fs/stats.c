/* SPDX-License-Identifier: MIT */
/* stats.c - the ledger as the control socket tells it (STATS), with what belongs to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "info.h"
#include "live.h"
#include "passthrough.h"
#include "util/cleanup.h"
#include "util/fdio.h"

static uint64_t began;

static uint64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t of_timeval(const struct timeval *t)
{
	return ((uint64_t)t->tv_sec * 1000000u + (uint64_t)t->tv_usec) * 1000u;
}

/* 0: there is no /proc. */
static uint64_t resident_bytes(void)
{
	zu_cleanup_close int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	unsigned long long size, resident;
	char text[128] = "";

	if (fd < 0 || zu_read_full(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool add_process(cJSON *json)
{
	uint64_t now = monotonic();
	struct rusage use;

	if (getrusage(RUSAGE_SELF, &use) < 0)
		return false;
	return info_add_u64(json, "uptime_nanoseconds", now - began) &&
	       info_add_u64(json, "cpu_user_nanoseconds", of_timeval(&use.ru_utime)) &&
	       info_add_u64(json, "cpu_system_nanoseconds", of_timeval(&use.ru_stime)) &&
	       info_add_u64(json, "memory_bytes", resident_bytes());
}

static bool add_timing(cJSON *into, const char *name, const struct store_timing *t)
{
	cJSON *json = cJSON_AddObjectToObject(into, name);

	return json && info_add_u64(json, "count", t->count) &&
	       info_add_u64(json, "nanoseconds", t->ns) &&
	       info_add_u64(json, "max_nanoseconds", t->most);
}

static bool add_engine(cJSON *json, const struct store_info *s)
{
	cJSON *fallbacks = cJSON_GetObjectItem(json, "fallbacks"), *commits;
	bool good = info_add_paths(json, s);

	for (unsigned i = 0; i < STORE_FALLBACKS && good; i++)
		good = info_add_u64(fallbacks, store_fallback_name(i), s->fallbacks[i]);
	commits = cJSON_AddObjectToObject(json, "commits");
	return good && commits && add_timing(commits, "whole", &s->whole) &&
	       add_timing(commits, "logged", &s->logged) &&
	       info_add_u64(json, "known_inodes", s->known_inodes) &&
	       info_add_u64(json, "cached_inodes", s->cached_inodes) &&
	       info_add_u64(json, "pending_files", s->pending_files) &&
	       info_add_u64(json, "pending_bytes", s->pending_pages * FS_PAGE) &&
	       info_add_u64(json, "buffered_bytes", s->buffered_bytes);
}

static bool add_images(cJSON *json)
{
	struct passthrough_totals passed = { 0 };
	struct live_stats live = { 0 };

	if (fs_live)
		live_get_stats(fs_live, &live);
	if (fs.opt.passthrough)
		passthrough_get_totals(&passed);
	return info_add_u64(json, "image_files", live.images + passed.images) &&
	       info_add_u64(json, "image_memory_bytes", live.resident + passed.resident);
}

void stats_start(void)
{
	began = monotonic();
}

int stats_tell(void *arg, cJSON *into)
{
	struct store_info s;
	bool good;

	store_get_info(fs.store, &s);
	good = cJSON_AddStringToObject(into, "mount", fs.opt.mnt) &&
	       info_add_u64(into, "workers", fs.opt.workers) &&
	       info_add_u64(into, "longest_write_bytes", receive_max_pages() * (uint64_t)FS_PAGE) &&
	       add_process(into) && info_add_u64(into, "requests", ledger_requests()) &&
	       info_add_u64(into, "deliveries", fs.deliveries) && ledger_add_paths(into) &&
	       ledger_add_rest(into) && add_engine(into, &s) && add_images(into);
	return good ? 0 : -ENOMEM;
}
