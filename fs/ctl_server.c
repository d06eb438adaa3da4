/* SPDX-License-Identifier: MIT */
/*
 * ctl_server.c - see ctl_server.h; the protocol is in abi/zc_ctl.h.
 *
 * One thread polls the listening socket, an eventfd, and the clients. No send or receive waits: a
 * client that sends rubbish, sends nothing, or does not read loses its connection, and nobody else
 * notices. Users other than root and the daemon's own have a share of the places. Who is attached to a
 * live file has a place of another kind, for as long as he likes.
 *
 * A call goes to its hook, and its client is not read again before the answer. That may come from any
 * thread: under `lock` it is put on a list, and the eventfd wakes the thread, which sends it if the
 * client is still there. `calls`, those not answered yet, keep the server alive.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_listen.h"
#include "ctl_reply.h"
#include "ctl_server.h"
#include "util/bytes.h"
#include "util/cleanup.h"

enum {
	CLIENTS = 1024,
	ATTACHED = 896,
	PASSING = 64, /* who are not attached */
	FOREIGN = 48, /* of them, of users other than root and the daemon's */
	PER_USER = 16,
	FOREIGN_ATTACHED = 768,
	PER_USER_ATTACHED = 256,
	SLOT_LISTEN = 0,
	SLOT_WAKE,
	FIRST, /* of the clients' */
	SLOTS = FIRST + CLIENTS,
	ACCEPTED = 32, /* at a time */
	BODY_MAX = 64, /* of a call's answer */
};

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

struct client {
	uint64_t number;
	int64_t deadline; /* ms */
	struct ucred peer;
	bool friend;		  /* root or the daemon's own user */
	bool waiting;		  /* for the answer of a call */
	bool rolling;		  /* in a rollback */
	bool attached, attaching; /* to a live file; the second: it is not known yet */
	bool tracking;		  /* it may send a descriptor */
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
	struct pollfd fds[SLOTS];
	struct client clients[SLOTS];
	unsigned used; /* slots from here on are empty */
	uint64_t numbers;
	int fd; /* came with the packet that is being served, or -1 */
	struct {
		struct zc_ctl_header header;
		uint8_t body[ZC_CTL_REQUEST_MAX];
	} request;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- answering --------------------------------------------------------------------------- */

static bool answer(struct ctl_server *s, int fd, unsigned type)
{
	cJSON *json = cJSON_CreateObject();
	bool good = json != NULL, alive;
	int r = 0;

	good = good && cJSON_AddNumberToObject(json, "pid", getpid());
	good = good && cJSON_AddStringToObject(json, "version", ZC_VERSION);
	if (type == ZC_CTL_INFO) {
		good = good && cJSON_AddStringToObject(json, "uuid", s->uuid);
		good = good && cJSON_AddStringToObject(json, "store", s->store);
		good = good && cJSON_AddStringToObject(json, "store_id", s->id);
		r = !good ? -ENOMEM : s->hooks.info ? s->hooks.info(s->hooks.arg, json) : -ENOSYS;
	}
	if (!good || r < 0)
		alive = ctl_send_error(fd, type, good ? -r : ENOMEM, "the daemon cannot tell");
	else
		alive = ctl_send_json(fd, type, json);
	cJSON_Delete(json);
	return alive;
}

/* ---- calls ------------------------------------------------------------------------------- */

/* May one more client of this user be attached? */
static bool may_attach(const struct ctl_server *s, const struct client *c)
{
	unsigned all = 0, foreign = 0, same = 0;

	for (unsigned i = FIRST; i < s->used; i++)
		if (s->fds[i].fd >= 0 && s->clients[i].attached) {
			all++;
			foreign += !s->clients[i].friend;
			same += s->clients[i].peer.uid == c->peer.uid;
		}
	return all < ATTACHED &&
	       (c->friend || (foreign < FOREIGN_ATTACHED && same < PER_USER_ATTACHED));
}

static bool begin_call(struct ctl_server *s, unsigned slot, unsigned type, size_t length)
{
	struct client *c = &s->clients[slot];
	struct pending *p;

	if (type == ZC_CTL_ATTACH && !c->attached) {
		if (!may_attach(s, c))
			return ctl_send_error(s->fds[slot].fd, type, EBUSY,
					      "too many clients are attached to live files");
		c->attached = c->attaching = true;
	}
	p = malloc(sizeof(*p));
	if (!p)
		return ctl_send_error(s->fds[slot].fd, type, ENOMEM,
				      "the daemon has no memory left");
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

static void touch(struct client *c)
{
	c->deadline = now_ms() + (c->rolling ? ZC_CTL_ROLLBACK_TIMEOUT : ZC_CTL_TIMEOUT) * 1000;
}

/* False: hang up. */
static bool send_answer(struct ctl_server *s, unsigned slot, const struct pending *p)
{
	struct client *c = &s->clients[slot];

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
	touch(c);
	s->fds[slot].events = POLLIN;
	if (p->result < 0)
		return ctl_send_error(s->fds[slot].fd, p->call.type, -p->result, p->why);
	return ctl_send_reply_fd(s->fds[slot].fd, p->call.type, 0, p->body, p->size, p->fd);
}

static void hang_up(struct ctl_server *s, unsigned slot)
{
	close(s->fds[slot].fd);
	s->fds[slot] = (struct pollfd){ .fd = -1 };
	if (s->hooks.gone)
		s->hooks.gone(s->hooks.arg, s->clients[slot].number);
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
		for (unsigned i = FIRST; i < s->used; i++)
			if (s->fds[i].fd >= 0 && s->clients[i].number == p->call.client &&
			    !send_answer(s, i, p))
				hang_up(s, i);
		/* (Ours: it was opened by the daemon itself.) */
		zu_close_fd(&p->fd);
		free(p);
	}
	return go_on;
}

/* ---- requests ---------------------------------------------------------------------------- */

static bool scrub(struct ctl_server *s, int fd, size_t length)
{
	cJSON *json = cJSON_CreateObject();
	int r = json ? s->hooks.scrub(s->hooks.arg, s->request.body, length, json) : -ENOMEM;
	bool alive;

	if (r < 0)
		alive = ctl_send_error(fd, ZC_CTL_SCRUB, -r, "the store cannot be read");
	else
		alive = ctl_send_json(fd, ZC_CTL_SCRUB, json);
	cJSON_Delete(json);
	return alive;
}

static bool list(struct ctl_server *s, int fd)
{
	cJSON *json = cJSON_CreateObject();
	int r = json ? s->hooks.list(s->hooks.arg, json) : -ENOMEM;
	bool alive;

	if (r < 0)
		alive = ctl_send_error(fd, ZC_CTL_LIVE_LIST, -r, "the daemon cannot tell");
	else
		alive = ctl_send_json(fd, ZC_CTL_LIVE_LIST, json);
	cJSON_Delete(json);
	return alive;
}

static bool for_friends(struct ctl_server *s, unsigned slot, unsigned type, size_t length)
{
	int fd = s->fds[slot].fd;

	if (length != (type == ZC_CTL_SCRUB ? 16 : 0)) {
		ctl_send_error(fd, type, EBADMSG, "a request with a wrong length");
		return false;
	}
	if (!s->clients[slot].friend) {
		ctl_send_error(fd, type, EACCES, "only root and the daemon's own user may ask");
		return false;
	}
	if (type == ZC_CTL_SCRUB)
		return scrub(s, fd, length);
	if (type == ZC_CTL_LIVE_LIST)
		return list(s, fd);
	return answer(s, fd, type);
}

/* A packet, and its descriptor if one is awaited: TRACK is the only one that has any. Others are
 * dropped by the kernel, unopened here, for to close one may hang. */
static ssize_t receive(struct ctl_server *s, unsigned slot)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &s->request, sizeof(s->request) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	const struct cmsghdr *head;
	ssize_t n;

