/* SPDX-License-Identifier: MIT */
/*
 * link.c - tickets and the control socket. A connection carries one request at a time; its owner holds the
 * lock. Answers are waited for without limit, as those of fsync(2) are: a daemon that ends
 * also ends the connection.
 */
#include "zc_i.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "util/bytes.h"

enum { TRIES = 100, PAUSE_MS = 50, STALE_TRIES = 3 };

int lz_ticket(int fd, struct zc_ticket *ret)
{
	struct zc_ticket t = { 0 };

	if (ioctl(fd, ZC_IOC_TICKET, &t) < 0) {
		if (errno == ENOTTY)
			return lz_fail(ENOTTY, "not a file of a mounted zcfs");
		if (errno == EROFS)
			return lz_fail(EROFS, "the mount is read-only");
		if (errno == ENXIO)
			return lz_fail(ENXIO, "the daemon has no control socket; its log says why");
		return lz_fail_call("ticket");
	}
	if (!memchr(t.socket, '\0', sizeof(t.socket)))
		return lz_fail(EIO, "the ticket makes no sense");
	*ret = t;
	return 0;
}

/* Who mounted the filesystem of `fd`: only a daemon of that user may be behind the address that its
 * mount gave us. */
static uid_t mounter(int fd)
{
	zu_cleanup_file FILE *table = fopen("/proc/self/mountinfo", "re");
	zu_cleanup_free char *line = NULL;
	char want[32];
	size_t size = 0;
	struct stat st;
	unsigned uid;

	if (!table || fstat(fd, &st) < 0)
		return 0;
	snprintf(want, sizeof(want), " %u:%u ", major(st.st_dev), minor(st.st_dev));
	while (getline(&line, &size, table) > 0) {
		/* The last field is the kernel's; the one before it, the source, is anybody's choice. */
		const char *options = strrchr(line, ' ');
		const char *user = options ? strstr(options, ",user_id=") : NULL;

		if (strstr(line, want) && user && sscanf(user, ",user_id=%u", &uid) == 1)
			return uid;
	}
	return 0;
}

static int not_connected(const char *path, int code)
{
	switch (code) {
	case ECONNREFUSED:
		return lz_fail(ESTALE, "control socket %s: the daemon has ended", path);
	case EACCES:
	case ENOMEM:
		return lz_fail(code, "control socket %s: %s", path, strerror(code));
	default: /* The daemon lives, it gave a ticket; but perhaps in another mount namespace. */
		return lz_fail(ENXIO, "control socket %s: not to be reached from here: %s", path,
			       strerror(code));
	}
}

