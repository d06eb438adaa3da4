/* SPDX-License-Identifier: MIT */
/* The pool of threads: what one inode, and what one user, may have of it. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "live/live_i.h"

enum { ONE = 4711, TWO, PER_KEY = 4, PER_USER = 16, THREADS = 64 };

static struct jobs *jobs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool go;
static unsigned blocked, done;

static int setup(void **state)
{
	jobs = jobs_new();
	go = false;
	blocked = done = 0;
	alarm(300); /* rather than to wait for ever */
	return jobs ? 0 : -1;
}

/* Waits for `go`. */
static void block(void *arg)
{
	pthread_mutex_lock(&lock);
	blocked++;
	pthread_cond_broadcast(&changed);
	while (!go)
		pthread_cond_wait(&changed, &lock);
	done++;
	pthread_mutex_unlock(&lock);
}

static void pass(void *arg)
{
	pthread_mutex_lock(&lock);
	done++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_for(const unsigned *what, unsigned n)
{
	pthread_mutex_lock(&lock);
	while (*what < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void start(uint64_t key, uid_t uid, live_job_fn *fn)
{
	assert_int_equal(jobs_run(jobs, LIVE_OF_CLIENT, key, uid, fn, NULL), 0);
}

/* All of them run at last, `at_once` at most so far. */
static void end(unsigned at_once, unsigned all)
{
	static const struct timespec moment = { .tv_nsec = 100000000 };

	nanosleep(&moment, NULL);
	pthread_mutex_lock(&lock);
	assert_int_equal(blocked, at_once);
	go = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	jobs_free(jobs);
	assert_int_equal(done, all);
}

static void one_user_leaves_threads_to_others(void **state)
{
	for (unsigned i = 0; i < 100; i++)
		start(i, ONE, block);
	wait_for(&blocked, PER_USER);
	for (unsigned i = 0; i < 20; i++)
		start(1000 + i, TWO, pass);
	start(2000, 0, pass);
	wait_for(&done, 21);
	end(PER_USER, 121);
}

static void root_may_have_all(void **state)
{
	for (unsigned i = 0; i < 100; i++)
		start(i, 0, block);
	wait_for(&blocked, THREADS);
	end(THREADS, 100);
}

static void one_inode_leaves_threads_to_others(void **state)
{
	for (unsigned i = 0; i < 20; i++)
		start(7, 0, block);
	wait_for(&blocked, PER_KEY);
	start(8, 0, pass);
	wait_for(&done, 1);
	end(PER_KEY, 21);
}

static int policy, cpus;

static void note_place(void *arg)
{
	cpu_set_t set;

	policy = sched_getscheduler(0);
	cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : -1;
	pass(arg);
}

/* A worker that follows its client (fs/follow.c). */
static void *follower(void *arg)
{
	static const struct sched_param param;
	cpu_set_t set, one;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	/* (An ordinary user's thread could not come back from it.) */
	if (geteuid() == 0)
		sched_setscheduler(0, SCHED_IDLE, &param);
	start(1, 0, note_place);
	return NULL;
}

static void threads_run_where_the_process_does(void **state)
{
	pthread_t thread;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(pthread_create(&thread, NULL, follower, NULL), 0);
	pthread_join(thread, NULL);
	wait_for(&done, 1);
	assert_int_equal(cpus, CPU_COUNT(&set));
	assert_int_equal(policy, sched_getscheduler(0));
	end(0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_user_leaves_threads_to_others, setup),
		cmocka_unit_test_setup(root_may_have_all, setup),
		cmocka_unit_test_setup(one_inode_leaves_threads_to_others, setup),
		cmocka_unit_test_setup(threads_run_where_the_process_does, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
