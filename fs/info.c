/* SPDX-License-Identifier: MIT */
/* info.c - facts of the mount: for the control socket, and for the daemon itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "ctl_calls.h"
#include "fs.h"
#include "info.h"
#include "live.h"
#include "passthrough.h"

bool info_add_u64(cJSON *json, const char *name, uint64_t value)
{
	char text[24];

	/* cJSON's numbers are doubles. */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cJSON_AddRawToObject(json, name, text) != NULL;
}

static bool add_of_path(cJSON *json, const char *path, const char *what, uint64_t value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%s", path, what);
	return info_add_u64(json, name, value);
}

bool info_add_paths(cJSON *json, const struct store_info *s)
{
	bool good = true;

	for (unsigned i = 0; i < STORE_PATHS; i++) {
		good = good && add_of_path(json, store_path_name(i), "bytes", s->paths[i].bytes);
		good = good && add_of_path(json, store_path_name(i), "ops", s->paths[i].ops);
	}
	return good;
}

static bool add_store(cJSON *json, const struct store_info *s)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "format_version", s->version },
		{ "incompat", s->incompat },
		{ "ro_compat", s->ro_compat },
		{ "compat", s->compat },
		{ "commit", s->commit },
		{ "commits", s->commits },
		{ "logged_commits", s->logged_commits },
		{ "logged_bytes", s->logged_bytes },
		{ "inodes", s->inodes },
		{ "page_file_bytes", s->pages * FS_PAGE },
		{ "used_bytes", (s->pages - s->free_pages) * FS_PAGE },
		{ "free_bytes", s->free_pages * FS_PAGE },
		{ "limit_bytes", s->limit_pages * FS_PAGE },
		{ "total_bytes", s->total_pages * FS_PAGE },
		{ "available_bytes", s->avail_pages * FS_PAGE },
		{ "pending_files", s->pending_files },
		{ "pending_bytes", s->pending_pages * FS_PAGE },
		{ "buffered_bytes", s->buffered_bytes },
		{ "known_inodes", s->known_inodes },
		{ "cached_inodes", s->cached_inodes },
	};
	bool good = info_add_paths(json, s);
	uint64_t fallbacks = 0;

	for (unsigned i = 0; i < STORE_FALLBACKS; i++)
		fallbacks += s->fallbacks[i];
	good = good && info_add_u64(json, "write_fallbacks", fallbacks);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		good = good && info_add_u64(json, numbers[i].name, numbers[i].value);
	good = good && cJSON_AddBoolToObject(json, "read_only", s->read_only);
	good = good && cJSON_AddBoolToObject(json, "direct_io", s->direct);
	good = good && cJSON_AddBoolToObject(json, "host_fallocate", s->can_allocate);
	good = good && cJSON_AddBoolToObject(json, "host_punch", s->can_punch);
	cJSON_AddBoolToObject(json, "checksums", s->checksum);
	if (s->failed)
		good = good && cJSON_AddStringToObject(json, "failure", s->failure) &&
		       info_add_u64(json, "failed_at", (uint64_t)s->failed_at.tv_sec);
	return good;
}

static bool add_live(cJSON *json)
{
	struct live_stats s;
	bool good = true;

	if (!fs_live)
		return true;
	live_get_stats(fs_live, &s);
	good = good && info_add_u64(json, "live_limit_bytes", s.limit);
	good = good && info_add_u64(json, "live_used_bytes", s.used);
	good = good && info_add_u64(json, "live_images", s.images);
	good = good && info_add_u64(json, "live_clients", s.clients);
	good = good && info_add_u64(json, "live_capacity_bytes", s.capacity);
	good = good && info_add_u64(json, "live_resident_bytes", s.resident);
	good = good && info_add_u64(json, "live_attaches", s.attaches);
	good = good && info_add_u64(json, "live_refused", s.refused);
	good = good && info_add_u64(json, "live_commits", s.commits);
	good = good && info_add_u64(json, "live_compares", s.compares);
	good = good && info_add_u64(json, "live_written_bytes", s.written_pages * FS_PAGE);
	good = good && info_add_u64(json, "live_compared_bytes", s.compared_pages * FS_PAGE);
	good = good && info_add_u64(json, "live_foreign_seals", s.foreign_seals);
	return good;
}

