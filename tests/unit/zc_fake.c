/* SPDX-License-Identifier: MIT */
/* zc_fake.c - see zc_fake.h. */
#include "zc_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "abi/zc_ioctl.h"
#include "util/bytes.h"

enum { CLIENTS = 32 };

struct fake fake;

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	int listen, stop[2];
	int fd[CLIENTS];
	bool attached[CLIENTS];
	struct sockaddr_un address;
	uint32_t next_ticket;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- tickets -------------------------------------------------------------------------------- */

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request != ZC_IOC_TICKET)
		return __real_ioctl(fd, request, arg);
	if (fake.off) {
		errno = ENOTTY;
		return -1;
	}
	struct zc_ticket *t = arg;
	uint32_t number = __atomic_add_fetch(&server.next_ticket, 1, __ATOMIC_RELAXED);

	memset(t, 0, sizeof(*t));
	zu_put_le32(t->ticket, number);
	strcpy(t->socket, server.address.sun_path);
	if (fake.elsewhere)
		strcpy(t->socket, fake.elsewhere);
	if (fake.second_mount && number % 2)
		t->socket[0] = '.';
	t->writable = 1;
	return 0;
}

/* ---- the socket ----------------------------------------------------------------------------- */

static void new_image(void)
{
	if (fake.memfd >= 0)
		close(fake.memfd);
	fake.memfd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fake.memfd < 0 ||
	    ftruncate(fake.memfd, (off_t)(fake.passthrough ? fake.size : fake.capacity)) < 0)
		abort();
	if (!fake.unsealed && !fake.passthrough)
		fcntl(fake.memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
}

static uint32_t dice(uint32_t sides)
{
	fake.lies ^= fake.lies << 13;
	fake.lies ^= fake.lies >> 17;
	fake.lies ^= fake.lies << 5;
	return fake.lies % sides;
}

/* Change what is in `bytes`, and how long it is. */
static size_t lie(uint8_t *bytes, size_t length, size_t room)
{
	switch (dice(6)) {
	case 0:
		return dice(4) ? dice((uint32_t)length + 1) : 0; /* (with descriptors) */
	case 1:
		return length + dice((uint32_t)(room - length));
	case 2: /* one bit */
		bytes[dice((uint32_t)length)] ^= (uint8_t)(1u << dice(8));
		return length;
	case 3: /* a number */
		for (uint32_t at = dice((uint32_t)length), i = 0; i < 8 && at + i < length; i++)
			bytes[at + i] = (uint8_t)dice(256);
		return length;
	default:
		return length;
	}
}

