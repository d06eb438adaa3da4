/* SPDX-License-Identifier: MIT */
/*
 * follow.c - workers follow the client.
 *
 * A small request is a few microseconds of work and two switches: to a worker and back. If the worker
 * runs on another, idle CPU, each switch has to wake that CPU up, which costs more than the request: on a
 * virtual machine ten times more. The scheduler prefers idle CPUs, so it does just that. So as long as one
 * thread sends small requests one after another, the workers
 *
 * - may run on its CPU only, which is looked up in /proc now and then;
 * - have the policy SCHED_IDLE: for the scheduler that CPU is idle then, and the client that an answer
 *   wakes up is not moved away from it.
 *
 * With that policy any other thread goes first, so it must not be kept when somebody else wants the CPU, or
 * when there is more to do than one client's small requests. Who asks something large, or another thread that
 * asks as well, ends it; and a guard, a thread of normal policy, looks every few milliseconds: if the stream
 * has become slow it ends it, and if that was with work waiting, for some time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "util/cleanup.h"

enum {
	SMALL = 16 << 10, /* bytes of a small READ or WRITE */
	SCORE_FOLLOW = 24,
	SCORE_MOST = 64,
	SCORE_STRANGER = 4, /* what a request of another thread, or a large one, costs */
	GAP_NS = 400000,    /* between two requests of a stream, on average */
	LOOK_LEAST = 8,	    /* requests between two looks at the client's CPU */
	LOOK_MOST = 16,
	TICK_NS = 4000000,
	TICK_LEAST = 10, /* requests in a tick of a stream that goes on */
	PAUSE_LEAST_MS = 100,
	PAUSE_MOST_MS = 10000,
	IOPRIO_BEST_EFFORT = 2 << 13 | 4, /* what a thread of normal policy has */
};

static struct {
	_Atomic bool on;
	bool started;
	unsigned workers;
	pthread_t worker[FS_MAX_WORKERS];
	cpu_set_t all; /* where the daemon may run */
	pthread_t guard;
	sem_t entered;
	_Atomic bool stopping;

	/* The client, and how sure we are. Written by workers without a lock: what gets lost is a
	 * little of a guess. */
	_Atomic uint32_t tid, score, until_look, look_every;
	_Atomic int64_t since, pause_until; /* ns */

	_Atomic int wanted, applied; /* CPU, or -1: all */
	_Atomic bool applying;
	_Atomic uint64_t taken, served; /* requests */
	_Atomic uint64_t entries, moves, starved;
} f = { .wanted = -1, .applied = -1 };

static __thread bool counted; /* the request that this thread serves */

#define GET(field) atomic_load_explicit(&f.field, memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&f.field, value, memory_order_relaxed)
#define ADD(field, value) atomic_fetch_add_explicit(&f.field, value, memory_order_relaxed)

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the workers' CPU and policy ----------------------------------------------------------- */

static void place(pthread_t thread, int cpu)
{
	struct sched_param param = { 0 };
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0)
		CPU_SET(cpu, &set);
	/* Errors: the CPU has gone; then it is as good as any. */
	pthread_setaffinity_np(thread, sizeof(set), cpu < 0 ? &f.all : &set);
	pthread_setschedparam(thread, cpu < 0 ? SCHED_OTHER : SCHED_IDLE, &param);
}

static void place_all(int cpu)
{
	for (unsigned i = 0; i < f.workers; i++)
		place(f.worker[i], cpu);
}

/* Do what is wanted. One thread does; who comes meanwhile leaves it to that one, which looks again. */
static void apply(void)
{
	while (atomic_load(&f.wanted) != atomic_load(&f.applied)) {
		if (atomic_exchange(&f.applying, true))
			return;
		for (int cpu; (cpu = atomic_load(&f.wanted)) != atomic_load(&f.applied);) {
			place_all(cpu);
			atomic_store(&f.applied, cpu);
		}
		atomic_store(&f.applying, false);
	}
}