static int connect_to(int file, int link, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	while (connect(link, (struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return not_connected(path, errno);
	if (getsockopt(link, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid() && peer.uid != mounter(file)))
		return lz_fail(EACCES,
			       "control socket %s: it belongs to another user, not to the daemon",
			       path);
	return 0;
}

int lz_connect(int file, const char *path, int *ret_link)
{
	int r = lz_socket(ret_link);

	if (r == 0)
		r = connect_to(file, *ret_link, path);
	if (r < 0)
		lz_close_socket(ret_link);
	return r;
}

/* ---- one request -------------------------------------------------------------------------- */

/* Room for one descriptor; the alignment makes it two. */
union control {
	char buffer[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int send_request(int link, const struct lz_request *q)
{
	struct zc_ctl_header header = { 0 };
	struct iovec iov[2] = { { &header, sizeof(header) },
				{ (void *)(uintptr_t)q->body, q->length } };
	union control control = { .buffer = { 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	zu_put_le32(header.magic, ZC_CTL_MAGIC);
	zu_put_le16(header.version, ZC_CTL_VERSION);
	zu_put_le16(header.type, (uint16_t)q->type);
	zu_put_le32(header.length, (uint32_t)q->length);
	if (q->fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.buffer;
		msg.msg_controllen = sizeof(control.buffer);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &q->fd, sizeof(int));
	}
	while (sendmsg(link, &msg, MSG_NOSIGNAL) < 0)
		/* The daemon has hung up; it may have said why. */
		if (errno != EINTR)
			return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
	return 0;
}

struct reply {
	struct zc_ctl_header header;
	char body[1024]; /* more is cut, and then is not what was wanted */
};

/*
 * The descriptor that came with a message, or -1. None is left open that the caller does not know of. The
 * kernel leaves out what this process has no number for, and says only that something was left out.
 */
static int take_descriptor(struct msghdr *msg, int *ret_fd)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fds[sizeof(union control) / sizeof(int)];
	size_t n = 0;

	*ret_fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	if (n == 1)
		*ret_fd = fds[0];
	for (size_t i = 0; n > 1 && i < n; i++)
		close(fds[i]);
	return n > 1 ? -EPROTO : n == 0 && (msg->msg_flags & MSG_CTRUNC) ? -EMFILE : 0;
}

/* Gives the length of the body; `*ret_fd` is a descriptor that came with it, or -1. */
static ssize_t receive(int link, struct reply *reply, int *ret_fd)
{
	struct iovec iov = { reply, sizeof(*reply) - 1 };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buffer,
			      .msg_controllen = sizeof(control.buffer) };
	ssize_t n;
	int r;

	/* Who was refused a place before his request was read gets ECONNRESET first, then the refusal. */
	for (int tries = 0;; tries += errno == ECONNRESET) {
		n = recvmsg(link, &msg, MSG_CMSG_CLOEXEC);
		if (n >= 0 || (errno != EINTR && (errno != ECONNRESET || tries > 0)))
			break;
	}
	if (n < 0 && errno != ECONNRESET)
		return -errno;
	/* (An empty message may bring one, too.) */
	r = n >= 0 ? take_descriptor(&msg, ret_fd) : 0;
	if (r < 0)
		return r;
	if (n < (ssize_t)sizeof(reply->header) || zu_get_le32(reply->header.magic) != ZC_CTL_MAGIC)
		return -ECONNRESET;
	n -= (ssize_t)sizeof(reply->header);
	reply->body[n] = '\0';
	return n;
}

/* What the calls are documented to give; all else is EIO, with a text that tells more. */
static int known(int code)
{
	static const int codes[] = { EACCES, EAGAIN, EBUSY,  EFBIG, EMFILE, ENFILE,
				     ENOMEM, ENOSPC, ENOSYS, EPERM, EROFS,  ESTALE };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (code == codes[i])
			return code;
	return code == EDQUOT ? ENOSPC : code == ENOBUFS ? ENOMEM : EIO;
}

/* The text in {"error":"..."}, which the daemon keeps free of escapes. */
static int refused(const char *json, int code)
{
	const char *text = strstr(json, "\"error\":\"");
	size_t length = text ? strcspn(text + 9, "\"") : 0;

	return lz_fail(known(code), "%.*s (%s)", (int)length, text ? text + 9 : "", strerror(code));
}

int lz_ask(int link, const struct lz_request *q)
{
	zu_cleanup_close int passed = -1;
	struct reply reply;
	ssize_t n = send_request(link, q);
	uint32_t status;

	if (n == 0)
		n = receive(link, &reply, &passed);
	if (n == -ECONNRESET)
		return lz_fail(ESTALE, "the daemon has hung up");
	if (n < 0)
		return lz_fail(known((int)-n), "control socket: %s", strerror((int)-n));
	status = zu_get_le32(reply.header.status);
	if (status > 0 && status < 4096) {
		int r = refused(reply.body, (int)status);

		return zu_get_le16(reply.header.type) == ZC_CTL_REPLY ? -EUSERS : r;
	}
	if (status != 0 || zu_get_le16(reply.header.type) != (q->type | ZC_CTL_REPLY) ||
	    (size_t)n != q->answer_size || (passed >= 0) != (q->ret_fd != NULL))
		return lz_fail(EIO, "the daemon's answer makes no sense");
	if (n)
		memcpy(q->answer, reply.body, (size_t)n);
	if (q->ret_fd)
		*q->ret_fd = TAKE_FD(passed);
	return 0;
}

/* ---- with tickets ------------------------------------------------------------------------- */

static int take_tickets(const int *fds, size_t n, uint8_t *to, struct zc_ticket *ret_first)
{
	struct zc_ticket t;

	for (size_t i = 0; i < n; i++) {
		int r = lz_ticket(fds[i], &t);

		if (r < 0)
			return r;
		if (i == 0)
			*ret_first = t;
		if (strcmp(t.socket, ret_first->socket))
			return lz_fail(EXDEV, "the files are on different mounts; files of one "
					      "mount only can be committed together");
		memcpy(to + i * ZC_TICKET_SIZE, t.ticket, ZC_TICKET_SIZE);
	}
	return 0;
}

static void wait_a_moment(void)
{
	struct timespec left = { .tv_nsec = PAUSE_MS * 1000000L };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

int lz_ask_tickets(const int *fds, size_t n, int link, struct lz_request *q, uint8_t *body,
		   size_t prefix, size_t suffix, int *ret_link)
{
	zu_cleanup_close int own = -1;
	int *fresh = ret_link ? ret_link : &own;
	struct zc_ticket first;

	q->body = body;
	q->length = prefix + n * ZC_TICKET_SIZE + suffix;
	for (int try = 1, stale = 0;; try++) {
		int r = take_tickets(fds, n, body + prefix, &first);

		if (r == 0 && link < 0)
			r = lz_connect(fds[0], first.socket, fresh);
		if (r == 0)
			r = lz_ask(link < 0 ? *fresh : link, q);
		if (r == 0)
			return 0;
		if (link < 0)
			lz_close_socket(fresh);
		/* A ticket lives for seconds only, and other programs of the user may push it out. */
		if (r == -ESTALE && stale++ < STALE_TRIES)
			continue;
		if (r != -EUSERS || try == TRIES)
			return r == -EUSERS ? -EBUSY : r;
		wait_a_moment(); /* Places come free all the time. */
	}
}
