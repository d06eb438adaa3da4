/* SPDX-License-Identifier: MIT */
/* file_ctl.c - see file_ctl.h. */
#include "file_ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "util/bytes.h"
#include "util/cleanup.h"

enum { END_TRIES = 10 };

int file_ticket(int fd, const char *name, struct zc_ticket *ret_ticket, struct zu_err *err)
{
	struct zc_ticket t = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return zu_err_set(err, errno, "%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return zu_err_set(err, ENOTTY, "%s: not a regular file", name);
	if (ioctl(fd, ZC_IOC_TICKET, &t) < 0) {
		int e = errno;

		return zu_err_set(err, e, "%s: %s", name,
				  e == ENOTTY  ? "not a file of a mounted zcfs"
				  : e == EROFS ? "the mount is read-only"
				  : e == ENXIO
					  ? "the daemon has no control socket; its log says why"
					  : strerror(e));
	}
	if (!memchr(t.socket, '\0', sizeof(t.socket)))
		return zu_err_set(err, EBADMSG, "%s: the ticket makes no sense", name);
	*ret_ticket = t;
	return 0;
}

int file_flush(int fd, const char *name, struct zu_err *err)
{
	int copy = dup(fd);

	if (copy < 0 || close(copy) < 0)
		return zu_err_set(err, errno, "%s: cannot deliver its data: %s", name,
				  strerror(errno));
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
		const char *options = strstr(line, " - ");
		const char *user = options ? strstr(options, "user_id=") : NULL;

		if (strstr(line, want) && user && sscanf(user, "user_id=%u", &uid) == 1)
			return uid;
	}
	return 0;
}

static int connect_to(int file, const char *path, struct zu_err *err)
{
	zu_cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	memcpy(address.sun_path, path, sizeof(address.sun_path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return zu_err_set(err, errno, "control socket %s: %s", path, strerror(errno));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid() && peer.uid != mounter(file)))
		return zu_err_set(
			err, EACCES,
			"control socket %s: it belongs to another user, not to the daemon", path);
	return TAKE_FD(fd);
}

static int send_request(int fd, unsigned type, const void *body, size_t length)
{
	struct zc_ctl_header header = { 0 };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)(uintptr_t)body, length } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	zu_put_le32(header.magic, ZC_CTL_MAGIC);
	zu_put_le16(header.version, ZC_CTL_VERSION);
	zu_put_le16(header.type, (uint16_t)type);
	zu_put_le32(header.length, (uint32_t)length);
	/* EPIPE: the daemon has hung up; it may have said why. */
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 && errno != EPIPE ? -errno : 0;
}

/* The text in {"error":"..."}, which the daemon keeps free of escapes. */
static int refused(const char *json, int code, const char *path, struct zu_err *err)
{
	const char *text = strstr(json, "\"error\":\"");
	size_t length = text ? strcspn(text + 9, "\"") : 0;

	return zu_err_set(err, code, "control socket %s: %.*s (%s)", path, (int)length,
			  text ? text + 9 : "", strerror(code));
}

/* One request; its answer has exactly `size` bytes. */
static int exchange(int fd, const char *path, unsigned type, const void *body, size_t length,
		    unsigned seconds, void *answer, size_t size, struct zu_err *err)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct {
		struct zc_ctl_header header;
		char body[1024];
	} reply;
	ssize_t n = send_request(fd, type, body, length);
	uint32_t status;

	if (n < 0)
		return zu_err_set(err, (int)-n, "control socket %s: %s", path, strerror((int)-n));
	n = poll(&wait, 1, (int)seconds * 1000);
	if (n == 0)
		return zu_err_set(err, ETIMEDOUT,
				  "control socket %s: the daemon does not answer within %u s", path,
				  seconds);
	n = recv(fd, &reply, sizeof(reply) - 1, MSG_DONTWAIT);
	if (n < (ssize_t)sizeof(reply.header) || zu_get_le32(reply.header.magic) != ZC_CTL_MAGIC)
		return zu_err_set(err, n < 0 ? errno : ECONNRESET,
				  "control socket %s: the daemon has hung up", path);
	n -= (ssize_t)sizeof(reply.header);
	reply.body[n] = '\0';
	status = zu_get_le32(reply.header.status);
	if (status > 0 && status < 4096)
		return refused(reply.body, (int)status, path, err);
	if (status != 0 || (size_t)n != size)
		return zu_err_set(err, EBADMSG, "control socket %s: the answer makes no sense",
				  path);
	if (size)
		memcpy(answer, reply.body, size);
	return 0;
}

