/* SPDX-License-Identifier: MIT */
/* ctl_client.c - see ctl_client.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_client.h"
#include "util/bytes.h"
#include "util/cleanup.h"
#include "util/fdio.h"

/* The uuid in the file `format` of a store. */
static int read_uuid(const char *path, char uuid[37], struct zu_err *err)
{
	zu_cleanup_free char *name = NULL;
	zu_cleanup_close int fd = -1;
	char text[256] = "", *line;
	ssize_t n;

	if (asprintf(&name, "%s/format", path) < 0)
		return -ENOMEM;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return zu_err_set(err, errno, "store %s: cannot open its file format: %s", path,
				  strerror(errno));
	n = zu_read_full(fd, text, sizeof(text) - 1);
	line = n > 0 ? strstr(text, "\nuuid ") : NULL;
	if (!line || strspn(line + 6, "0123456789abcdef-") != 36)
		return zu_err_set(err, EBADMSG, "store %s: no uuid in its file format", path);
	memcpy(uuid, line + 6, 36);
	uuid[36] = '\0';
	return 0;
}

/* One directory where a daemon of `uid` may listen, or "" ; false: there is none of this number. */
static bool candidate(unsigned number, uid_t uid, char dir[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n = 0;

	dir[0] = '\0';
	switch (number) {
	case 0:
		if (uid == 0)
			n = snprintf(dir, PATH_MAX, ZC_CTL_ROOT_DIR);
		break;
	case 1:
		if (uid == geteuid() && runtime)
			n = snprintf(dir, PATH_MAX, "%s/" ZC_CTL_USER_DIR, runtime);
		break;
	case 2:
		n = snprintf(dir, PATH_MAX, "/run/user/%u/" ZC_CTL_USER_DIR, (unsigned)uid);
		break;
	case 3:
		n = snprintf(dir, PATH_MAX, ZC_CTL_TMP_DIR, (unsigned)uid);
		break;
	default:
		return false;
	}
	if (n < 0 || n >= PATH_MAX)
		dir[0] = '\0';
	return true;
}

/* False: such a path is too long for a socket. */
static bool make_address(const char *dir, const char *name, struct sockaddr_un *address)
{
	int n;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	n = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s", dir, name);
	return *dir && n > 0 && (size_t)n < sizeof(address->sun_path);
}

/* Connect to it, if it is there and belongs to whom it should. */
static int try_connect(const struct sockaddr_un *address, uid_t uid, struct zu_err *err)
{
	zu_cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = ZC_CTL_TIMEOUT };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return zu_err_set(err, errno, "control socket: %s", strerror(errno));
	/* The limit of sending is also that of connecting, when the daemon's queue is full. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
			return -ENOENT;
		if (errno == EAGAIN)
			return zu_err_set(
				err, ETIMEDOUT,
				"control socket %s: the daemon takes no connection within "
				"%d s",
				address->sun_path, ZC_CTL_TIMEOUT);
		return zu_err_set(err, errno, "control socket %s: %s", address->sun_path,
				  strerror(errno));
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != 0 && peer.uid != uid && peer.uid != geteuid()))
		return zu_err_set(
			err, EACCES,
			"control socket %s: it belongs to another user, not to the daemon",
			address->sun_path);
	return TAKE_FD(fd);
}

struct reply {
	struct zc_ctl_header header;
	char body[ZC_CTL_REPLY_MAX + 1];
};

/* Send one request and take its reply: the length of the body. */
static ssize_t exchange(int fd, unsigned type, const void *body, size_t length, struct reply *reply)
{
	struct zc_ctl_header request = { 0 };
	struct iovec iov[] = { { &request, sizeof(request) }, { (void *)(uintptr_t)body, length } };
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n;

	zu_put_le32(request.magic, ZC_CTL_MAGIC);
	zu_put_le16(request.version, ZC_CTL_VERSION);
	zu_put_le16(request.type, (uint16_t)type);
	zu_put_le32(request.length, (uint32_t)length);
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	n = poll(&wait, 1, ZC_CTL_TIMEOUT * 1000);
	if (n <= 0)
		return n == 0 ? -ETIMEDOUT : -errno;
	n = recv(fd, reply, sizeof(*reply) - 1, MSG_TRUNC | MSG_DONTWAIT);
	if (n <= 0)
		return n == 0 ? -ECONNRESET : -errno;
	if ((size_t)n < sizeof(reply->header) || (size_t)n > sizeof(*reply) - 1 ||
	    zu_get_le32(reply->header.magic) != ZC_CTL_MAGIC ||
	    !(zu_get_le16(reply->header.type) & ZC_CTL_REPLY) ||
	    zu_get_le32(reply->header.length) != (size_t)n - sizeof(reply->header))
		return -EBADMSG;
	n -= (ssize_t)sizeof(reply->header);
	reply->body[n] = '\0';
	return n;
}

static int understand(const struct reply *reply, const char *address, cJSON **ret_json,
		      struct zu_err *err)
{
	cJSON *json = cJSON_Parse(reply->body);
	uint32_t status = zu_get_le32(reply->header.status);

	if (status != 0 && status < 4096) {
		const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, "error"));

		zu_err_set(err, (int)status, "control socket %s: %s (%s)", address,
			   text ? text : "refused", strerror((int)status));
		cJSON_Delete(json);
		return -(int)status;
	}
	if (status != 0 || !cJSON_IsObject(json)) {
		cJSON_Delete(json);
		return zu_err_set(err, EBADMSG, "control socket %s: the answer makes no sense",
				  address);
	}
	*ret_json = json;
	return 0;
}