	if (s->clients[slot].tracking) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
	}
	n = recvmsg(s->fds[slot].fd, &msg, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	head = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(&s->fd, CMSG_DATA(head), sizeof(s->fd));
		s->clients[slot].tracking = false; /* once */
	}
	return n;
}

static bool serve_packet(struct ctl_server *s, unsigned slot, ssize_t n)
{
	const struct zc_ctl_header *h = &s->request.header;
	int fd = s->fds[slot].fd;
	unsigned type;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if ((size_t)n < sizeof(*h) || (size_t)n > sizeof(s->request) ||
	    zu_get_le32(h->magic) != ZC_CTL_MAGIC) {
		ctl_send_error(fd, 0, EBADMSG, "not a request of the control protocol");
		return false;
	}
	type = zu_get_le16(h->type) & ~(unsigned)ZC_CTL_REPLY;
	if (zu_get_le16(h->version) != ZC_CTL_VERSION) {
		ctl_send_error(
			fd, type, EPROTONOSUPPORT,
			"this version of the control protocol is not supported (1 only); use the "
			"zcctl that belongs to the daemon");
		return false;
	}
	n -= (ssize_t)sizeof(*h);
	if (zu_get_le32(h->length) != (size_t)n || zu_get_le32(h->status) != 0 ||
	    zu_get_le16(h->type) != type) {
		ctl_send_error(fd, type, EBADMSG, "a request with a wrong length or type");
		return false;
	}
	touch(&s->clients[slot]);
	if (type == ZC_CTL_PING || type == ZC_CTL_INFO ||
	    (type == ZC_CTL_SCRUB && s->hooks.scrub) || (type == ZC_CTL_LIVE_LIST && s->hooks.list))
		return for_friends(s, slot, type, (size_t)n);
	if (s->hooks.call && ((type >= ZC_CTL_COMMIT && type <= ZC_CTL_ROLLBACK_END) ||
			      (type >= ZC_CTL_ATTACH && type <= ZC_CTL_DETACH)))
		return begin_call(s, slot, type, (size_t)n);
	ctl_send_error(fd, type, ENOSYS, "this daemon does not know the request");
	return false;
}

