/* SPDX-License-Identifier: MIT */
/* scrub.c - one step of a scrub for `zcctl scrub MNT`, which asks for one after the other. */
#include <errno.h>
#include <time.h>

#include "ctl_calls.h"
#include "fs.h"
#include "util/bytes.h"

/* A step ends after this long: the control server does nothing else meanwhile. */
enum { STEP_MS = 200, FINDINGS_MOST = 200 };

struct step {
	cJSON *findings;
	struct timespec start;
};

static void on_finding(void *arg, const char *text)
{
	struct step *step = arg;

	if (cJSON_GetArraySize(step->findings) < FINDINGS_MOST)
		cJSON_AddItemToArray(step->findings, cJSON_CreateString(text));
}

static bool in_time(void *arg, uint64_t done)
{
	const struct step *step = arg;
	struct timespec now;

	(void)done;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - step->start.tv_sec) * 1000 +
		       (now.tv_nsec - step->start.tv_nsec) / 1000000 <
	       STEP_MS;
}

int scrub_step(void *arg, const uint8_t *body, size_t length, cJSON *into)
{
	struct step step = { .findings = cJSON_AddArrayToObject(into, "findings") };
	struct store_scrub_options options = {
		.finding = on_finding,
		.progress = in_time,
		.arg = &step,
	};
	struct store_scrub_result result;
	int r;

	(void)arg;
	if (length != 16)
		return -EBADMSG;
	options.from_ino = zu_get_le64(body);
	options.from_chunk = zu_get_le64(body + 8);
	clock_gettime(CLOCK_MONOTONIC, &step.start);
	r = store_scrub(fs.store, &options, &result);
	if (r < 0)
		return r;
	cJSON_AddNumberToObject(into, "total", (double)result.total);
	cJSON_AddNumberToObject(into, "pages", (double)result.pages);
	cJSON_AddNumberToObject(into, "damaged_pages", (double)result.damaged_pages);
	cJSON_AddNumberToObject(into, "damaged_files", (double)result.damaged_files);
	cJSON_AddNumberToObject(into, "next_ino", (double)result.next_ino);
	cJSON_AddNumberToObject(into, "next_chunk", (double)result.next_chunk);
	cJSON_AddBoolToObject(into, "checksums", result.checksums);
	return 0;
}
