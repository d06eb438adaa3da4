/* SPDX-License-Identifier: MIT */
/*
 * ctl_slots.c - the places of the control server's clients.
 *
 * Users other than root and the daemon's own have a share of the places. Who is attached to a live
 * file has a place of another kind, for as long as he likes. A place is taken until its call is
 * answered, also when the client has hung up: so the calls that go on are bounded, too.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "ctl_reply.h"
#include "ctl_server_i.h"
#include "util/cleanup.h"

enum {
	ATTACHED = 896,
	PASSING = 64, /* who are not attached */
	FOREIGN = 48, /* of them, of users other than root and the daemon's */
	PER_USER = 16,
	FOREIGN_ATTACHED = 768,
	PER_USER_ATTACHED = 256,
	ACCEPTED = 32, /* at a time */
};

bool ctl_may_attach(const struct ctl_server *s, const struct ctl_client *c)
{
	unsigned all = 0, foreign = 0, same = 0;

	for (unsigned i = CTL_FIRST; i < s->used; i++)
		if (ctl_is_taken(s, i) && s->clients[i].attached) {
			all++;
			foreign += !s->clients[i].friend;
			same += s->clients[i].peer.uid == c->peer.uid;
		}
	return all < ATTACHED &&
	       (c->friend || (foreign < FOREIGN_ATTACHED && same < PER_USER_ATTACHED));
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void ctl_touch(struct ctl_client *c)
{
	c->deadline = now_ms() + (c->rolling ? ZC_CTL_ROLLBACK_TIMEOUT : ZC_CTL_TIMEOUT) * 1000;
}

void ctl_hang_up(struct ctl_server *s, unsigned slot)
{
	close(s->fds[slot].fd);
	s->fds[slot] = (struct pollfd){ .fd = -1 };
	s->clients[slot].ghost = s->clients[slot].waiting;
	if (s->hooks.gone)
		s->hooks.gone(s->hooks.arg, s->clients[slot].number);
}

struct passing {
	unsigned all, foreign, same;
};

static struct passing count_passing(const struct ctl_server *s, uid_t uid)
{
	struct passing n = { 0 };

	for (unsigned i = CTL_FIRST; i < s->used; i++) {
		const struct ctl_client *c = &s->clients[i];

		if (!ctl_is_taken(s, i) || c->attached)
			continue;
		n.all++;
		n.foreign += !c->friend;
		n.same += !c->friend && c->peer.uid == uid;
	}
	return n;
}

/* May one more client of this user have a place? */
static bool has_room(const struct ctl_server *s, uid_t uid)
{
	struct passing n = count_passing(s, uid);

	return n.foreign < FOREIGN && n.same < PER_USER;
}

bool ctl_is_crowded(const struct ctl_server *s, const struct ctl_client *c)
{
	struct passing n = count_passing(s, c->peer.uid);

	return n.all >= PASSING || (!c->friend && (n.foreign > FOREIGN || n.same > PER_USER));
}

/* False: nobody is waiting. */
static bool take_client(struct ctl_server *s)
{
	zu_cleanup_close int fd = accept4(s->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ctl_client c = { 0 };
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
	ctl_touch(&c);
	for (unsigned i = CTL_FIRST; i < CTL_SLOTS; i++)
		if (!ctl_is_taken(s, i)) {
			s->fds[i] = (struct pollfd){ .fd = TAKE_FD(fd), .events = POLLIN };
			s->clients[i] = c;
			if (s->used <= i)
				s->used = i + 1;
			return true;
		}
	return true;
}

int ctl_expire(struct ctl_server *s)
{
	int64_t now = now_ms(), next = -1;
	unsigned passing = 0;
	bool room = s->used < CTL_SLOTS;

	while (s->used > CTL_FIRST && !ctl_is_taken(s, s->used - 1))
		s->used--;
	for (unsigned i = CTL_FIRST; i < s->used; i++) {
		struct ctl_client *c = &s->clients[i];

		if (s->fds[i].fd >= 0 && !c->waiting && !c->attached && c->deadline <= now)
			ctl_hang_up(s, i);
		passing += ctl_is_taken(s, i) && !c->attached;
		if (!ctl_is_taken(s, i))
			room = true;
		else if (s->fds[i].fd >= 0 && !c->waiting && !c->attached &&
			 (next < 0 || c->deadline - now < next))
			next = c->deadline - now;
	}
	s->fds[CTL_SLOT_LISTEN].fd = room && passing < PASSING ? s->listen.fd : -1;
	return (int)next;
}

void ctl_take_clients(struct ctl_server *s)
{
	for (unsigned i = 0; i < ACCEPTED; i++) {
		ctl_expire(s);
		if (s->fds[CTL_SLOT_LISTEN].fd < 0 || !take_client(s))
			return;
	}
}