/* One packet of a client; false: hang up. */
static bool serve(struct ctl_server *s, unsigned slot)
{
	bool go_on;

	s->fd = -1;
	go_on = serve_packet(s, slot, receive(s, slot));
	if (s->fd >= 0)
		ctl_dispose(s->fd);
	s->fd = -1;
	return go_on;
}

/* ---- the thread -------------------------------------------------------------------------- */

/* May one more client of this user have a place? */
static bool has_room(const struct ctl_server *s, uid_t uid)
{
	unsigned foreign = 0, same = 0;

	for (unsigned i = FIRST; i < s->used; i++)
		if (s->fds[i].fd >= 0 && !s->clients[i].friend && !s->clients[i].attached) {
			foreign++;
			same += s->clients[i].peer.uid == uid;
		}
	return foreign < FOREIGN && same < PER_USER;
}

/* False: nobody is waiting. */
static bool take_client(struct ctl_server *s)
{
	zu_cleanup_close int fd = accept4(s->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client c = { 0 };
	socklen_t size = sizeof(c.peer);

	if (fd < 0) {
		/* Out of descriptors: the client stays in the queue. Do not spin meanwhile. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			poll(NULL, 0, 100);
		return false;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c.peer, &size) < 0)
		return true;
	c.friend = c.peer.uid == 0 || c.peer.uid == geteuid();
	if (!c.friend && !has_room(s, c.peer.uid)) {
		ctl_send_error(fd, 0, EBUSY, "too many clients of this user at once");
		return true;
	}
	c.number = ++s->numbers;
	touch(&c);
	for (unsigned i = FIRST; i < SLOTS; i++)
		if (s->fds[i].fd < 0) {
			s->fds[i] = (struct pollfd){ .fd = TAKE_FD(fd), .events = POLLIN };
			s->clients[i] = c;
			if (s->used <= i)
				s->used = i + 1;
			return true;
		}
	return true;
}

/* Hang up on who is silent too long. Gives the time to the next deadline, and stops listening
 * while there is no room. */
static int expire(struct ctl_server *s)
{
	int64_t now = now_ms(), next = -1;
	unsigned passing = 0;
	bool room = s->used < SLOTS;

	while (s->used > FIRST && s->fds[s->used - 1].fd < 0)
		s->used--;
	for (unsigned i = FIRST; i < s->used; i++) {
		struct client *c = &s->clients[i];

		if (s->fds[i].fd >= 0 && !c->waiting && !c->attached && c->deadline <= now)
			hang_up(s, i);
		passing += s->fds[i].fd >= 0 && !c->attached;
		if (s->fds[i].fd < 0)
			room = true;
		else if (!c->waiting && !c->attached && (next < 0 || c->deadline - now < next))
			next = c->deadline - now;
	}
	s->fds[SLOT_LISTEN].fd = room && passing < PASSING ? s->listen.fd : -1;
	return (int)next;
}

/* As many as there are places for; who waits longer fills the queue, and then connect(2) fails. */
static void take_clients(struct ctl_server *s)
{
	for (unsigned i = 0; i < ACCEPTED; i++) {
		expire(s);
		if (s->fds[SLOT_LISTEN].fd < 0 || !take_client(s))
			return;
	}
}

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
		if (poll(s->fds, s->used, expire(s)) < 0)
			continue; /* EINTR, or no memory for the moment */
		if (s->fds[SLOT_WAKE].revents)
			take_answers(s);
		for (unsigned i = FIRST; i < s->used; i++) {
			if (s->fds[i].fd < 0 || !s->fds[i].revents)
				continue;
			/* A client that waits has only its end to tell. */
			if (s->clients[i].waiting ? s->fds[i].revents & (POLLHUP | POLLERR)
						  : !serve(s, i))
				hang_up(s, i);
		}
		if (s->fds[SLOT_LISTEN].fd >= 0 && s->fds[SLOT_LISTEN].revents)
			take_clients(s);
	}
	for (unsigned i = FIRST; i < s->used; i++)
		if (s->fds[i].fd >= 0)
			hang_up(s, i);
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
	for (unsigned i = 0; i < SLOTS; i++)
		s->fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	s->fds[SLOT_WAKE].fd = s->wake_fd;
	s->used = FIRST;
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
	r = ctl_listen_open(&s->listen, s->uuid, CLIENTS, err);
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
