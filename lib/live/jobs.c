/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - threads for what is slow. They are made when needed, up to a number per class, and end
 * when they were idle for a while. `lock` guards all; a job runs without it.
 *
 * The two classes have threads of their own: a job of a client may wait for the kernel, which may wait
 * for the answer to a request, which is a job of the other class.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "live/live_i.h"

enum { CLASSES = 2, THREADS = 64, PER_KEY = 4, PER_USER = 16, IDLE_SECONDS = 10 };

struct job {
	TAILQ_ENTRY(job) link;
	uint64_t key;
	uid_t uid;
	live_job_fn *fn;
	void *arg;
};
TAILQ_HEAD(job_list, job);

struct class
{
	struct job_list waiting, running;
	unsigned threads, idle;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	struct class classes[CLASSES];
	bool stopping;
};

struct start {
	struct jobs *jobs;
	struct class *class;
};

static bool may_run(const struct class *c, const struct job *job)
{
	bool trusted = live_is_trusted(job->uid);
	unsigned same_key = 0, same_user = 0;
	const struct job *j;

	TAILQ_FOREACH(j, &c->running, link) {
		same_key += j->key == job->key;
		same_user += j->uid == job->uid;
	}
	return same_key < PER_KEY && (trusted || same_user < PER_USER);
}

/* The oldest that may run. */
static struct job *next_job(struct class *c)
{
	struct job *j;

	TAILQ_FOREACH(j, &c->waiting, link)
		if (may_run(c, j))
			break;
	return j;
}

static void run_one(struct jobs *jobs, struct class *c, struct job *j)
{
	TAILQ_REMOVE(&c->waiting, j, link);
	TAILQ_INSERT_TAIL(&c->running, j, link);
	pthread_mutex_unlock(&jobs->lock);
	j->fn(j->arg);
	pthread_mutex_lock(&jobs->lock);
	TAILQ_REMOVE(&c->running, j, link);
	free(j);
	/* One that waited for its key or user, if nobody else takes it. */
	if (c->idle && !TAILQ_EMPTY(&c->waiting))
		pthread_cond_broadcast(&jobs->wake);
}

/* False: nothing came for long. */
static bool idle(struct jobs *jobs, struct class *c)
{
	struct timespec until;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	c->idle++;
	r = pthread_cond_timedwait(&jobs->wake, &jobs->lock, &until);
	c->idle--;
	return r != ETIMEDOUT;
}

static void *run(void *arg)
{
	struct start start = *(struct start *)arg;
	struct jobs *jobs = start.jobs;
	struct class *c = start.class;

	free(arg);
	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		struct job *j = next_job(c);

		if (j)
			run_one(jobs, c, j);
		else if (jobs->stopping || (!idle(jobs, c) && !next_job(c)))
			break;
	}
	c->threads--;
	pthread_cond_broadcast(&jobs->ended);
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* Who calls may have one CPU only for now, and the policy SCHED_IDLE, which the new thread would keep. The
 * first thread of the process has what is meant for all. */
static void as_the_process(pthread_attr_t *attr)
{
	static const struct sched_param param;
	cpu_set_t cpus;

	if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0)
		pthread_attr_setaffinity_np(attr, sizeof(cpus), &cpus);
	if (sched_getscheduler(getpid()) != SCHED_OTHER)
		return;
	pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(attr, SCHED_OTHER);
	pthread_attr_setschedparam(attr, &param);
}

/* Lock held. */
static int start_thread(struct jobs *jobs, struct class *c)
{
	struct start *s = malloc(sizeof(*s));
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct start){ jobs, c };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	as_the_process(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		c->threads++;
	else
		free(s);
	return -r;
}

int jobs_run(struct jobs *jobs, enum live_class class, uint64_t key, uid_t uid, live_job_fn *fn,
	     void *arg)
{
	struct class *c = &jobs->classes[class];
	struct job *j = malloc(sizeof(*j)), *other;
	unsigned waiting = 0;

	if (!j)
		return -ENOMEM;
	*j = (struct job){ .key = key, .uid = uid, .fn = fn, .arg = arg };
	pthread_mutex_lock(&jobs->lock);
	TAILQ_INSERT_TAIL(&c->waiting, j, link);
	TAILQ_FOREACH(other, &c->waiting, link)
		if (++waiting > c->idle)
			break;
	if (waiting > c->idle && c->threads < THREADS && start_thread(jobs, c) < 0 &&
	    c->threads == 0) {
		TAILQ_REMOVE(&c->waiting, j, link);
		pthread_mutex_unlock(&jobs->lock);
		free(j);
		return -ENOMEM;
	}
	pthread_cond_broadcast(&jobs->wake);
	pthread_mutex_unlock(&jobs->lock);
	return 0;
}

struct jobs *jobs_new(void)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));
	pthread_condattr_t attr;

	if (!jobs)
		return NULL;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&jobs->ended, NULL);
	for (unsigned i = 0; i < CLASSES; i++) {
		TAILQ_INIT(&jobs->classes[i].waiting);
		TAILQ_INIT(&jobs->classes[i].running);
	}
	return jobs;
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	pthread_mutex_lock(&jobs->lock);
	jobs->stopping = true;
	pthread_cond_broadcast(&jobs->wake);
	for (unsigned i = 0; i < CLASSES; i++)
		while (jobs->classes[i].threads)
			pthread_cond_wait(&jobs->ended, &jobs->lock);
	pthread_mutex_unlock(&jobs->lock);
	pthread_cond_destroy(&jobs->wake);
	pthread_cond_destroy(&jobs->ended);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}