static void answer(int to, unsigned type, int status, const void *body, size_t length, int fd)
{
	struct zc_ctl_header h = { 0 };
	uint8_t bytes[2048] = { 0 };
	struct iovec iov = { bytes, sizeof(h) + length };
	union {
		char buffer[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buffer = { 0 } };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t fds = 1 + (size_t)fake.extra_fds;

	zu_put_le32(h.magic, ZC_CTL_MAGIC);
	zu_put_le16(h.version, ZC_CTL_VERSION);
	zu_put_le16(h.type, (uint16_t)(type | ZC_CTL_REPLY));
	zu_put_le32(h.length, (uint32_t)length);
	zu_put_le32(h.status, (uint32_t)status);
	if (fd >= 0) {
		msg.msg_control = control.buffer;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (size_t i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	}
	memcpy(bytes, &h, sizeof(h));
	if (length)
		memcpy(bytes + sizeof(h), body, length);
	if (fake.lies) {
		iov.iov_len = lie(bytes, iov.iov_len, sizeof(bytes));
		if (dice(20) == 0)
			msg.msg_controllen = 0;
	}
	sendmsg(to, &msg, MSG_NOSIGNAL);
}

static void refuse(int to, unsigned type, int status)
{
	static const char text[] = "{\"error\":\"the fake refuses it\"}";

	answer(to, type, status, text, sizeof(text) - 1, -1);
}

static void attach(int client, const uint8_t *q)
{
	uint8_t reply[ZC_CTL_ATTACH_REPLY] = { 0 };

	fake.wanted = zu_get_le64(q + 16);
	fake.attach_flags = zu_get_le32(q + 24);
	if (fake.memfd < 0)
		new_image();
	zu_put_le64(reply, 42);
	zu_put_le64(reply + 8, 7);
	zu_put_le64(reply + 16, fake.size);
	zu_put_le64(reply + 24, fake.passthrough ? fake.size : fake.capacity);
	zu_put_le32(reply + 32,
		    ZC_CTL_LIVE_WRITABLE | (fake.passthrough ? ZC_CTL_LIVE_PASSTHROUGH : 0));
	server.attached[client] = true;
	fake.attached++;
	answer(server.fd[client], ZC_CTL_ATTACH, 0, reply, sizeof(reply), fake.memfd);
}

static void track(int client, const uint8_t *q, int passed)
{
	uint8_t reply[ZC_CTL_TRACK_REPLY] = { 0 };

	fake.track_address = zu_get_le64(q + 8);
	fake.track_length = zu_get_le64(q + 16);
	if (fake.pagemap >= 0)
		close(fake.pagemap);
	fake.pagemap = passed;
	fake.tracks_with_fd += passed >= 0;
	zu_put_le32(reply, passed >= 0 && !fake.cannot_track);
	answer(server.fd[client], ZC_CTL_TRACK, 0, reply, sizeof(reply), -1);
}

static void serve(int client, unsigned type, const uint8_t *q, size_t length, int passed)
{
	int to = server.fd[client];
	uint8_t reply[64] = { 0 };

	if (type == ZC_CTL_TRACK && length == ZC_CTL_TRACK_SIZE) {
		track(client, q, passed);
		return;
	}
	if (passed >= 0)
		close(passed);
	zu_put_le64(reply, type == ZC_CTL_LIVE_STATUS ? fake.generation : fake.size);
	zu_put_le64(reply + 8, type == ZC_CTL_LIVE_STATUS ? fake.size : 1000000000);
	if (type == ZC_CTL_ATTACH && length == ZC_CTL_ATTACH_SIZE) {
		attach(client, q);
	} else if (type == ZC_CTL_COMMIT && length == 8 + 16 * (size_t)zu_get_le32(q)) {
		fake.tickets_shown = zu_get_le32(q);
		answer(to, type, 0, NULL, 0, -1);
	} else if (length != ZC_CTL_ID_SIZE || zu_get_le64(q) != 42 || !server.attached[client]) {
		refuse(to, type, EBADMSG);
	} else if (type == ZC_CTL_LIVE_COMMIT) {
		answer(to, type, 0, reply, ZC_CTL_LIVE_COMMIT_REPLY, -1);
	} else if (type == ZC_CTL_LIVE_STATUS) {
		answer(to, type, 0, reply, ZC_CTL_LIVE_STATUS_REPLY, -1);
	} else if (type == ZC_CTL_LIVE_ROLLBACK) {
		answer(to, type, 0, reply, ZC_CTL_LIVE_ROLLBACK_REPLY, -1);
	} else if (type == ZC_CTL_DETACH) {
		answer(to, type, 0, NULL, 0, -1);
	} else {
		refuse(to, type, ENOSYS);
	}
}

static void hang_up(int client)
{
	close(server.fd[client]);
	server.fd[client] = -1;
	fake.attached -= server.attached[client];
	server.attached[client] = false;
}

static void one_request(int client)
{
	struct {
		struct zc_ctl_header header;
		uint8_t body[ZC_CTL_REQUEST_MAX];
	} q;
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &q, sizeof(q) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buffer,
			      .msg_controllen = sizeof(control.buffer) };
	ssize_t n = recvmsg(server.fd[client], &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	unsigned type = n > 0 ? zu_get_le16(q.header.type) : 0;
	int passed = -1;

	if (c)
		memcpy(&passed, CMSG_DATA(c), sizeof(passed));
	__atomic_add_fetch(&fake.asked[type & 15], 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&fake.hold_type, __ATOMIC_SEQ_CST) == (int)type)
		usleep(1000);
	if (passed >= 0 && type == (unsigned)fake.refuse_type)
		close(passed);
	if (n < (ssize_t)sizeof(q.header) || (fake.hang_up && type == (unsigned)fake.refuse_type))
		hang_up(client);
	else if (type == (unsigned)fake.refuse_type)
		refuse(server.fd[client], type, fake.refuse_status);
	else if (fake.stale > 0 && (type == ZC_CTL_ATTACH || type == ZC_CTL_COMMIT))
		fake.stale--, refuse(server.fd[client], type, ESTALE);
	else
		serve(client, type, q.body, (size_t)n - sizeof(q.header), passed);
}

static void accept_client(void)
{
	int fd = accept4(server.listen, NULL, NULL, SOCK_CLOEXEC), i = 0;

	if (fake.no_place > 0) {
		fake.no_place--;
		refuse(fd, 0, EBUSY);
		close(fd);
		return;
	}
	while (i < CLIENTS && server.fd[i] >= 0)
		i++;
	if (i == CLIENTS)
		abort();
	server.fd[i] = fd;
}

static void *run(void *unused)
{
	for (;;) {
		struct pollfd p[CLIENTS + 2];

		for (int i = 0; i < CLIENTS; i++)
			p[i] = (struct pollfd){ .fd = server.fd[i], .events = POLLIN };
		p[CLIENTS] = (struct pollfd){ .fd = server.listen, .events = POLLIN };
		p[CLIENTS + 1] = (struct pollfd){ .fd = server.stop[0], .events = POLLIN };
		poll(p, CLIENTS + 2, -1);
		if (p[CLIENTS + 1].revents)
			return unused;
		pthread_mutex_lock(&server.lock);
		for (int i = 0; i < CLIENTS; i++)
			if (server.fd[i] >= 0 && p[i].revents)
				one_request(i);
		if (p[CLIENTS].revents)
			accept_client();
		pthread_mutex_unlock(&server.lock);
	}
}

/* ---- for the tests -------------------------------------------------------------------------- */

void fake_reset(void)
{
	pthread_mutex_lock(&server.lock);
	if (fake.memfd >= 0)
		close(fake.memfd);
	if (fake.pagemap >= 0)
		close(fake.pagemap);
	fake = (struct fake){ .attached = fake.attached, /* that lags behind the clients */
			      .generation = 7,
			      .size = 100000,
			      .capacity = 16 << 20,
			      .memfd = -1,
			      .pagemap = -1,
			      .refuse_type = -1,
			      .hold_type = -1 };
	pthread_mutex_unlock(&server.lock);
}

void fake_start(void)
{
	fake.memfd = fake.pagemap = -1;
	fake_reset();
	for (int i = 0; i < CLIENTS; i++)
		server.fd[i] = -1;
	server.address.sun_family = AF_UNIX;
	snprintf(server.address.sun_path, sizeof(server.address.sun_path), "/tmp/zc-fake.%d.sock",
		 (int)getpid());
	server.listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(server.listen, (struct sockaddr *)&server.address, sizeof(server.address)) < 0 ||
	    listen(server.listen, 64) < 0 || pipe2(server.stop, O_CLOEXEC) < 0 ||
	    pthread_create(&server.thread, NULL, run, NULL) != 0)
		abort();
}

