/* SPDX-License-Identifier: MIT */
/* ctl_server_i.h - between ctl_server.c, ctl_slots.c and ctl_packet.c, all in the server's thread. */
#ifndef FS_CTL_SERVER_I_H
#define FS_CTL_SERVER_I_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>

#include "abi/zc_ctl.h"
#include "ctl_listen.h"
#include "ctl_server.h"

enum {
	CTL_CLIENTS = 1024,
	CTL_SLOT_LISTEN = 0,
	CTL_SLOT_WAKE,
	CTL_FIRST, /* of the clients' */
	CTL_SLOTS = CTL_FIRST + CTL_CLIENTS,
};

struct pending;

struct ctl_client {
	uint64_t number;
	int64_t deadline; /* ms */
	struct ucred peer;
	bool friend;		  /* root or the daemon's own user */
	bool waiting;		  /* for the answer of a call */
	bool rolling;		  /* in a rollback */
	bool attached, attaching; /* to a live file; the second: it is not known yet */
	bool tracking;		  /* it may send a descriptor */
	bool ghost;		  /* it has hung up, its call goes on: the place is taken */
};

struct ctl_server {
	struct ctl_hooks hooks;
	char *store;
	char id[48]; /* device:inode of the store's directory */
	char uuid[37];
	struct ctl_listen listen;
	int wake_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	/* Under the lock: */
	struct pending *answers, **last;
	unsigned calls;
	bool stopping;
	/* Of the thread alone: */
	struct pollfd fds[CTL_SLOTS];
	struct ctl_client clients[CTL_SLOTS];
	unsigned used; /* slots from here on are empty */
	uint64_t numbers;
	int fd; /* came with the packet that is being served, or -1 */
	struct {
		struct zc_ctl_header header;
		uint8_t body[ZC_CTL_REQUEST_MAX];
	} request;
};

/* ---- ctl_slots.c: the clients' places ----------------------------------------------------- */

static inline bool ctl_is_taken(const struct ctl_server *s, unsigned slot)
{
	return s->fds[slot].fd >= 0 || s->clients[slot].ghost;
}

/* May one more client of this user be attached? */
bool ctl_may_attach(const struct ctl_server *s, const struct ctl_client *c);
/* Are there too many who are not attached, with this one of them? */
bool ctl_is_crowded(const struct ctl_server *s, const struct ctl_client *c);
/* Its time begins again. */
void ctl_touch(struct ctl_client *c);
void ctl_hang_up(struct ctl_server *s, unsigned slot);
/* As many as there are places for; who waits longer fills the queue, and then connect(2) fails. */
void ctl_take_clients(struct ctl_server *s);
/* Hang up on who is silent too long. Gives the time to the next deadline in ms (-1: none), and stops
 * listening while there is no room. */
int ctl_expire(struct ctl_server *s);

/* ---- ctl_packet.c: requests --------------------------------------------------------------- */

/* One packet of a client; false: hang up. */
bool ctl_serve(struct ctl_server *s, unsigned slot);

/* ---- ctl_server.c ------------------------------------------------------------------------- */

/* Give the packet that is being served to the hook; false: hang up. */
bool ctl_begin_call(struct ctl_server *s, unsigned slot, unsigned type, size_t length);

#endif
