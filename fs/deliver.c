/* SPDX-License-Identifier: MIT */
/*
 * deliver.c - the process that asks the kernel to write an inode's dirty pages back.
 *
 * FUSE_NOTIFY_INVAL_INODE does that, and the thread that writes it blocks in the kernel until the
 * daemon has taken the pages. If that were a thread of the daemon and the daemon were killed, it
 * could never end: it would wait for answers of its own process. So a process of its own does it,
 * with its own clone of the device (descriptor 3) and a socket to the daemon (4): a message names
 * an inode, and comes back when it is delivered.
 *
 * When the daemon's end of the socket is closed, the process ends. If notifications are still under
 * way then, nobody is left to serve them: the connection is aborted through fusectl; where that is
 * not mounted, its requests are read here and answered with EIO until the last has returned.
 *
 * Threads: SENDERS that take messages, and the main thread, which waits for the end. `busy` counts
 * notifications under way; who finds it 0 after the end was seen exits for all.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs.h"

enum { DEVICE = 3, SOCKET = 4, SENDERS = 4, DRAIN_SIZE = FS_MAX_IO + 2 * FS_PAGE };

static _Atomic unsigned busy;
static _Atomic bool ended;
static const char *connection; /* its number in fusectl */

static int notify(uint64_t ino)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inval;
	} out = {
		.header = { .len = sizeof(out), .error = FUSE_NOTIFY_INVAL_INODE },
		.inval = { .ino = ino },
	};

	return write(DEVICE, &out, sizeof(out)) < 0 ? -errno : 0;
}

static void end_if_idle(void)
{
	if (atomic_load(&ended) && atomic_load(&busy) == 0)
		_exit(0);
}

/* End all that the dead daemon no longer can. */
static bool abort_connection(void)
{
	char path[64];
	bool aborted;
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%s/abort", connection);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	aborted = write(fd, "1", 1) == 1;
	close(fd);
	return aborted;
}

static void __attribute__((noreturn)) drain(void)
{
	char *buf = malloc(DRAIN_SIZE);

	for (;;) {
		struct fuse_in_header *in = (struct fuse_in_header *)buf;
		ssize_t n = buf ? read(DEVICE, buf, DRAIN_SIZE) : -1;
		struct fuse_out_header out = { .len = sizeof(out), .error = -EIO };

		end_if_idle();
		if (n < 0 && buf && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(*in))
			_exit(1); /* unmounted, or no memory */
		if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
		    in->opcode == FUSE_INTERRUPT)
			continue;
		out.unique = in->unique;
		if (write(DEVICE, &out, sizeof(out)) < 0 && errno == ENODEV)
			_exit(1);
	}
}

static void *send_notifications(void *arg)
{
	struct deliver_message m;

	for (;;) {
		ssize_t n = recv(SOCKET, &m, sizeof(m), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(m))
			return NULL; /* the main thread sees the end, too */
		atomic_fetch_add(&busy, 1);
		m.result = notify(m.ino);
		send(SOCKET, &m, sizeof(m), MSG_NOSIGNAL);
		atomic_fetch_sub(&busy, 1);
		end_if_idle();
	}
}

/* The main thread never notifies: all senders may be in the kernel when the daemon dies. */
static void __attribute__((noreturn)) wait_for_end(void)
{
	struct pollfd end = { .fd = SOCKET };

	while (poll(&end, 1, -1) <= 0 || !(end.revents & (POLLHUP | POLLERR)))
		;
	atomic_store(&ended, true);
	end_if_idle();
	if (!abort_connection())
		drain();
	/* Those under way return now; the last of them ends the process. */
	for (;;)
		pause();
}

int deliver_main(const char *number)
{
	pthread_t thread;

	connection = number;
	/* An end of the terminal or of the group is not ours: the daemon decides. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (close_range(5, ~0u, 0) < 0 && errno != ENOSYS)
		return 1;
	if (chdir("/") < 0)
		return 1;
	for (unsigned i = 0; i < SENDERS; i++) {
		if (pthread_create(&thread, NULL, send_notifications, NULL) != 0)
			return 1;
		pthread_detach(thread);
	}
	wait_for_end();
}
