// SPDX-License-Identifier: MIT
/*
 * Clocks, and jobs that work side by side.
 *
 * With one job the pass runs in this process. With several each has a process of its own, as programs
 * that share a filesystem have: they are made, have their untimed pass, and wait on a pipe; the clocks
 * run from the moment that it is closed until the last of them has ended.
 */
#include "ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double read_clock(clockid_t clock)
{
	struct timespec ts;

	/* A server that has ended counts no more: the operation itself says what is wrong. */
	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static double cpu_of(int who)
{
	struct rusage use;

	if (getrusage(who, &use) < 0)
		die("cannot read the CPU time");
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Idle processors that poll instead of halting cost as much as busy ones: a server may ask for it. */
static double polling(void)
{
	unsigned long long all = 0, us;
	char path[96];

	for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		char name[16] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/cpuidle/state0/name",
			 cpu);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%15s", name) != 1)
			name[0] = 0;
		fclose(f);
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/cpuidle/state0/time",
			 cpu);
		f = strcmp(name, "POLL") ? NULL : fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &us) == 1)
			all += us;
		fclose(f);
	}
	return (double)all / 1e6;
}

static double machine(void)
{
	unsigned long long user, nice, kernel, idle, wait, irq, softirq;
	FILE *f = fopen("/proc/stat", "re");
	int n;

	if (!f)
		die("/proc/stat: cannot open");
	n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &kernel, &idle, &wait,
		   &irq, &softirq);
	fclose(f);
	if (n != 7)
		return 0;
	return (double)(user + nice + kernel + irq + softirq) / (double)sysconf(_SC_CLK_TCK) +
	       polling();
}

static struct clocks read_clocks(const struct task *t)
{
	struct clocks c = { 0 };

	c.own = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
	c.machine = machine();
	/* The kernel's clock of all threads of a process, as clock_getcpuclockid() gives it. */
	for (unsigned int i = 0; i < t->n_servers; i++)
		c.servers += read_clock((clockid_t)((~(unsigned int)t->servers[i] << 3) | 2));
	c.wall = now();
	return c;
}

void start_clocks(struct task *t)
{
	t->clocks = read_clocks(t);
}

void stop_clocks(struct task *t)
{
	struct clocks start = t->clocks;
	double wall = now();

	t->clocks = read_clocks(t);
	t->clocks.wall = wall - start.wall;
	t->clocks.own -= start.own;
	t->clocks.servers -= start.servers;
	t->clocks.machine -= start.machine;
}

static void add(struct result *sum, struct result r)
{
	sum->ops += r.ops;
	sum->bytes += r.bytes;
}

/* Passes, until `seconds` have gone by. */
static struct result passes(struct task *t, pass_fn *pass, int fd, double seconds)
{
	double start = now();
	struct result r = { 0 };

	do {
		add(&r, pass(t, fd));
	} while (now() - start < seconds);
	return r;
}

static pid_t start_job(struct task *t, pass_fn *pass, int fd, double seconds, int go, int answer)
{
	pid_t pid = fork();
	struct result r;
	char c;

	if (pid < 0)
		die("cannot start job %u", t->job);
	if (pid)
		return pid;
	if (seconds > 0)
		pass(t, fd);
	if (write(answer, &(struct result){ 0 }, sizeof(r)) != sizeof(r))
		die("job %u: cannot say that it is ready", t->job);
	if (read(go, &c, 1) < 0)
		die("job %u: cannot wait", t->job);
	r = passes(t, pass, fd, seconds);
	if (write(answer, &r, sizeof(r)) != sizeof(r))
		die("job %u: cannot answer", t->job);
	_exit(0);
}

static struct result read_answers(struct task *t, int fd)
{
	struct result sum = { 0 }, r;

	for (unsigned int i = 0; i < t->jobs; i++) {
		errno = 0;
		if (read(fd, &r, sizeof(r)) != sizeof(r))
			die("a job has ended early");
		add(&sum, r);
	}
	return sum;
}

static struct result run_jobs(struct task *t, pass_fn *pass, int fd, double seconds)
{
	int go[2], answer[2], status, bad = 0;
	pid_t pids[MAX_JOBS];
	struct result r;

	if (pipe(go) < 0 || pipe(answer) < 0)
		die("cannot make a pipe");
	for (t->job = 0; t->job < t->jobs; t->job++)
		pids[t->job] = start_job(t, pass, fd, seconds, go[0], answer[1]);
	close(answer[1]);
	read_answers(t, answer[0]);
	start_clocks(t);
	for (unsigned int i = 0; i < t->jobs; i++)
		if (write(go[1], "", 1) != 1)
			die("cannot start the jobs");
	r = read_answers(t, answer[0]);
	for (unsigned int i = 0; i < t->jobs; i++)
		bad |= waitpid(pids[i], &status, 0) != pids[i] || status != 0;
	stop_clocks(t);
	errno = 0;
	if (bad)
		die("a job has failed");
	close(go[0]);
	close(go[1]);
	close(answer[0]);
	return r;
}

struct result once(struct task *t, pass_fn *pass, int fd)
{
	struct result r;

	if (t->jobs > 1)
		return run_jobs(t, pass, fd, 0);
	start_clocks(t);
	r = pass(t, fd);
	stop_clocks(t);
	return r;
}

struct result repeat(struct task *t, pass_fn *pass, int fd)
{
	struct result r;

	if (t->jobs > 1)
		return run_jobs(t, pass, fd, t->least);
	pass(t, fd);
	start_clocks(t);
	r = passes(t, pass, fd, t->least);
	stop_clocks(t);
	return r;
}
