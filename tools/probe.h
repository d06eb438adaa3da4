/* SPDX-License-Identifier: MIT */
/* probe.h - `zcctl probe`: features are tried, not guessed from versions. */
#ifndef PROBE_H
#define PROBE_H

#include <stddef.h>

enum probe_answer { PROBE_NO, PROBE_YES, PROBE_UNKNOWN };

struct probe_result {
	enum probe_answer answer;
	char detail[128]; /* may be empty */
};

struct probe {
	const char *name; /* in the JSON, stable */
	const char *title;
	const char *cost; /* of the lack */
	void (*run)(const char *dir, struct probe_result *result);
};

/* Each list ends with a name of NULL. */
extern const struct probe probes_fuse[], probes_host[], probes_memory[];

/* Set the answer and the text. */
void probe_say(struct probe_result *result, enum probe_answer answer, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* PROBE_NO with the text of errno. */
void probe_errno(struct probe_result *result);

#endif
