/* SPDX-License-Identifier: MIT */
/*
 * stats_prometheus.c - the ledger in Prometheus's text format. Every sample has the label `mount`, so that
 * the texts of several mounts can be told from each other. Units are seconds and bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"
#include "util/cleanup.h"
#include "zcctl.h"

#define NS 1e9

struct writer {
	const cJSON *json;
	char *mount; /* escaped */
};

static const cJSON *part(const cJSON *json, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(json, name);
}

/* The value of a label: UTF-8, with \\, \" and \n. */
static char *escaped(const char *value)
{
	cJSON *json = cJSON_CreateObject();
	const char *good;
	char *text = NULL;
	size_t out = 0;

	json_bytes(json, "v", value, strlen(value));
	good = cJSON_GetStringValue(part(json, "v"));
	if (good)
		text = malloc(2 * strlen(good) + 1);
	for (; text && *good; good++) {
		if (*good == '\\' || *good == '"' || *good == '\n')
			text[out++] = '\\';
		text[out++] = *good == '\n' ? 'n' : *good;
	}
	if (text)
		text[out] = '\0';
	cJSON_Delete(json);
	return text;
}

static void head(const char *metric, const char *type, const char *help)
{
	printf("# HELP zcfs_%s %s\n# TYPE zcfs_%s %s\n", metric, help, metric, type);
}

/* `label` NULL: none but the mount's. Values of ours need no escaping. */
static void sample(const struct writer *w, const char *metric, const char *end, const char *label,
		   const char *value, double number)
{
	printf("zcfs_%s%s{mount=\"%s\"", metric, end, w->mount);
	if (label)
		printf(",%s=\"%s\"", label, value);
	/* Counters of 53 bits exactly. */
	printf(number == (double)(uint64_t)number ? "} %.0f\n" : "} %.9f\n", number);
}

static void one(const struct writer *w, const char *metric, const char *type, const char *help,
		double number)
{
	head(metric, type, help);
	sample(w, metric, "", NULL, NULL, number);
}

static void info(const struct writer *w)
{
	static const char *const labels[] = { "store", "uuid", "version" };

	head("info", "gauge", "What is mounted.");
	printf("zcfs_info{mount=\"%s\"", w->mount);
	for (unsigned i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		const char *value = cJSON_GetStringValue(part(w->json, labels[i]));
		zu_cleanup_free char *good = escaped(value ? value : "");

		printf(",%s=\"%s\"", labels[i], good ? good : "");
	}
	printf("} 1\n");
}

static void process(const struct writer *w)
{
	const cJSON *j = w->json;

	one(w, "uptime_seconds", "gauge", "Time since the mount.",
	    stats_number(j, "uptime_nanoseconds") / NS);
	head("cpu_seconds_total", "counter", "CPU time of the daemon.");
	sample(w, "cpu_seconds_total", "", "mode", "user",
	       stats_number(j, "cpu_user_nanoseconds") / NS);
	sample(w, "cpu_seconds_total", "", "mode", "system",
	       stats_number(j, "cpu_system_nanoseconds") / NS);
	one(w, "resident_memory_bytes", "gauge", "Memory of the daemon.",
	    stats_number(j, "memory_bytes"));
	one(w, "longest_write_bytes", "gauge", "What one request carries at most.",
	    stats_number(j, "longest_write_bytes"));
	one(w, "buffered_bytes", "gauge", "Small writes kept in memory.",
	    stats_number(j, "buffered_bytes"));
	one(w, "pending_bytes", "gauge", "Bytes that no commit has yet.",
	    stats_number(j, "pending_bytes"));
	one(w, "pending_files", "gauge", "Files with such bytes.",
	    stats_number(j, "pending_files"));
	one(w, "cached_inodes", "gauge", "Inodes in memory.", stats_number(j, "cached_inodes"));
	one(w, "image_files", "gauge", "Live and passed files with an image.",
	    stats_number(j, "image_files"));
	one(w, "image_memory_bytes", "gauge", "Memory that images take.",
	    stats_number(j, "image_memory_bytes"));
	one(w, "deliveries_total", "counter", "Times the kernel was asked to write a file back.",
	    stats_number(j, "deliveries"));
}

/* The paths below `family`, as labels. */
static void paths(const struct writer *w, const char *family, const char *what)
{
	struct stats_path list[STATS_PATHS];
	unsigned n = stats_paths(w->json, list);
	size_t length = strlen(family);
	char metric[64], help[128];

	for (unsigned pass = 0; pass < 2; pass++) {
		snprintf(metric, sizeof(metric), "%s_%s_total", family,
			 pass ? "operations" : "bytes");
		snprintf(help, sizeof(help), "%s %s by the path they took.",
			 pass ? "Operations:" : "Bytes", what);
		head(metric, "counter", help);
		for (unsigned i = 0; i < n; i++)
			if (!strncmp(list[i].name, family, length) && list[i].name[length] == '_')
				sample(w, metric, "", "path", list[i].name + length + 1,
				       pass ? list[i].ops : list[i].bytes);
	}
}

static void counts(const struct writer *w, const char *name, const char *metric, const char *label,
		   const char *help)
{
	const cJSON *item;

	head(metric, "counter", help);
	cJSON_ArrayForEach(item, part(w->json, name))
		sample(w, metric, "", label, item->string, item->valuedouble);
}

/* A summary without quantiles, and the longest. */
static void timings(const struct writer *w, const char *name, const char *metric, const char *label,
		    const char *counted, const char *help)
{
	const cJSON *item;
	char most[64];

	head(metric, "summary", help);
	cJSON_ArrayForEach(item, part(w->json, name)) {
		sample(w, metric, "_sum", label, item->string,
		       stats_number(item, "nanoseconds") / NS);
		sample(w, metric, "_count", label, item->string, stats_number(item, counted));
	}
	snprintf(most, sizeof(most), "%s_max", metric);
	head(most, "gauge", "The longest of them since the mount.");
	cJSON_ArrayForEach(item, part(w->json, name))
		sample(w, most, "", label, item->string,
		       stats_number(item, "max_nanoseconds") / NS);
}

static void requests(const struct writer *w)
{
	const cJSON *item;

	head("requests_total", "counter", "Requests of the kernel by operation.");
	cJSON_ArrayForEach(item, part(w->json, "operations"))
		sample(w, "requests_total", "", "operation", item->string,
		       stats_number(item, "count"));
	timings(w, "operations", "request_duration_seconds", "operation", "answered",
		"From a request to the end of its answer, by operation.");
}

void stats_print_prometheus(const cJSON *json)
{
	const char *mount = cJSON_GetStringValue(part(json, "mount"));
	zu_cleanup_free char *good = escaped(mount ? mount : "");
	const struct writer w = { .json = json, .mount = good };

	if (!good)
		return;
	info(&w);
	process(&w);
	paths(&w, "read", "answered to READ requests,");
	paths(&w, "write", "of WRITE requests,");
	paths(&w, "flush", "put down by the engine itself,");
	counts(&w, "fallbacks", "fallbacks_total", "reason",
	       "Times that a path that costs less was not taken.");
	counts(&w, "errors", "errors_total", "errno", "Requests answered with an error.");
	requests(&w);
	timings(&w, "commits", "commit_duration_seconds", "kind", "count",
		"Commits, into the metadata (whole) or the intent log (logged).");
}