static void leave(void)
{
	SET(score, 0);
	atomic_store(&f.wanted, -1);
}

/* ---- what the client is, and where ---------------------------------------------------------- */

/* The CPU that the thread ran on last, -1: not known. */
static int cpu_of(uint32_t tid)
{
	char name[64], text[512], *field;
	zu_cleanup_close int fd = -1;
	ssize_t n;
	int cpu;

	snprintf(name, sizeof(name), "/proc/%u/task/%u/stat", tid, tid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	field = strrchr(text, ')'); /* the end of the second of 39 */
	for (int i = 2; i < 39 && field; i++)
		field = strchr(field + 1, ' ');
	cpu = field ? atoi(field) : -1;
	return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &f.all) ? cpu : -1;
}

static void look(uint32_t tid)
{
	unsigned every = GET(look_every);
	int cpu = cpu_of(tid), was = atomic_load(&f.wanted);

	if (cpu < 0) {
		leave();
	} else if (cpu == was) {
		every = every * 2 < LOOK_MOST ? every * 2 : LOOK_MOST;
	} else {
		every = LOOK_LEAST;
		ADD(moves, 1);
		atomic_store(&f.wanted, cpu);
		if (was < 0) {
			ADD(entries, 1);
			sem_post(&f.entered);
		}
	}
	SET(look_every, every);
	SET(until_look, every);
	apply();
}

/* Does it keep the client waiting, and for no more than moments? */
static bool counts(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_INTERRUPT:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_SYNCFS:
		return false;
	default:
		return true;
	}
}

static bool is_large(const struct fuse_in_header *in)
{
	const struct fuse_read_in *read = (const void *)(in + 1);

	if (in->opcode == FUSE_READ && in->len >= sizeof(*in) + sizeof(*read))
		return read->size > SMALL;
	return in->len > SMALL + FS_PAGE;
}

/* Somebody else, or something large. */
static void disturb(uint32_t tid, bool large)
{
	uint32_t score = GET(score);

	if (score > SCORE_STRANGER) {
		SET(score, score - SCORE_STRANGER);
		return;
	}
	if (atomic_load(&f.wanted) >= 0) {
		leave();
		apply();
	}
	SET(score, 0);
	SET(since, now_ns());
	if (!large)
		SET(tid, tid);
}

/* Was the time for so many requests short, and may we? */
static bool is_quick(void)
{
	int64_t now = now_ns();
	bool quick = now - GET(since) < (int64_t)SCORE_FOLLOW * GAP_NS;

	SET(since, now);
	return quick && now >= GET(pause_until);
}

void follow_taken(const struct fuse_in_header *in)
{
	uint32_t score;
	bool large;

	if (!GET(on))
		return;
	large = is_large(in);
	counted = !large; /* a large one takes as long as it takes */
	if (counted)
		ADD(taken, 1);
	if (!large && !in->pid) /* the kernel's own write-backs */
		return;
	if (large || (in->pid != GET(tid) && (counts(in->opcode) || in->opcode == FUSE_FSYNC))) {
		disturb(in->pid, large);
		return;
	}
	if (!counts(in->opcode))
		return;
	score = GET(score) + 1;
	if (score == SCORE_FOLLOW && atomic_load(&f.wanted) < 0) {
		if (!is_quick())
			score = 0;
		SET(look_every, LOOK_LEAST);
		SET(until_look, 1);
	}
	if (score <= SCORE_MOST)
		SET(score, score);
	if (score >= SCORE_FOLLOW && ADD(until_look, -1u) == 1)
		look(in->pid);
}

void follow_served(void)
{
	if (counted)
		ADD(served, 1);
	counted = false;
}

/* ---- the guard ------------------------------------------------------------------------------ */

static bool work_waits(void)
{
	struct pollfd device = { .fd = wire_fd(1), .events = POLLIN };

	return GET(taken) != GET(served) || poll(&device, 1, 0) > 0;
}

