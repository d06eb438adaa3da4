/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the threads that serve requests: each waits for them (receive.c) at its own clone of the
 * device. Workers take no signal but the one that wakes them to end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "live.h"
#include "read.h"
#include "util/cleanup.h"

enum {
	OUTPUT = FS_MAX_IO + FS_PAGE,
	WAKE = SIGUSR1,
};

static struct worker {
	pthread_t thread;
	unsigned channel;
	struct receiver from;
	char *output;
} workers[FS_MAX_WORKERS];

static unsigned started;
static _Atomic unsigned running;
static _Atomic bool stopping, unmounted;
static int end_fd = -1;
static __thread char *output;

void *worker_buffer(void)
{
	return output;
}

int workers_end_fd(void)
{
	return end_fd;
}

bool workers_unmounted(void)
{
	return atomic_load(&unmounted);
}

unsigned workers_running(void)
{
	return atomic_load(&running);
}

static void serve(struct worker *w, struct fuse_in_header *in, size_t size)
{
	struct request r = {
		.in = in,
		.arg = in + 1,
		.size = size - sizeof(*in),
		.out = output,
		.from = &w->from,
	};
	struct fuse_buf buf = { .mem = in, .size = size };
	bool entered;

	if (fs_live_serve(&r, &entered))
		return;
	if (!native_dispatch(&r))
		fuse_session_process_buf(fs.session, &buf);
	fs_live_left(&r, entered);
	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET)
		wire_answered(in->unique, 0); /* they need none */
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct fuse_in_header *in = w->from.in;

	output = w->output;
	follow_add_worker();
	while (!atomic_load(&stopping)) {
		ssize_t n = receive(&w->from);

		if (n < 0) {
			/* ENOENT: the request was given up while it was read. */
			if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
				continue;
			if (errno == ENODEV)
				atomic_store(&unmounted, true);
			else if (errno != ECONNABORTED)
				log_text(LOG_ERR, "cannot read requests: %s", strerror(errno));
			break;
		}
		if (n == 0)
			break;
		if (wire_received(w->channel, in, (size_t)n)) {
			idle_taken();
			follow_taken(in);
			serve(w, in, (size_t)n);
			follow_served();
		} else if ((size_t)n >= sizeof(*in))
			wire_reply_error(in->unique | (uint64_t)w->channel << 48, -EIO);
		receive_end(&w->from);
	}
	read_splice_end();
	atomic_fetch_sub(&running, 1);
	eventfd_write(end_fd, 1);
	return NULL;
}

static void woken(int signal)
{
	(void)signal;
}

static void stop_one(struct worker *w)
{
	receiver_close(&w->from);
	munmap(w->output, OUTPUT);
}

static int start_one(struct worker *w, unsigned channel)
{
	int r = receiver_open(&w->from, wire_fd(channel));

	if (r < 0)
		return r;
	w->channel = channel;
	w->output = mmap(NULL, OUTPUT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->output == MAP_FAILED) {
		r = -errno;
		receiver_close(&w->from);
		return r;
	}
	atomic_fetch_add(&running, 1);
	r = pthread_create(&w->thread, NULL, run, w);
	if (r != 0) {
		atomic_fetch_sub(&running, 1);
		stop_one(w);
	}
	return -r;
}

int workers_start(unsigned n)
{
	struct sigaction action = { .sa_handler = woken };
	pthread_t threads[FS_MAX_WORKERS];
	sigset_t mask, old;
	int r = 0;

	end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (end_fd < 0)
		return -errno;
	sigaction(WAKE, &action, NULL);
	guard_fill(&mask);
	sigdelset(&mask, WAKE);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	for (started = 0; started < n && r == 0; started += r == 0)
		r = start_one(&workers[started], started + 1);
	for (unsigned i = 0; i < started; i++)
		threads[i] = workers[i].thread;
	if (r == 0) {
		follow_start(threads, started);
		idle_start();
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void workers_stop(void)
{
	static const struct timespec step = { .tv_nsec = 10000000 };

	atomic_store(&stopping, true);
	follow_stop();
	/* Between its look at `stopping` and read(2) a worker can miss one signal: repeat it. */
	while (workers_running() > 0) {
		for (unsigned i = 0; i < started; i++)
			pthread_kill(workers[i].thread, WAKE);
		nanosleep(&step, NULL);
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		stop_one(&workers[i]);
	}
	idle_stop();
	started = 0;
	zu_close_fd(&end_fd);
}
