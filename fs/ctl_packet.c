/* SPDX-License-Identifier: MIT */
/*
 * ctl_packet.c - one request of the control socket: checked, and answered or handed over.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl_reply.h"
#include "ctl_server_i.h"
#include "util/bytes.h"

static bool answer(struct ctl_server *s, int fd, unsigned type)
{
	cJSON *json = cJSON_CreateObject();
	bool good = json != NULL, alive;
	int r = 0;

	good = good && cJSON_AddNumberToObject(json, "pid", getpid());
	good = good && cJSON_AddStringToObject(json, "version", ZC_VERSION);
	if (type != ZC_CTL_PING) {
		int (*tell)(void *, cJSON *) =
			type == ZC_CTL_STATS ? s->hooks.stats : s->hooks.info;

		good = good && cJSON_AddStringToObject(json, "uuid", s->uuid);
		good = good && cJSON_AddStringToObject(json, "store", s->store);
		good = good && cJSON_AddStringToObject(json, "store_id", s->id);
		r = !good ? -ENOMEM : tell ? tell(s->hooks.arg, json) : -ENOSYS;
	}
	if (!good || r < 0)
		alive = ctl_send_error(fd, type, good ? -r : ENOMEM, "the daemon cannot tell");
	else
		alive = ctl_send_json(fd, type, json);
	cJSON_Delete(json);
	return alive;
}

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
 * dropped by the kernel, unopened here, for to close one may hang. (CMSG_SPACE() would leave room for
 * two.) */
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

	if (s->clients[slot].tracking && ctl_may_dispose()) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_LEN(sizeof(int));
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
	ctl_touch(&s->clients[slot]);
	if (type == ZC_CTL_PING || type == ZC_CTL_INFO ||
	    (type == ZC_CTL_STATS && s->hooks.stats) || (type == ZC_CTL_SCRUB && s->hooks.scrub) ||
	    (type == ZC_CTL_LIVE_LIST && s->hooks.list))
		return for_friends(s, slot, type, (size_t)n);
	if (s->hooks.call && ((type >= ZC_CTL_COMMIT && type <= ZC_CTL_ROLLBACK_END) ||
			      (type >= ZC_CTL_ATTACH && type <= ZC_CTL_DETACH)))
		return ctl_begin_call(s, slot, type, (size_t)n);
	ctl_send_error(fd, type, ENOSYS, "this daemon does not know the request");
	return false;
}

bool ctl_serve(struct ctl_server *s, unsigned slot)
{
	bool go_on;

	s->fd = -1;
	go_on = serve_packet(s, slot, receive(s, slot));
	if (s->fd >= 0)
		ctl_dispose(s->fd);
	s->fd = -1;
	return go_on;
}
