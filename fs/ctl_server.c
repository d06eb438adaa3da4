/* SPDX-License-Identifier: MIT */
/*
 * ctl_server.c - see ctl_server.h; the protocol is in abi/zc_ctl.h.
 *
 * One thread polls the listening socket, an eventfd, and the clients. No send or receive waits: a
 * client that sends rubbish, sends nothing, or does not read loses its connection, and nobody else
 * notices.
 *
 * A call goes to its hook, and its client is not read again before the answer. That may come from any
 * thread: under `lock` it is put on a list, and the eventfd wakes the thread, which sends it if the
 * client is still there. `calls`, those not answered yet, keep the server alive.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl_reply.h"
#include "ctl_server_i.h"
#include "util/cleanup.h"

enum { BODY_MAX = 64 /* of a call's answer */ };

struct pending {
	struct ctl_call call; /* first: who answers knows only this */
	struct ctl_server *server;
	struct pending *next;
	int result;
	int fd; /* to be sent */
	char why[160];
	size_t size;
	uint8_t body[BODY_MAX];
	uint8_t request[ZC_CTL_REQUEST_MAX];
};

/* ---- calls ------------------------------------------------------------------------------- */

bool ctl_begin_call(struct ctl_server *s, unsigned slot, unsigned type, size_t length)
{
	struct ctl_client *c = &s->clients[slot];
	struct pending *p;

	if (type == ZC_CTL_ATTACH && !c->attached) {
		if (!ctl_may_attach(s, c))
			return ctl_send_error(s->fds[slot].fd, type, EBUSY,
					      "too many clients are attached to live files");
	}
	p = malloc(sizeof(*p));
	if (!p)
		return ctl_send_error(s->fds[slot].fd, type, ENOMEM,
				      "the daemon has no memory left");
	if (type == ZC_CTL_ATTACH && !c->attached)
		c->attached = c->attaching = true;
	memcpy(p->request, s->request.body, length);
	p->call = (struct ctl_call){
		.type = type,
		.client = s->clients[slot].number,
		.peer = s->clients[slot].peer,
		.length = length,
		.body = p->request,
		.fd = s->fd,
	};
	s->fd = -1;
	p->fd = -1;
	p->server = s;
	s->clients[slot].waiting = true;
	s->fds[slot].events = 0;
	pthread_mutex_lock(&s->lock);
	s->calls++;
	pthread_mutex_unlock(&s->lock);
	s->hooks.call(s->hooks.arg, &p->call);
	return true;
}

void ctl_call_answer_fd(struct ctl_call *call, const void *body, size_t size, int fd)
{
	((struct pending *)call)->fd = fd;
	ctl_call_answer(call, 0, "", body, size);
}

void ctl_call_answer(struct ctl_call *call, int result, const char *why, const void *body,
		     size_t size)
{
	struct pending *p = (struct pending *)call;
	struct ctl_server *s = p->server;

	p->next = NULL;
	p->result = result;
	snprintf(p->why, sizeof(p->why), "%s", why ? why : strerror(-result));
	p->size = size;
	if (size)
		memcpy(p->body, body, size);
	/* (The wake-up is under the lock, too: after it the server may be gone.) */
	pthread_mutex_lock(&s->lock);
	*s->last = p;
	s->last = &p->next;
	s->calls--;
	eventfd_write(s->wake_fd, 1);
	pthread_mutex_unlock(&s->lock);
}

/* False: hang up. A client that is not attached any more may be one too many. */
static bool send_answer(struct ctl_server *s, unsigned slot, const struct pending *p)
{
	struct ctl_client *c = &s->clients[slot];
	bool was_attached = c->attached, alive;

	c->waiting = false;
	if (p->result == 0 && p->call.type == ZC_CTL_ROLLBACK_BEGIN)
		c->rolling = true;
	if (p->result == 0 && p->call.type == ZC_CTL_ROLLBACK_END)
		c->rolling = false;
	if (p->call.type == ZC_CTL_ATTACH && c->attaching) {
		c->attached = c->tracking = p->result == 0;
		c->attaching = false;
	}
	if (p->call.type == ZC_CTL_DETACH && p->result == 0)
		c->attached = c->tracking = false;
	ctl_touch(c);
	s->fds[slot].events = POLLIN;
	if (p->result < 0)
		alive = ctl_send_error(s->fds[slot].fd, p->call.type, -p->result, p->why);
	else
		alive = ctl_send_reply_fd(s->fds[slot].fd, p->call.type, 0, p->body, p->size,
					  p->fd);
	return alive && !(was_attached && !c->attached && ctl_is_crowded(s, c));
}