/* ---- commit ------------------------------------------------------------------------------- */

int file_commit(const int *fds, const char *const *names, size_t n, unsigned seconds,
		struct zu_err *err)
{
	uint8_t request[8 + ZC_CTL_COMMIT_MAX * ZC_TICKET_SIZE] = { 0 };
	zu_cleanup_close int fd = -1;
	struct zc_ticket first, t;
	int r = 0;

	if (n > ZC_CTL_COMMIT_MAX)
		return zu_err_set(err, E2BIG, "%zu files are too many for one commit (%u at most)",
				  n, ZC_CTL_COMMIT_MAX);
	/* All are flushed before the first ticket: that may take longer than a ticket lives. */
	for (size_t i = 0; i < n && r == 0; i++)
		r = file_flush(fds[i], names[i], err);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = file_ticket(fds[i], names[i], &t, err);
		if (r == 0 && i == 0)
			first = t;
		if (r == 0 && strcmp(t.socket, first.socket))
			r = zu_err_set(
				err, EXDEV,
				"%s: on another mount than %s; files of one mount only can be "
				"committed together",
				names[i], names[0]);
		if (r == 0)
			memcpy(request + 8 + i * ZC_TICKET_SIZE, t.ticket, ZC_TICKET_SIZE);
	}
	if (r < 0 || n == 0)
		return r;
	zu_put_le32(request, (uint32_t)n);
	fd = connect_to(fds[0], first.socket, err);
	if (fd < 0)
		return fd;
	return exchange(fd, first.socket, ZC_CTL_COMMIT, request, 8 + n * ZC_TICKET_SIZE, seconds,
			NULL, 0, err);
}

/* ---- rollback ----------------------------------------------------------------------------- */

/* Have the kernel take the committed size and mtime. */
static int tell_kernel(int fd, const char *name, struct file_rollback *r, struct zu_err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, r->mtime };

	if (ftruncate(fd, (off_t)r->size) < 0)
		return zu_err_set(err, errno, "%s: cannot set its size: %s", name, strerror(errno));
	r->mtime_kept = futimens(fd, times) == 0;
	if (!r->mtime_kept && errno != EPERM)
		return zu_err_set(err, errno, "%s: cannot set its time: %s", name, strerror(errno));
	return 0;
}

int file_roll_back(int fd, const char *name, unsigned seconds, struct file_rollback *ret,
		   struct zu_err *err)
{
	zu_cleanup_close int socket = -1;
	struct file_rollback result = { 0 };
	struct zc_ticket t;
	uint8_t begun[32];
	int r = file_ticket(fd, name, &t, err);

	if (r < 0)
		return r;
	socket = connect_to(fd, t.socket, err);
	if (socket < 0)
		return socket;
	r = exchange(socket, t.socket, ZC_CTL_ROLLBACK_BEGIN, t.ticket, sizeof(t.ticket), seconds,
		     begun, sizeof(begun), err);
	if (r < 0)
		return r;
	result.size = zu_get_le64(begun + 8);
	result.mtime.tv_sec = (time_t)zu_get_le64(begun + 16);
	result.mtime.tv_nsec = (long)zu_get_le32(begun + 24);
	for (int i = 0; i < END_TRIES; i++) {
		r = tell_kernel(fd, name, &result, err);
		if (r < 0)
			return r;
		r = exchange(socket, t.socket, ZC_CTL_ROLLBACK_END, begun, 8, seconds, NULL, 0,
			     err);
		if (r != -EAGAIN)
			break;
	}
	if (r == 0)
		*ret = result;
	return r;
}
