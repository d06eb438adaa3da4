/* SPDX-License-Identifier: MIT */
/*
 * delivery.c - the daemon's side of deliver.c.
 *
 * A task names one or two inodes, delivered one after the other; then its function is called. The
 * thread below keeps up to IN_FLIGHT of them with the helper process, so that nothing ever waits
 * for room in the socket, and starts the helper again if it ends. `lock` guards the lists; it is
 * held across no call but the send of a message, which does not wait.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "util/cleanup.h"

enum { IN_FLIGHT = 16, MAX_RESTARTS = 8, RESTART_CALM = 60 /* s, then they are forgotten */ };

struct task {
	struct task *next;
	uint64_t id;
	uint64_t inos[2];
	unsigned n, at; /* at: which is being delivered */
	bool sent;
	delivery_fn *done;
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct task *tasks, **last = &tasks; /* oldest first */
static uint64_t next_id;
static unsigned in_flight;
static bool stopping;

static pthread_t thread;
static bool running;
static int stop_fd = -1;
/* Of the thread and, before it runs, of the starter; `socket_fd` under `lock`. */
static int socket_fd = -1;
static pid_t helper;
static unsigned restarts;
static time_t restarted;

bool delivery_needed(uint64_t ino)
{
	return running && handles_any(ino);
}

static int start_helper(void)
{
	char connection[16];
	const char *const argv[] = { "zcfs", "--deliver", connection, NULL };
	int pair[2], fds[2], r;

	snprintf(connection, sizeof(connection), "%u", fs.mounted.minor);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fds[0] = wire_clone();
	fds[1] = pair[1];
	r = fds[0] < 0 ? fds[0] : spawn_self(argv, fds, 2, &helper);
	zu_close_fd(&fds[0]);
	zu_close_fd(&pair[1]);
	if (r < 0) {
		zu_close_fd(&pair[0]);
		return r;
	}
	socket_fd = pair[0];
	return 0;
}

/* Lock held. */
static void send_waiting(void)
{
	for (struct task *t = tasks; t && in_flight < IN_FLIGHT; t = t->next) {
		struct deliver_message m = { .id = t->id, .ino = t->inos[t->at] };

		if (t->sent)
			continue;
		if (socket_fd < 0 ||
		    send(socket_fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return; /* the thread sees the end of the socket */
		t->sent = true;
		in_flight++;
	}
}

int delivery_request(const uint64_t *inos, unsigned n, delivery_fn *done, void *arg)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	memcpy(t->inos, inos, n * sizeof(inos[0]));
	t->n = n;
	t->done = done;
	t->arg = arg;
	for (unsigned i = 0; i < n; i++)
		handles_deliver(inos[i], true);
	atomic_fetch_add_explicit(&fs.deliveries, 1, memory_order_relaxed);
	pthread_mutex_lock(&lock);
	if (stopping) {
		pthread_mutex_unlock(&lock);
		for (unsigned i = 0; i < n; i++)
			handles_deliver(inos[i], false);
		free(t);
		return -EIO;
	}
	t->id = ++next_id;
	*last = t;
	last = &t->next;
	send_waiting();
	pthread_mutex_unlock(&lock);
	return 0;
}

/* Lock held. */
static struct task **find(uint64_t id)
{
	struct task **at = &tasks;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void unlink_task(struct task **at)
{
	struct task *t = *at;

	*at = t->next;
	if (last == &t->next)
		last = at;
}

static void finish(struct task *t, int result)
{
	for (unsigned i = 0; i < t->n; i++) {
		int error = handles_take_error(t->inos[i]);

		if (result == 0)
			result = error;
		handles_deliver(t->inos[i], false);
	}
	t->done(t->arg, result);
	free(t);
}

static void answered(const struct deliver_message *m)
{
	struct task **at, *t;

	pthread_mutex_lock(&lock);
	at = find(m->id);
	t = *at;
	if (t && t->sent) {
		in_flight--;
		t->sent = false;
		if (++t->at < t->n)
			t = NULL; /* its second inode */
		else
			unlink_task(at);
	} else {
		t = NULL;
	}
	send_waiting();
	pthread_mutex_unlock(&lock);
	/* ENOENT: the kernel has forgotten the inode, so it has no dirty pages of it. */
	if (t)
		finish(t, m->result == -ENOENT ? 0 : (int)m->result);
}

static void fail_all(int result)
{
	struct task *t;

	do {
		pthread_mutex_lock(&lock);
		t = tasks;
		if (t)
			unlink_task(&tasks);
		pthread_mutex_unlock(&lock);
		if (t)
			finish(t, result);
	} while (t);
	in_flight = 0;
}

/* The helper is gone: another one, and everything again. */
static void restart(void)
{
	struct timespec now;
	int r = -EIO;

	pthread_mutex_lock(&lock);
	zu_close_fd(&socket_fd);
	waitpid(helper, NULL, 0);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec - restarted > RESTART_CALM)
		restarts = 0;
	restarted = now.tv_sec;
	if (!stopping && ++restarts <= MAX_RESTARTS)
		r = start_helper();
	for (struct task *t = tasks; t; t = t->next)
		t->sent = false;
	in_flight = 0;
	if (r == 0)
		send_waiting();
	else
		stopping = true; /* whoever asks from now on is refused */
	pthread_mutex_unlock(&lock);
	if (r < 0) {
		log_text(LOG_ERR, "the helper for write-backs cannot be started: %s", strerror(-r));
		fail_all(-EIO);
	} else {
		log_text(LOG_WARNING,
			 "the helper for write-backs has ended, and was started again");
	}
}

static void *run(void *arg)
{
	struct deliver_message m;

	for (;;) {
		struct pollfd fds[] = { { .fd = socket_fd, .events = POLLIN },
					{ .fd = stop_fd, .events = POLLIN } };

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			break;
		if (fds[0].revents) {
			if (recv(socket_fd, &m, sizeof(m), MSG_DONTWAIT) == sizeof(m))
				answered(&m);
			else if (errno != EAGAIN && errno != EINTR)
				restart();
		}
	}
	return NULL;
}

int delivery_start(void)
{
	sigset_t all, old;
	int r;

	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop_fd < 0)
		return -errno;
	r = start_helper();
	if (r < 0)
		return r;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	running = r == 0;
	return -r;
}

/* It ends with the socket; it may need a moment to have its requests answered. */
static void wait_for_helper(void)
{
	for (int i = 0; helper > 0 && i < 200; i++) {
		if (waitpid(helper, NULL, WNOHANG) != 0)
			helper = 0;
		else
			poll(NULL, 0, 10);
	}
}

void delivery_stop(void)
{
	if (running) {
		pthread_mutex_lock(&lock);
		stopping = true;
		pthread_mutex_unlock(&lock);
		eventfd_write(stop_fd, 1);
		pthread_join(thread, NULL);
		fail_all(-EIO);
	}
	zu_close_fd(&socket_fd);
	zu_close_fd(&stop_fd);
	wait_for_helper();
}