void fake_stop(void)
{
	close(server.stop[1]);
	pthread_join(server.thread, NULL);
	fake_reset();
	for (int i = 0; i < CLIENTS; i++)
		if (server.fd[i] >= 0)
			hang_up(i);
	close(server.stop[0]);
	close(server.listen);
	unlink(server.address.sun_path);
}

bool fake_wait_detached(void)
{
	for (int i = 0; i < 1000; i++) {
		bool none;

		pthread_mutex_lock(&server.lock);
		none = fake.attached == 0;
		pthread_mutex_unlock(&server.lock);
		if (none)
			return true;
		usleep(10000);
	}
	return false;
}

/* Linux 6.7: fs.h */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct scan_region {
	uint64_t start, end, categories;
};
#define SCAN _IOWR('f', 16, struct scan_arg)
#define WRITTEN (1u << 1)
#define PROTECT_AGAIN 1u
#define NEEDS_ASYNC 2u

long fake_scan(uint64_t *pages, size_t max)
{
	struct scan_region regions[64];
	struct scan_arg arg = { .size = sizeof(arg),
				.flags = PROTECT_AGAIN | NEEDS_ASYNC,
				.start = fake.track_address,
				.end = fake.track_address + fake.track_length,
				.vec = (uintptr_t)regions,
				.vec_len = 64,
				.category_mask = WRITTEN,
				.return_mask = WRITTEN };
	long found = __real_ioctl(fake.pagemap, SCAN, &arg);
	size_t n = 0;

	if (found < 0)
		return -errno;
	for (long i = 0; i < found; i++)
		for (uint64_t at = regions[i].start; at < regions[i].end; at += 4096)
			if (n++ < max)
				pages[n - 1] = (at - fake.track_address) / 4096;
	return (long)n;
}
