/* SPDX-License-Identifier: MIT */
/*
 * live.h - live files of the default mount: where lib/live meets the requests of the kernel (live.c)
 * and the control socket (live_ctl.c).
 *
 * A request that changes a file's bytes is served while no image of the file is begun or ended, or, if
 * the file is live, on its image. What may take long then - all but reads and writes - is copied, and
 * done by a thread of lib/live's pool, for a worker never waits.
 */
#ifndef FS_LIVE_H
#define FS_LIVE_H

#include <cjson/cJSON.h>

#include "ctl_server.h"
#include "fs.h"
#include "live/live.h"

/* NULL: mounted read-only, nothing is ever live. */
extern struct live *fs_live;

/* The memory of all images, of both kinds. */
extern struct live_room *fs_live_room;

int fs_live_start(void);
/* Everything goes to the store. Nobody asks any more. */
void fs_live_stop(void);
void fs_live_room_end(void); /* after the last image of any kind */

/* True: it is answered, or will be. False: it is to be served as ever, and then fs_live_left() called
 * with `*ret_entered`. */
bool fs_live_serve(const struct request *r, bool *ret_entered);
void fs_live_left(const struct request *r, bool entered);

bool fs_live_is(uint64_t ino); /* 0: any */
/* Put the size of a live file in. */
void fs_live_attr(struct store_attr *attr);
void fs_live_entry(struct store_attr *attr); /* inside store_readdir() */
/* What only the image has, into the store. Waits: not for workers, nor the delivery thread. */
int fs_live_flush(uint64_t ino);
/* store_rollback(), of a live file with its image. Waits. */
int fs_live_rollback(uint64_t ino, struct store_attr *ret_attr);

/* ---- live_ctl.c: hooks of the control server ---------------------------------------------- */

/* ATTACH and all others of live files but LIVE_LIST. */
void live_ctl_call(struct ctl_call *call);
void live_ctl_gone(uint64_t client);

/* live_list.c: LIVE_LIST. */
int live_ctl_list(void *arg, cJSON *into);

#endif
