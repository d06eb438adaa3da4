/* SPDX-License-Identifier: MIT */
/* stats_text.c - the ledger for people: all since the mount, or rates between two looks at it. */
#include <stdio.h>
#include <string.h>

#include "stats.h"
#include "zcctl.h"

#define NS 1e9

static const char *text(const cJSON *json, const char *name)
{
	const char *t = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

	return t ? t : "";
}

static const cJSON *part(const cJSON *json, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(json, name);
}

static void print_uptime(double seconds, FILE *out)
{
	unsigned long long s = (unsigned long long)seconds;

	if (s >= 86400)
		fprintf(out, "%llu d ", s / 86400);
	fprintf(out, "%llu:%02llu:%02llu", s / 3600 % 24, s / 60 % 60, s % 60);
}

/* "  splice" below "read" */
static void print_label(const char *name, FILE *out)
{
	const char *rest = strchr(name, '_');

	if (rest && (!strncmp(name, "read_", 5) || !strncmp(name, "write_", 6)))
		fprintf(out, "  %-16s", rest + 1);
	else
		fprintf(out, "%-18s", name);
}

static void print_memory(const cJSON *json, FILE *out)
{
	char buffered[32], pending[32], images[32];

	fprintf(out,
		"Buffered %s, pending %s in %.0f files, %.0f inodes known, %.0f images with %s\n",
		human((uint64_t)stats_number(json, "buffered_bytes"), buffered),
		human((uint64_t)stats_number(json, "pending_bytes"), pending),
		stats_number(json, "pending_files"), stats_number(json, "cached_inodes"),
		stats_number(json, "image_files"),
		human((uint64_t)stats_number(json, "image_memory_bytes"), images));
}

/* ---- since the mount ---------------------------------------------------------------------- */

static void print_head(const cJSON *json)
{
	char user[32], kernel[32], memory[32];

	fputs("Mount ", stdout);
	print_name(text(json, "mount"), strlen(text(json, "mount")));
	fputs(", store ", stdout);
	print_name(text(json, "store"), strlen(text(json, "store")));
	fputs(", up ", stdout);
	print_uptime(stats_number(json, "uptime_nanoseconds") / NS, stdout);
	printf("\nProcess %.0f, %.0f workers, CPU %s user %s system, memory %s\n",
	       stats_number(json, "pid"), stats_number(json, "workers"),
	       stats_duration(stats_number(json, "cpu_user_nanoseconds") / NS, user),
	       stats_duration(stats_number(json, "cpu_system_nanoseconds") / NS, kernel),
	       human((uint64_t)stats_number(json, "memory_bytes"), memory));
	print_memory(json, stdout);
	printf("Requests of the kernel: at most %s\n",
	       human((uint64_t)stats_number(json, "longest_write_bytes"), memory));
}

static void print_paths(const cJSON *json)
{
	struct stats_path list[STATS_PATHS];
	unsigned n = stats_paths(json, list);

	printf("\n%-18s %12s %12s %12s\n", "Path", "Bytes", "Operations", "Per op");
	for (unsigned i = 0; i < n; i++) {
		char bytes[32], mean[32];

		print_label(list[i].name, stdout);
		printf(" %12s %12.0f %12s\n", human((uint64_t)list[i].bytes, bytes), list[i].ops,
		       list[i].ops ? human((uint64_t)(list[i].bytes / list[i].ops), mean) : "-");
	}
}

/* An object of counts. */
static void print_counts(const cJSON *json, const char *name, const char *title)
{
	const cJSON *item;
	bool any = false;

	printf("\n%-22s %12s\n", title, "Count");
	cJSON_ArrayForEach(item, part(json, name)) {
		if (!item->valuedouble)
			continue;
		printf("%-22s %12.0f\n", item->string, item->valuedouble);
		any = true;
	}
	if (!any)
		puts("none");
}

static void print_timing(const char *name, const cJSON *one, double count, double seconds)
{
	double answered = stats_number(one, "answered");
	char mean[32], most[32];

	if (!part(one, "answered"))
		answered = stats_number(one, "count");
	printf("%-22s %12.0f %12.1f", name, count, seconds > 0 ? count / seconds : 0);
	if (answered)
		printf(" %12s %12s\n",
		       stats_duration(stats_number(one, "nanoseconds") / NS / answered, mean),
		       stats_duration(stats_number(one, "max_nanoseconds") / NS, most));
	else
		printf(" %12s %12s\n", "-", "-");
}

static void print_timings(const cJSON *json, const char *name, const char *title)
{
	double seconds = stats_number(json, "uptime_nanoseconds") / NS;
	const cJSON *item;

	printf("\n%-22s %12s %12s %12s %12s\n", title, "Count", "Per second", "Mean", "Longest");
	cJSON_ArrayForEach(item, part(json, name))
		print_timing(item->string, item, stats_number(item, "count"), seconds);
}

void stats_print_text(const cJSON *json)
{
	print_head(json);
	print_paths(json);
	print_timings(json, "operations", "Request");
	print_timings(json, "commits", "Commit");
	print_counts(json, "fallbacks", "Fallback");
	print_counts(json, "errors", "Error");
}

