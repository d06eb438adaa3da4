/* SPDX-License-Identifier: MIT */
/*
 * ctl_server.c - see ctl_server.h; the protocol is in abi/zc_ctl.h.
 *
 * One thread polls the listening socket, an eventfd that ends it, and the clients. Nothing is
 * shared with other threads but what is constant from start to stop, so there is no lock. No send
 * or receive waits: a client that sends rubbish, sends nothing, or does not read loses its
 * connection, and nobody else notices.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_server.h"
#include "util/bytes.h"
#include "util/cleanup.h"

enum { CLIENTS = 16, SLOT_LISTEN = CLIENTS, SLOT_STOP, SLOTS };

struct ctl_server {
	struct ctl_hooks hooks;
	char *store;
	char id[48]; /* device:inode of the store's directory */
	char uuid[37];
	struct sockaddr_un address;
	dev_t dev; /* of the socket's file, to remove no other */
	ino_t ino;
	int dir_fd, listen_fd, stop_fd;
	pthread_t thread;
	/* Of the thread alone: */
	struct pollfd fds[SLOTS];
	int64_t deadline[CLIENTS]; /* ms */
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

/* False: the client takes no more, or is gone. */
static bool send_reply(int fd, unsigned type, int code, const char *text)
{
	struct zc_ctl_header header;
	size_t length = strlen(text);
	struct iovec iov[2] = {
		{ &header, sizeof(header) },
		{ (void *)(uintptr_t)text, length },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	zu_put_le32(header.magic, ZC_CTL_MAGIC);
	zu_put_le16(header.version, ZC_CTL_VERSION);
	zu_put_le16(header.type, (uint16_t)(type | ZC_CTL_REPLY));
	zu_put_le32(header.length, (uint32_t)length);
	zu_put_le32(header.status, (uint32_t)code);
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool send_error(int fd, unsigned type, int code, const char *why)
{
	char text[256];

	/* The texts are ours: nothing in them needs escaping. */
	snprintf(text, sizeof(text), "{\"error\":\"%s\"}", why);
	return send_reply(fd, type, code, text);
}

static bool send_json(int fd, unsigned type, const cJSON *json)
{
	zu_cleanup_free char *text = cJSON_PrintUnformatted(json);

	if (!text)
		return send_error(fd, type, ENOMEM, "the daemon has no memory left");
	if (strlen(text) > ZC_CTL_REPLY_MAX)
		return send_error(fd, type, EMSGSIZE, "the answer is larger than 64 KiB");
	return send_reply(fd, type, 0, text);
}

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
		alive = send_error(fd, type, good ? -r : ENOMEM, "the daemon cannot tell");
	else
		alive = send_json(fd, type, json);
	cJSON_Delete(json);
	return alive;
}

/* One packet of a client; false: hang up. */
static bool serve(struct ctl_server *s, int fd)
{
	const struct zc_ctl_header *h = &s->request.header;
	ssize_t n = recv(fd, &s->request, sizeof(s->request), MSG_DONTWAIT | MSG_TRUNC);
	unsigned type;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if ((size_t)n < sizeof(*h) || (size_t)n > sizeof(s->request) ||
	    zu_get_le32(h->magic) != ZC_CTL_MAGIC) {
		send_error(fd, 0, EBADMSG, "not a request of the control protocol");
		return false;
	}
	type = zu_get_le16(h->type) & ~(unsigned)ZC_CTL_REPLY;
	if (zu_get_le16(h->version) != ZC_CTL_VERSION) {
		send_error(
			fd, type, EPROTONOSUPPORT,
			"this version of the control protocol is not supported (1 only); use the "
			"zcctl that belongs to the daemon");
		return false;
	}
	if (zu_get_le32(h->length) != (size_t)n - sizeof(*h) || zu_get_le32(h->status) != 0 ||
	    zu_get_le16(h->type) != type) {
		send_error(fd, type, EBADMSG, "a request with a wrong length or type");
		return false;
	}
	if (type != ZC_CTL_PING && type != ZC_CTL_INFO) {
		send_error(fd, type, ENOSYS, "this daemon does not know the request");
		return false;
	}
	if (zu_get_le32(h->length) != 0) {
		send_error(fd, type, EBADMSG, "this request takes no arguments");
		return false;
	}
	return answer(s, fd, type);
}

/* ---- the thread -------------------------------------------------------------------------- */

static void hang_up(struct ctl_server *s, unsigned slot)
{
	close(s->fds[slot].fd);
	s->fds[slot].fd = -1;
}

static void take_client(struct ctl_server *s)
{
	zu_cleanup_close int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0) {
		/* Out of descriptors: the client stays in the queue. Do not spin meanwhile. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			poll(NULL, 0, 100);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid())) {
		send_error(fd, 0, EACCES, "only root and the daemon's own user may ask");
		return;
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		if (s->fds[i].fd < 0) {
			s->fds[i] = (struct pollfd){ .fd = TAKE_FD(fd), .events = POLLIN };
			s->deadline[i] = now_ms() + ZC_CTL_TIMEOUT * 1000;
			return;
		}
}

/* Hang up on who is silent too long. Gives the time to the next deadline, and stops listening
 * while there is no room. */
static int expire(struct ctl_server *s)
{
	int64_t now = now_ms(), next = -1;
	bool room = false;

	for (unsigned i = 0; i < CLIENTS; i++) {
		if (s->fds[i].fd >= 0 && s->deadline[i] <= now)
			hang_up(s, i);
		if (s->fds[i].fd < 0)
			room = true;
		else if (next < 0 || s->deadline[i] - now < next)
			next = s->deadline[i] - now;
	}
	s->fds[SLOT_LISTEN].fd = room ? s->listen_fd : -1;
	return (int)next;
}

static void *run(void *arg)
{
	struct ctl_server *s = arg;

	for (;;) {
		if (poll(s->fds, SLOTS, expire(s)) < 0)
			continue; /* EINTR, or no memory for the moment */
		if (s->fds[SLOT_STOP].revents)
			break;
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (s->fds[i].fd < 0 || !s->fds[i].revents)
				continue;
			if (serve(s, s->fds[i].fd))
				s->deadline[i] = now_ms() + ZC_CTL_TIMEOUT * 1000;
			else
				hang_up(s, i);
		}
		if (s->fds[SLOT_LISTEN].fd >= 0 && s->fds[SLOT_LISTEN].revents)
			take_client(s);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		if (s->fds[i].fd >= 0)
			hang_up(s, i);
	return NULL;
}

/* ---- the socket -------------------------------------------------------------------------- */

/* A directory that is ours alone; nobody else could have put the socket there. */
static int directory_open(const char *path, struct zu_err *err)
{
	zu_cleanup_close int fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return zu_err_set(err, errno, "control socket: cannot make %s: %s", path,
				  strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return zu_err_set(err, errno, "control socket: cannot open %s: %s", path,
				  strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return zu_err_set(
			err, EACCES,
			"control socket: %s does not belong to user %u alone (mode 0700); "
			"remove it",
			path, (unsigned)geteuid());
	return TAKE_FD(fd);
}

static int place(struct ctl_server *s, const char *dir, struct zu_err *err)
{
	int n = snprintf(s->address.sun_path, sizeof(s->address.sun_path), "%s/%s" ZC_CTL_SUFFIX,
			 dir, s->uuid);

	if (n < 0 || (size_t)n >= sizeof(s->address.sun_path))
		return zu_err_set(err, ENAMETOOLONG, "control socket: the path %s is too long",
				  dir);
	return directory_open(dir, err);
}

/* The first directory of zc_ctl.h that can be used. */
static int choose(struct ctl_server *s, struct zu_err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char dir[sizeof(s->address.sun_path)];
	int fd = -1;

	if (geteuid() == 0)
		fd = place(s, ZC_CTL_ROOT_DIR, err);
	else if (runtime && runtime[0] == '/' &&
		 (size_t)snprintf(dir, sizeof(dir), "%s/" ZC_CTL_USER_DIR, runtime) < sizeof(dir))
		fd = place(s, dir, err);
	if (fd < 0) {
		snprintf(dir, sizeof(dir), ZC_CTL_TMP_DIR, (unsigned)geteuid());
		fd = place(s, dir, err);
	}
	s->dir_fd = fd;
	return fd < 0 ? fd : 0;
}

/* The name is taken: by a live daemon, or left behind by a killed one? */
static int remove_stale(struct ctl_server *s, struct zu_err *err)
{
	zu_cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return zu_err_set(err, errno, "control socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&s->address, sizeof(s->address)) == 0 || errno == EAGAIN)
		return zu_err_set(
			err, EADDRINUSE,
			"control socket %s: another mount of this store or of a copy of it "
			"(same uuid) has it; unmount that first",
			s->address.sun_path);
	if (unlink(s->address.sun_path) < 0 && errno != ENOENT)
		return zu_err_set(err, errno, "control socket: cannot remove the old %s: %s",
				  s->address.sun_path, strerror(errno));
	return 0;
}

/* Sockets of killed daemons whose stores nobody mounts again would pile up. The caller has locked
 * the directory: a daemon that has bound its socket listens on it, too. */
static void sweep(const struct ctl_server *s)
{
	char path[sizeof(s->address.sun_path)];
	int copy = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	zu_cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	size_t length = (size_t)(strrchr(s->address.sun_path, '/') - s->address.sun_path);
	const struct dirent *entry;

	if (!dir)
		zu_close_fd(&copy);
	while (dir && (entry = readdir(dir))) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		zu_cleanup_close int fd = -1;
		int n = snprintf(path, sizeof(path), "%.*s/%s", (int)length, s->address.sun_path,
				 entry->d_name);

		if (entry->d_type != DT_SOCK || n < 0 || (size_t)n >= sizeof(path))
			continue;
		memcpy(address.sun_path, path, (size_t)n + 1);
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		    errno == ECONNREFUSED)
			unlinkat(s->dir_fd, entry->d_name, 0);
	}
}

static int listen_there(struct ctl_server *s, struct zu_err *err)
{
	struct stat st;
	int r = choose(s, err);

	if (r < 0)
		return r;
	s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0)
		return zu_err_set(err, errno, "control socket: %s", strerror(errno));
	/* Between the look at a stale socket and bind(2) no other daemon may do the same. */
	flock(s->dir_fd, LOCK_EX);
	r = bind(s->listen_fd, (struct sockaddr *)&s->address, sizeof(s->address)) < 0 ? -errno : 0;
	if (r == -EADDRINUSE) {
		r = remove_stale(s, err);
		if (r == 0)
			r = bind(s->listen_fd, (struct sockaddr *)&s->address, sizeof(s->address)) <
					    0
				    ? -errno
				    : 0;
		else
			err = NULL; /* it says why */
	}
	if (r == 0 && (listen(s->listen_fd, CLIENTS) < 0 || lstat(s->address.sun_path, &st) < 0))
		r = -errno;
	if (r == 0) {
		/* Also with a umask of 0; the directory lets nobody in anyway. */
		chmod(s->address.sun_path, 0600);
		sweep(s);
	}
	flock(s->dir_fd, LOCK_UN);
	if (r < 0) {
		zu_err_set(err, -r, "control socket %s: %s", s->address.sun_path, strerror(-r));
		return r;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

/* ---- life -------------------------------------------------------------------------------- */

static void server_free(struct ctl_server *s)
{
	struct stat st;

	if (s->ino && lstat(s->address.sun_path, &st) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino)
		unlink(s->address.sun_path);
	zu_close_fd(&s->listen_fd);
	zu_close_fd(&s->stop_fd);
	zu_close_fd(&s->dir_fd);
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
	s->address.sun_family = AF_UNIX;
	s->dir_fd = s->listen_fd = -1;
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
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
	s->fds[SLOT_STOP].fd = s->stop_fd;
	if (s->store && s->stop_fd >= 0)
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
	r = listen_there(s, err);
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
	return s->address.sun_path;
}

void ctl_server_stop(struct ctl_server *s)
{
	if (!s)
		return;
	eventfd_write(s->stop_fd, 1);
	pthread_join(s->thread, NULL);
	server_free(s);
}
