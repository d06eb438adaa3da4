/* SPDX-License-Identifier: MIT */
/* A record in memory. */
#ifndef LAB_LOG_H
#define LAB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define LOG_FILES 8

struct event {
	enum rec_type type;
	unsigned file;
	uint64_t offset;
	uint32_t length, flags;
	const uint8_t *data;
};

struct log {
	char name[64]; /* workload:seed */
	unsigned nfiles;
	struct {
		const char *name;
		const uint8_t *data;
		uint64_t size, most; /* at the start, and ever */
	} files[LOG_FILES];
	struct event *events; /* all records, so that indices fit */
	size_t nevents;
};

/* Exits with 2 if there is something wrong with it. */
struct log *log_load(const char *path);

#endif