static void take_answer(struct ctl_server *s, const struct pending *p)
{
	for (unsigned i = CTL_FIRST; i < s->used; i++) {
		if (!ctl_is_taken(s, i) || s->clients[i].number != p->call.client)
			continue;
		s->clients[i].ghost = false;
		if (s->fds[i].fd >= 0 && !send_answer(s, i, p))
			ctl_hang_up(s, i);
	}
}

/* Send what has been answered. False: nothing is left to wait for, and it is the end. */
static bool take_answers(struct ctl_server *s)
{
	struct pending *list, *next;
	eventfd_t count;
	bool go_on;

	eventfd_read(s->wake_fd, &count);
	pthread_mutex_lock(&s->lock);
	list = s->answers;
	s->answers = NULL;
	s->last = &s->answers;
	go_on = !s->stopping || s->calls > 0;
	pthread_mutex_unlock(&s->lock);
	for (struct pending *p = list; p; p = next) {
		next = p->next;
		take_answer(s, p);
		/* (Ours: it was opened by the daemon itself.) */
		zu_close_fd(&p->fd);
		if (p->call.fd >= 0) /* nobody wanted it */
			ctl_dispose(p->call.fd);
		free(p);
	}
	return go_on;
}

/* ---- the thread -------------------------------------------------------------------------- */

static bool is_stopping(struct ctl_server *s)
{
	bool stopping;

	pthread_mutex_lock(&s->lock);
	stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return stopping;
}

static void *run(void *arg)
{
	struct ctl_server *s = arg;
	struct pollfd wake = { .fd = s->wake_fd, .events = POLLIN };

	while (!is_stopping(s)) {
		if (poll(s->fds, s->used, ctl_expire(s)) < 0)
			continue; /* EINTR, or no memory for the moment */
		if (s->fds[CTL_SLOT_WAKE].revents)
			take_answers(s);
		for (unsigned i = CTL_FIRST; i < s->used; i++) {
			if (s->fds[i].fd < 0 || !s->fds[i].revents)
				continue;
			/* A client that waits has only its end to tell. */
			if (s->clients[i].waiting ? s->fds[i].revents & (POLLHUP | POLLERR)
						  : !ctl_serve(s, i))
				ctl_hang_up(s, i);
		}
		if (s->fds[CTL_SLOT_LISTEN].fd >= 0 && s->fds[CTL_SLOT_LISTEN].revents)
			ctl_take_clients(s);
	}
	for (unsigned i = CTL_FIRST; i < s->used; i++)
		if (s->fds[i].fd >= 0)
			ctl_hang_up(s, i);
	while (take_answers(s))
		poll(&wake, 1, -1);
	return NULL;
}

/* ---- life -------------------------------------------------------------------------------- */

static void server_free(struct ctl_server *s)
{
	ctl_listen_close(&s->listen);
	zu_close_fd(&s->wake_fd);
	pthread_mutex_destroy(&s->lock);
	free(s->store);
	free(s);
}

static struct ctl_server *server_new(const char *path, const uint8_t uuid[16],
				     const struct ctl_hooks *hooks)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	struct stat st;
	char *p;

	if (!s)
		return NULL;
	s->hooks = *hooks;
	s->listen = (struct ctl_listen){ .fd = -1, .dir_fd = -1, .everybody = hooks->everybody };
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->last = &s->answers;
	pthread_mutex_init(&s->lock, NULL);
	s->store = strdup(path);
	p = s->uuid;
	for (int i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     uuid[i]);
	if (stat(path, &st) == 0)
		snprintf(s->id, sizeof(s->id), "%llu:%llu", (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino);
	for (unsigned i = 0; i < CTL_SLOTS; i++)
		s->fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	s->fds[CTL_SLOT_WAKE].fd = s->wake_fd;
	s->used = CTL_FIRST;
	if (s->store && s->wake_fd >= 0)
		return s;
	server_free(s);
	return NULL;
}

/* The thread must not take the daemon's signals. */
static int start_thread(struct ctl_server *s)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int ctl_server_start(const char *path, const uint8_t uuid[16], const struct ctl_hooks *hooks,
		     struct ctl_server **ret_server, struct zu_err *err)
{
	struct ctl_server *s = server_new(path, uuid, hooks);
	int r;

	if (!s)
		return zu_err_set(err, ENOMEM, "control socket: no memory or no descriptors left");
	r = ctl_listen_open(&s->listen, s->uuid, CTL_CLIENTS, err);
	if (r == 0) {
		r = start_thread(s);
		if (r < 0)
			zu_err_set(err, -r, "control socket: cannot start its thread: %s",
				   strerror(-r));
	}
	if (r < 0) {
		server_free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

const char *ctl_server_address(const struct ctl_server *s)
{
	return s->listen.address.sun_path;
}

void ctl_server_stop(struct ctl_server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	eventfd_write(s->wake_fd, 1);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	server_free(s);
}
