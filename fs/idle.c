/* SPDX-License-Identifier: MIT */
/*
 * idle.c - idle CPUs poll while requests come in close to each other.
 *
 * A request wakes up a worker, and its answer the client; a commit wakes up two threads more, and the
 * device's interrupt one. Where idle CPUs are virtual ones that halt, each of these leaves to the hypervisor
 * and comes back: 15 to 40 us, several times what the request itself takes. So as long as requests are less
 * than GAP_NS apart the kernel is asked for CPUs that wake up at once (/dev/cpu_dma_latency), which makes idle
 * ones poll. That is for the whole machine and costs what a busy CPU costs, so it is given up a few
 * milliseconds after the stream ends, and by `auto` not asked for on machines of many CPUs or of real ones.
 * The kernel drops it with the descriptor, however the daemon ends.
 *
 * Workers count and ask; a thread of its own looks whether the stream goes on, and gives up.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "util/cleanup.h"

enum {
	BURST = 16,	 /* requests that are looked at together */
	GAP_NS = 400000, /* between two requests, on average */
	TICK_NS = 4000000,
	TICK_LEAST = 4, /* requests in a tick of a stream that goes on */
	TICKS_PATIENT = 3,
	MOST_CPUS = 8, /* of `auto` */
};

static const int32_t at_once = 0, whenever = -1; /* what the device takes: us, or no wish */

static struct {
	int fd;
	bool started;
	pthread_t guard;
	sem_t asked;
	_Atomic bool on, held, stopping;
	_Atomic uint64_t taken;
	_Atomic int64_t since; /* ns: the last BURST began */
	_Atomic uint64_t times;
} idle = { .fd = -1 };

#define GET(field) atomic_load_explicit(&idle.field, memory_order_relaxed)
#define ADD(field, value) atomic_fetch_add_explicit(&idle.field, value, memory_order_relaxed)

static void wish(int32_t latency)
{
	/* Errors: none are known for four bytes; and it is only a wish. */
	if (write(idle.fd, &latency, sizeof(latency)) < 0)
		atomic_store(&idle.on, false);
}

void idle_taken(void)
{
	struct timespec t;
	int64_t now, before;

	if (!GET(on) || (ADD(taken, 1) + 1) % BURST != 0 || GET(held))
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	before = atomic_exchange(&idle.since, now);
	if (now - before >= (int64_t)BURST * GAP_NS || atomic_exchange(&idle.held, true))
		return;
	wish(at_once);
	ADD(times, 1);
	sem_post(&idle.asked);
}

static void watch(void)
{
	static const struct timespec tick = { .tv_nsec = TICK_NS };
	unsigned patience = TICKS_PATIENT;

	for (uint64_t before = GET(taken), now; patience > 0 && !atomic_load(&idle.stopping);
	     before = now) {
		nanosleep(&tick, NULL);
		now = GET(taken);
		patience = now - before < TICK_LEAST ? patience - 1 : TICKS_PATIENT;
	}
}

static void *guard(void *arg)
{
	for (;;) {
		while (sem_wait(&idle.asked) < 0 && errno == EINTR)
			;
		if (atomic_load(&idle.stopping))
			return NULL;
		watch();
		wish(whenever);
		atomic_store(&idle.held, false);
	}
}

/* Virtual CPUs that halt, and few of them. */
static bool pays(void)
{
	static const char name[] = "/sys/devices/system/cpu/cpuidle/current_driver";
	zu_cleanup_close int fd = open(name, O_RDONLY | O_CLOEXEC);
	char driver[16] = "";

	return fd >= 0 && read(fd, driver, sizeof(driver) - 1) > 0 &&
	       !strcmp(driver, "haltpoll\n") && sysconf(_SC_NPROCESSORS_ONLN) <= MOST_CPUS;
}

void idle_start(void)
{
	if (fs.opt.idle == IDLE_HALT || (fs.opt.idle == IDLE_AUTO && !pays()))
		return;
	idle.fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
	if (idle.fd < 0) {
		if (fs.opt.idle == IDLE_POLL)
			log_text(LOG_WARNING, "idle CPUs cannot be made to poll: %s: %s",
				 "/dev/cpu_dma_latency", strerror(errno));
		return;
	}
	if (sem_init(&idle.asked, 0, 0) < 0 ||
	    pthread_create(&idle.guard, NULL, guard, NULL) != 0) {
		log_text(LOG_WARNING, "no thread for it: idle CPUs are not made to poll");
		zu_close_fd(&idle.fd);
		return;
	}
	idle.started = true;
	atomic_store(&idle.on, true);
}

/* The workers have ended. */
void idle_stop(void)
{
	if (!idle.started)
		return;
	atomic_store(&idle.on, false);
	atomic_store(&idle.stopping, true);
	sem_post(&idle.asked);
	pthread_join(idle.guard, NULL);
	idle.started = false;
	zu_close_fd(&idle.fd);
}

void idle_get_facts(struct idle_facts *ret_facts)
{
	*ret_facts = (struct idle_facts){
		.on = GET(on),
		.now = GET(held),
		.times = GET(times),
	};
}