/* The guard itself stays away from that CPU: it would push the client off. */
static void keep_off(int cpu)
{
	static int off = -1;
	cpu_set_t set = f.all;

	if (cpu == off || cpu < 0)
		return;
	CPU_CLR(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	off = cpu;
}

/* Until it is over; was it by starvation? */
static bool watch(void)
{
	static const struct timespec tick = { .tv_nsec = TICK_NS };
	uint64_t before = GET(served), now;
	bool starved = false;

	while (atomic_load(&f.wanted) >= 0 && !atomic_load(&f.stopping)) {
		keep_off(atomic_load(&f.wanted));
		nanosleep(&tick, NULL);
		now = GET(served);
		if (now - before < TICK_LEAST && atomic_load(&f.wanted) >= 0) {
			starved = work_waits();
			leave();
		}
		before = now;
	}
	/* Not apply(): who does it may be what starves. It finds out that it was overtaken, and
	 * looks again; if it had looked already, the second time is for that. */
	place_all(-1);
	atomic_store(&f.applied, -1);
	nanosleep(&tick, NULL);
	if (atomic_load(&f.wanted) < 0)
		place_all(-1);
	apply();
	return starved;
}

static void *guard(void *arg)
{
	int64_t pause = PAUSE_LEAST_MS;

	for (;;) {
		while (sem_wait(&f.entered) < 0 && errno == EINTR)
			;
		if (atomic_load(&f.stopping))
			return NULL;
		if (watch()) {
			ADD(starved, 1);
			SET(pause_until, now_ns() + pause * 1000000);
			pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
		} else if (pause > PAUSE_LEAST_MS) {
			pause /= 2;
		}
	}
}

/* ---- start and end -------------------------------------------------------------------------- */

/* May a thread come back from SCHED_IDLE? An ordinary user's may not. */
static void *try_policy(void *arg)
{
	struct sched_param param = { 0 };
	bool *ret_good = arg;

	*ret_good = sched_setscheduler(0, SCHED_IDLE, &param) == 0 &&
		    sched_setscheduler(0, SCHED_OTHER, &param) == 0;
	return NULL;
}

static bool suits(void)
{
	pthread_t thread;
	bool good = false;

	if (!fs.opt.follow || sched_getaffinity(0, sizeof(f.all), &f.all) < 0 ||
	    CPU_COUNT(&f.all) < 2 || sched_getscheduler(0) != SCHED_OTHER)
		return false;
	if (pthread_create(&thread, NULL, try_policy, &good) != 0)
		return false;
	pthread_join(thread, NULL);
	return good;
}

void follow_add_worker(void)
{
	/* SCHED_IDLE would otherwise make the thread's I/O wait for everybody else's. */
	if (fs.opt.follow)
		syscall(SYS_ioprio_set, 1, 0, IOPRIO_BEST_EFFORT);
}

void follow_start(const pthread_t *workers, unsigned count)
{
	if (!suits())
		return;
	memcpy(f.worker, workers, count * sizeof(*workers));
	f.workers = count;
	if (sem_init(&f.entered, 0, 0) < 0 || pthread_create(&f.guard, NULL, guard, NULL) != 0) {
		log_text(LOG_WARNING, "no thread for the guard: workers do not follow the client");
		return;
	}
	f.started = true;
	atomic_store(&f.on, true);
}

void follow_stop(void)
{
	if (!f.started)
		return;
	atomic_store(&f.stopping, true);
	sem_post(&f.entered);
	pthread_join(f.guard, NULL);
	atomic_store(&f.on, false);
	f.started = false;
	place_all(-1);
}

void follow_get_facts(struct follow_facts *ret_facts)
{
	*ret_facts = (struct follow_facts){
		.on = GET(on),
		.cpu = atomic_load(&f.wanted),
		.entries = GET(entries),
		.moves = GET(moves),
		.starved = GET(starved),
	};
}