static bool add_passthrough(cJSON *json)
{
	static const char *const modes[] = { "off", "marked", "all" };
	struct passthrough_totals t;
	bool good = cJSON_AddStringToObject(json, "passthrough", modes[fs.opt.passthrough]) != NULL;

	if (!fs.opt.passthrough)
		return good;
	passthrough_get_totals(&t);
	good = good && info_add_u64(json, "passthrough_images", t.images);
	good = good && info_add_u64(json, "passthrough_bytes", t.bytes);
	good = good && info_add_u64(json, "passthrough_resident_bytes", t.resident);
	good = good && info_add_u64(json, "passthrough_opens", t.opens);
	good = good && info_add_u64(json, "passthrough_refused", t.refused);
	good = good && info_add_u64(json, "passthrough_lingering", t.lingering);
	good = good && info_add_u64(json, "passthrough_compared_bytes", t.compared_bytes);
	good = good && info_add_u64(json, "passthrough_stored_bytes", t.stored_bytes);
	return good;
}

static bool add_idle(cJSON *json)
{
	struct idle_facts facts;

	idle_get_facts(&facts);
	return cJSON_AddBoolToObject(json, "idle_poll", facts.on) &&
	       cJSON_AddBoolToObject(json, "idle_polling", facts.now) &&
	       info_add_u64(json, "idle_polled", facts.times);
}

static bool add_follow(cJSON *json)
{
	struct follow_facts facts;

	follow_get_facts(&facts);
	return cJSON_AddBoolToObject(json, "follow", facts.on) &&
	       cJSON_AddNumberToObject(json, "follow_cpu", facts.cpu) &&
	       info_add_u64(json, "follow_entries", facts.entries) &&
	       info_add_u64(json, "follow_moves", facts.moves) &&
	       info_add_u64(json, "follow_starved", facts.starved);
}

static bool add_mount(cJSON *json)
{
	bool good = true;

	good = good && cJSON_AddStringToObject(json, "mount", fs.opt.mnt);
	good = good && cJSON_AddStringToObject(json, "cache",
					       fs.opt.writeback ? "writeback"
					       : fs.opt.direct	? "none"
								: "through");
	good = good && add_live(json);
	good = good && add_passthrough(json);
	good = good && info_add_u64(json, "workers", fs.opt.workers);
	good = good && add_follow(json) && add_idle(json);
	good = good && info_add_u64(json, "commit_seconds", fs.opt.commit_seconds);
	good = good && info_add_u64(json, "fuse_minor", fs.init_minor);
	good = good && info_add_u64(json, "fuse_offered", fs.init_offered);
	good = good && info_add_u64(json, "fuse_flags", fs.init_flags);
	good = good && info_add_u64(json, "requests", ledger_requests());
	good = good && info_add_u64(json, "deliveries", fs.deliveries);
	good = good && ledger_add_paths(json);
	return good;
}

static int info(void *arg, cJSON *into)
{
	struct store_info s;

	store_get_info(fs.store, &s);
	return add_mount(into) && add_store(into, &s) ? 0 : -ENOMEM;
}

void info_start(struct ctl_server **ret_server)
{
	const struct ctl_hooks hooks = {
		.everybody = fs.opt.fuse && strstr(fs.opt.fuse, "allow_other"),
		.info = info,
		.stats = stats_tell,
		.scrub = scrub_step,
		.call = ctl_calls_take,
		.list = live_ctl_list,
		.gone = ctl_calls_gone,
	};
	struct store_info s;
	struct zu_err err = { 0 };

	stats_start();
	/* Readers share a store: its name is the writer's. */
	if (fs.opt.read_only)
		return;
	store_get_info(fs.store, &s);
	if (ctl_server_start(fs.opt.store, s.uuid, &hooks, ret_server, &err) < 0)
		log_text(LOG_WARNING, "%s; zcctl cannot ask this mount", err.text);
	else
		ioctl_set_address(ctl_server_address(*ret_server));
}

bool info_low_on_space(void)
{
	static _Atomic int64_t looked_at;
	static _Atomic bool low;
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	if (now - atomic_load_explicit(&looked_at, memory_order_relaxed) >= 50) {
		struct store_info s;
		uint64_t room;

		atomic_store_explicit(&looked_at, now, memory_order_relaxed);
		store_get_info(fs.store, &s);
		/* 64 MiB, of a small store a sixteenth */
		room = s.total_pages / 16 < 16384 ? s.total_pages / 16 : 16384;
		atomic_store_explicit(&low, s.avail_pages < room, memory_order_relaxed);
	}
	return atomic_load_explicit(&low, memory_order_relaxed);
}
