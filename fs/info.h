/* SPDX-License-Identifier: MIT */
/* info.h - what the files share that tell facts by the control socket: in its thread alone. */
#ifndef FS_INFO_H
#define FS_INFO_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* Exactly, where cJSON's doubles could not. False: no memory. */
bool info_add_u64(cJSON *json, const char *name, uint64_t value);
/* NAME_bytes and NAME_ops of the engine's paths. */
bool info_add_paths(cJSON *json, const struct store_info *s);

/* The mount begins. */
void stats_start(void);
/* STATS: a hook of the control server. */
int stats_tell(void *arg, cJSON *into);

#endif
