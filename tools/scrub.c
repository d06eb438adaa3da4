/* SPDX-License-Identifier: MIT */
/* scrub.c - see scrub.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_client.h"
#include "mounts.h"
#include "scrub.h"
#include "util/bytes.h"
#include "util/cleanup.h"
#include "zcctl.h"

struct scrubber {
	struct store *store; /* NULL: through the daemon at `socket` */
	char socket[108];
	uid_t uid;
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

/* The daemon of a mounted store, 1; else 0: `ret_path` is the store itself. */
static int find_daemon(struct scrubber *s, const char *what, char **ret_path, struct zu_err *err)
{
	zu_cleanup(mount_clear) struct mount mount = { 0 };
	cJSON *json = NULL;
	int r = mount_find(what, &mount);

	s->uid = geteuid();
	if (r == 1 && !strcmp(mount.type, MOUNT_TYPE)) {
		s->uid = mount.uid;
		*ret_path = mount.source[0] == '/' ? strdup(mount.source)
						   : ctl_find_store(mount.point, mount.uid);
	}
	if (!*ret_path)
		*ret_path = strdup(what);
	if (!*ret_path)
		return zu_err_set(err, ENOMEM, "no memory left");
	r = ctl_ask(*ret_path, s->uid, ZC_CTL_INFO, s->socket, &json, err);
	cJSON_Delete(json);
	return r == 0 ? 1 : 0;
}

int scrub_open(const char *what, struct scrubber **ret_scrubber, struct zu_err *err)
{
	static const struct store_options options = { .read_only = true };
	zu_cleanup_free struct scrubber *s = calloc(1, sizeof(*s));
	zu_cleanup_free char *path = NULL;
	int r;

	*ret_scrubber = NULL;
	if (!s)
		return zu_err_set(err, ENOMEM, "no memory left");
	r = find_daemon(s, what, &path, err);
	if (r == 0) {
		guard_reader();
		r = store_open(path, &options, &s->store, err);
	}
	if (r < 0)
		return r;
	*ret_scrubber = TAKE_PTR(s);
	return 0;
}

static uint64_t number(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItem(json, name);

	return cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : 0;
}

static int daemon_step(struct scrubber *s, cJSON **ret_step, struct zu_err *err)
{
	uint8_t body[16];
	int r;

	zu_put_le64(body, s->next_ino);
	zu_put_le64(body + 8, s->next_chunk);
	r = ctl_ask_at(s->socket, s->uid, ZC_CTL_SCRUB, body, sizeof(body), ret_step, err);
	if (r < 0)
		return r;
	s->next_ino = number(*ret_step, "next_ino");
	s->next_chunk = number(*ret_step, "next_chunk");
	s->done = !s->next_ino;
	return 1;
}

int scrub_step(struct scrubber *s, cJSON **ret_step, struct zu_err *err)
{
	struct step step = { 0 };
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

	if (s->done)
		return 0;
	if (!s->store)
		return daemon_step(s, ret_step, err);
	step.findings = cJSON_CreateArray();
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
