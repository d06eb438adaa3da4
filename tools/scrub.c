/* SPDX-License-Identifier: MIT */
/* scrub.c - see scrub.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scrub.h"
#include "zcctl.h"

struct scrubber {
	struct store *store;
	uint64_t next_ino, next_chunk;
	bool done;
};

/* A step ends when it has taken this long. */
#define STEP_MS 200

struct step {
	cJSON *findings;
	struct timespec start;
};

static void on_finding(void *arg, const char *text)
{
	struct step *step = arg;

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

int scrub_open(const char *what, struct scrubber **ret_scrubber, struct zu_err *err)
{
	static const struct store_options options = { .read_only = true };
	struct scrubber *s = calloc(1, sizeof(*s));
	int r;

	*ret_scrubber = NULL;
	if (!s)
		return zu_err_set(err, ENOMEM, "no memory left");
	guard_reader();
	r = store_open(what, &options, &s->store, err);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_scrubber = s;
	return 0;
}

int scrub_step(struct scrubber *s, cJSON **ret_step, struct zu_err *err)
{
	struct step step = { .findings = cJSON_CreateArray() };
	const struct store_scrub_options options = {
		.finding = on_finding,
		.progress = in_time,
		.arg = &step,
		.from_ino = s->next_ino,
		.from_chunk = s->next_chunk,
	};
	struct store_scrub_result result;
	cJSON *json;
	int r;

	if (s->done) {
		cJSON_Delete(step.findings);
		return 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &step.start);
	r = store_scrub(s->store, &options, &result);
	if (r < 0) {
		cJSON_Delete(step.findings);
		return zu_err_set(err, -r, "scrub: %s; zcctl check says more", strerror(-r));
	}
	s->next_ino = result.next_ino;
	s->next_chunk = result.next_chunk;
	s->done = !result.next_ino;
	json = cJSON_CreateObject();
	cJSON_AddNumberToObject(json, "total", (double)result.total);
	cJSON_AddNumberToObject(json, "pages", (double)result.pages);
	cJSON_AddNumberToObject(json, "damaged_pages", (double)result.damaged_pages);
	cJSON_AddNumberToObject(json, "damaged_files", (double)result.damaged_files);
	cJSON_AddBoolToObject(json, "checksums", result.checksums);
	cJSON_AddItemToObject(json, "findings", step.findings);
	*ret_step = json;
	return 1;
}

void scrub_close(struct scrubber *s)
{
	if (!s)
		return;
	store_close(s->store);
	free(s);
}