/* A copy of a store has the same uuid: is this the daemon of the store that was meant? */
static bool is_meant(const cJSON *json, const char *path)
{
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(json, "store_id"));
	struct stat st;
	char want[48];

	if (!id || stat(path, &st) < 0)
		return true; /* cannot tell */
	snprintf(want, sizeof(want), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return !strcmp(id, want);
}

static int ask_connected(int fd, unsigned type, const void *body, size_t length,
			 const char *address, cJSON **ret_json, struct zu_err *err)
{
	zu_cleanup_free struct reply *reply = malloc(sizeof(*reply));
	ssize_t n;

	if (!reply)
		return zu_err_set(err, ENOMEM, "control socket: no memory left");
	n = exchange(fd, type, body, length, reply);
	if (n == -ETIMEDOUT)
		return zu_err_set(err, ETIMEDOUT,
				  "control socket %s: the daemon does not answer within %d s",
				  address, ZC_CTL_TIMEOUT);
	if (n < 0)
		return zu_err_set(err, (int)-n, "control socket %s: %s", address,
				  strerror((int)-n));
	return understand(reply, address, ret_json, err);
}

static int ask_at(const struct sockaddr_un *address, uid_t uid, unsigned type, cJSON **ret_json,
		  struct zu_err *err)
{
	zu_cleanup_close int fd = try_connect(address, uid, err);

	return fd < 0 ? fd : ask_connected(fd, type, NULL, 0, address->sun_path, ret_json, err);
}

int ctl_ask_at(const char *socket, uid_t uid, unsigned type, const void *body, size_t length,
	       cJSON **ret_json, struct zu_err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	zu_cleanup_close int fd = -1;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket);
	fd = try_connect(&address, uid, err);
	if (fd == -ENOENT)
		return zu_err_set(err, ENOENT, "control socket %s: the daemon is gone", socket);
	return fd < 0 ? fd : ask_connected(fd, type, body, length, socket, ret_json, err);
}

int ctl_ask(const char *path, uid_t uid, unsigned type, char *ret_socket, cJSON **ret_json,
	    struct zu_err *err)
{
	struct sockaddr_un address;
	char uuid[37], name[48], dir[PATH_MAX];
	int r = read_uuid(path, uuid, err);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s" ZC_CTL_SUFFIX, uuid);
	for (unsigned i = 0; candidate(i, uid, dir); i++) {
		cJSON *json = NULL;

		if (!make_address(dir, name, &address))
			continue;
		r = ask_at(&address, uid, type, &json, err);
		if (r == 0 && is_meant(json, path)) {
			memcpy(ret_socket, address.sun_path, sizeof(address.sun_path));
			*ret_json = json;
			return 0;
		}
		cJSON_Delete(json);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

/* The store of the daemon at this address, if it says that it serves the mount `point`. */
static char *store_if_at(const struct sockaddr_un *address, uid_t uid, const char *point)
{
	char *store = NULL;
	cJSON *json = NULL;

	if (ask_at(address, uid, ZC_CTL_INFO, &json, NULL) == 0) {
		const char *mount = cJSON_GetStringValue(cJSON_GetObjectItem(json, "mount"));
		const char *path = cJSON_GetStringValue(cJSON_GetObjectItem(json, "store"));

		if (mount && path && !strcmp(mount, point))
			store = strdup(path);
	}
	cJSON_Delete(json);
	return store;
}

char *ctl_find_store(const char *point, uid_t uid)
{
	struct sockaddr_un address;
	char path[PATH_MAX];
	char *store = NULL;

	for (unsigned i = 0; !store && candidate(i, uid, path); i++) {
		zu_cleanup_dir DIR *dir = *path ? opendir(path) : NULL;
		const struct dirent *entry;

		while (dir && !store && (entry = readdir(dir)))
			if (entry->d_name[0] != '.' && make_address(path, entry->d_name, &address))
				store = store_if_at(&address, uid, point);
	}
	return store;
}