/* ---- rates -------------------------------------------------------------------------------- */

struct rates {
	const cJSON *before, *now;
	double seconds;
	FILE *out;
};

static double change(const struct rates *r, const char *name)
{
	return stats_number(r->now, name) - stats_number(r->before, name);
}

/* Of a member of the object `item`, which is one of `list`. */
static double change_in(const struct rates *r, const char *list, const cJSON *item,
			const char *name)
{
	const cJSON *old = part(part(r->before, list), item->string);

	return stats_number(item, name) - stats_number(old, name);
}

static double sum_of(const struct rates *r, const char *list)
{
	const cJSON *item;
	double sum = 0;

	cJSON_ArrayForEach(item, part(r->now, list))
		sum += item->valuedouble;
	cJSON_ArrayForEach(item, part(r->before, list))
		sum -= item->valuedouble;
	return sum;
}

static double commits(const struct rates *r, const char *name)
{
	const cJSON *item;
	double sum = 0;

	cJSON_ArrayForEach(item, part(r->now, "commits"))
		sum += change_in(r, "commits", item, name);
	return sum;
}

static void rate_head(const struct rates *r)
{
	double cpu = change(r, "cpu_user_nanoseconds") + change(r, "cpu_system_nanoseconds");
	double made = commits(r, "count");
	char memory[32], mean[32];

	fprintf(r->out, "zcfs %s  up ", text(r->now, "mount"));
	print_uptime(stats_number(r->now, "uptime_nanoseconds") / NS, r->out);
	fprintf(r->out, "  process %.0f  CPU %.1f %%  memory %s\n", stats_number(r->now, "pid"),
		cpu / NS / r->seconds * 100,
		human((uint64_t)stats_number(r->now, "memory_bytes"), memory));
	fprintf(r->out, "Requests %.1f/s  errors %.1f/s  fallbacks %.1f/s  commits %.1f/s",
		change(r, "requests") / r->seconds, sum_of(r, "errors") / r->seconds,
		sum_of(r, "fallbacks") / r->seconds, made / r->seconds);
	if (made > 0)
		fprintf(r->out, " (mean %s)",
			stats_duration(commits(r, "nanoseconds") / NS / made, mean));
	fputc('\n', r->out);
	print_memory(r->now, r->out);
}

static void rate_paths(const struct rates *r)
{
	struct stats_path list[STATS_PATHS];
	unsigned n = stats_paths(r->now, list);

	fprintf(r->out, "\n%-18s %14s %12s\n", "Path", "Bytes/s", "Ops/s");
	for (unsigned i = 0; i < n; i++) {
		const struct stats_path *p = &list[i];
		char bytes[64], ops[64], buf[32];

		snprintf(bytes, sizeof(bytes), "%.47s_bytes", p->name);
		snprintf(ops, sizeof(ops), "%.47s_ops", p->name);
		if (!list[i].ops)
			continue;
		print_label(list[i].name, r->out);
		fprintf(r->out, " %14s %12.1f\n",
			human((uint64_t)(change(r, bytes) / r->seconds), buf),
			change(r, ops) / r->seconds);
	}
}

static void rate_operations(const struct rates *r)
{
	const cJSON *item;

	fprintf(r->out, "\n%-18s %14s %12s %12s\n", "Request", "Per second", "Mean", "Longest");
	cJSON_ArrayForEach(item, part(r->now, "operations")) {
		double count = change_in(r, "operations", item, "count");
		double answered = change_in(r, "operations", item, "answered");
		char mean[32] = "-", most[32];

		if (answered > 0)
			stats_duration(change_in(r, "operations", item, "nanoseconds") / NS /
					       answered,
				       mean);
		fprintf(r->out, "%-18s %14.1f %12s %12s\n", item->string, count / r->seconds, mean,
			stats_duration(stats_number(item, "max_nanoseconds") / NS, most));
	}
}

static void rate_counts(const struct rates *r, const char *name, const char *title)
{
	const cJSON *item;
	bool any = false;

	cJSON_ArrayForEach(item, part(r->now, name)) {
		const cJSON *old = part(part(r->before, name), item->string);

		if (!item->valuedouble)
			continue;
		if (!any)
			fprintf(r->out, "\n%-26s %6s %12s\n", title, "Per second", "Total");
		any = true;
		fprintf(r->out, "%-26s %10.1f %12.0f\n", item->string,
			(item->valuedouble - (old ? old->valuedouble : 0)) / r->seconds,
			item->valuedouble);
	}
}

void stats_print_rates(const cJSON *before, const cJSON *now, FILE *out)
{
	struct rates r = { .before = before, .now = now, .out = out };

	r.seconds = change(&r, "uptime_nanoseconds") / NS;
	if (r.seconds <= 0)
		r.seconds = 1e-9;
	rate_head(&r);
	rate_paths(&r);
	rate_operations(&r);
	rate_counts(&r, "fallbacks", "Fallback");
	rate_counts(&r, "errors", "Error");
}
