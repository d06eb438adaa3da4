/* SPDX-License-Identifier: MIT */
/*
 * passthrough_jobs.c - two threads for what takes long with images: filling and comparing them. They
 * take jobs in order; one of them also ticks. `lock` guards the queue and is held across no job.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "passthrough_i.h"

enum { THREADS = 2, TICK_S = 1 };

struct job {
	STAILQ_ENTRY(job) link;
	pt_job_fn *fn;
	uint64_t ino;
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static STAILQ_HEAD(, job) jobs = STAILQ_HEAD_INITIALIZER(jobs);
static pthread_t threads[THREADS];
static unsigned started;
static bool stopping;
static void (*on_tick)(void);

int pt_job(pt_job_fn *fn, uint64_t ino, void *arg)
{
	struct job *j = malloc(sizeof(*j));

	if (!j)
		return -ENOMEM;
	*j = (struct job){ .fn = fn, .ino = ino, .arg = arg };
	pthread_mutex_lock(&lock);
	STAILQ_INSERT_TAIL(&jobs, j, link);
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* Lock held. The next job, or NULL: a tick is due, or it is the end. */
static struct job *next(bool ticks, const struct timespec *due)
{
	struct job *j;

	while (STAILQ_EMPTY(&jobs) && !stopping) {
		if (!ticks)
			pthread_cond_wait(&changed, &lock);
		else if (pthread_cond_timedwait(&changed, &lock, due) == ETIMEDOUT)
			return NULL;
	}
	j = STAILQ_FIRST(&jobs);
	if (j)
		STAILQ_REMOVE_HEAD(&jobs, link);
	return j;
}

static struct timespec in_a_tick(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += TICK_S;
	return t;
}

static bool is_over(const struct timespec *due)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > due->tv_sec ||
	       (now.tv_sec == due->tv_sec && now.tv_nsec >= due->tv_nsec);
}

static void *run(void *arg)
{
	bool ticks = arg != NULL, end = false;
	struct timespec due = in_a_tick();
	struct job *j;

	while (!end) {
		pthread_mutex_lock(&lock);
		j = next(ticks, &due);
		end = stopping && !j;
		pthread_mutex_unlock(&lock);
		if (j)
			j->fn(j->ino, j->arg);
		free(j);
		if (ticks && !end && is_over(&due)) {
			on_tick();
			due = in_a_tick();
		}
	}
	return NULL;
}

int pt_jobs_start(void (*tick)(void))
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int r = 0;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
	on_tick = tick;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; started < THREADS && r == 0; started += r == 0)
		r = pthread_create(&threads[started], NULL, run, started == 0 ? &started : NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

void pt_jobs_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	while (started > 0)
		pthread_join(threads[--started], NULL);
}
