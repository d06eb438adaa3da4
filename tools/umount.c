/* SPDX-License-Identifier: MIT */
/*
 * umount.c - see umount.h.
 *
 * umount(2) returns before the daemon has made its last commit, so the store's lock is waited for.
 * It may also never return (it waits for a hung daemon to take dirty pages), so a child does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl_client.h"
#include "mounts.h"
#include "umount.h"
#include "util/cleanup.h"

enum { CANNOT = 2, STEP_MOST_MS = 50, QUIET_MS = 2000 };

struct job {
	const struct umount_options *options;
	struct mount mount;
	char *store; /* NULL: not known */
	int64_t started;
	int64_t told; /* second of the last progress, 0: nothing on the line */
	int step;     /* ms */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Time for another step? Shows progress on a terminal. */
static bool wait_step(struct job *job, const char *what)
{
	int64_t passed = now_ms() - job->started;

	if (passed >= (int64_t)job->options->seconds * 1000)
		return false;
	if (passed >= QUIET_MS && passed / 1000 != job->told && !job->options->quiet &&
	    isatty(STDERR_FILENO)) {
		job->told = passed / 1000;
		fprintf(stderr, "\r%s: %s: %s, %lld s ...", job->options->program, job->mount.point,
			what, (long long)job->told);
	}
	/* Most unmounts take no time; the others need no hurry. */
	poll(NULL, 0, job->step);
	if (job->step < STEP_MOST_MS)
		job->step *= 2;
	return true;
}

static void end_progress(struct job *job)
{
	if (job->told)
		fputc('\n', stderr);
	job->told = 0;
}

/* In the child: umount(2), for ordinary users fusermount3. Its exit status is an errno, or 255
 * when fusermount3 has said why. */
static void __attribute__((noreturn)) child(const struct job *job)
{
	const char *flag = job->options->lazy ? "-uz" : "-u";
	int flags = UMOUNT_NOFOLLOW;

	if (job->options->lazy)
		flags |= MNT_DETACH;
	if (job->options->force)
		flags |= MNT_FORCE;
	if (umount2(job->mount.point, flags) == 0)
		_exit(0);
	if (errno != EPERM)
		_exit(errno);
	execlp("fusermount3", "fusermount3", flag, "--", job->mount.point, NULL);
	execlp("fusermount", "fusermount", flag, "--", job->mount.point, NULL);
	_exit(EPERM);
}

static int run_child(struct job *job, bool *ret_fusermount)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(job);
	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == pid)
			break;
		if (!wait_step(job, "unmounting")) {
			/* It ends when the kernel lets it go. */
			kill(pid, SIGKILL);
			return -ETIMEDOUT;
		}
	}
	if (!WIFEXITED(status))
		return -EINTR;
	/* The errno of umount2 is below 134; fusermount3 gives 1. */
	*ret_fusermount = geteuid() != 0 && WEXITSTATUS(status) == 1;
	return -WEXITSTATUS(status);
}

static int say_why(const struct job *job, int code, bool fusermount)
{
	const char *program = job->options->program, *point = job->mount.point;

	if (fusermount) /* has said it */
		return CANNOT;
	if (code == EBUSY)
		fprintf(stderr,
			"%s: %s: in use; end the programs that use it (fuser -vm shows them), or "
			"use "
			"--lazy\n",
			program, point);
	else if (code == ETIMEDOUT)
		fprintf(stderr,
			"%s: %s: not unmounted within %u s, its daemon does not answer; --force "
			"aborts it (what is not committed is lost)\n",
			program, point, job->options->seconds);
	else
		fprintf(stderr, "%s: %s: cannot unmount it: %s\n", program, point, strerror(code));
	return CANNOT;
}

/* Is the same store mounted at another place? Then its daemon goes on, or one that waited for the lock
 * has it, and the lock says nothing about ours. */
static bool mounted_elsewhere(struct job *job)
{
	zu_cleanup_free char *sibling = mount_sibling(&job->mount);

	if (sibling && !job->options->quiet) {
		end_progress(job);
		fprintf(stderr, "%s: %s: unmounted; its store is still mounted at %s\n",
			job->options->program, job->mount.point, sibling);
	}
	return sibling != NULL;
}

/* The daemon releases the lock after its last commit. */
static int wait_for_lock(struct job *job)
{
	const char *program = job->options->program;
	zu_cleanup_free char *path = NULL;
	zu_cleanup_close int fd = -1;

	if (mounted_elsewhere(job))
		return 0;
	if (asprintf(&path, "%s/lock", job->store) < 0) {
		path = NULL;
		return CANNOT;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && job->mount.read_only)
		return 0; /* with a name of its own (-o fsname); there is nothing to commit */
	if (fd < 0) {
		fprintf(stderr,
			"%s: %s: unmounted, but cannot see when its last commit ends: %s: %s\n",
			program, job->mount.point, path, strerror(errno));
		return CANNOT;
	}
	/* A writer holds it exclusively; who only reads (zcctl check) need not be waited for, except
	 * for the daemon of a read-only mount itself. */
	while (flock(fd, (job->mount.read_only ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			fprintf(stderr, "%s: %s: unmounted, but %s: %s\n", program,
				job->mount.point, path, strerror(errno));
			return CANNOT;
		}
		if (mounted_elsewhere(job)) /* by now */
			return 0;
		if (!wait_step(job, "waiting for the last commit")) {
			end_progress(job);
			fprintf(stderr,
				"%s: %s: unmounted, but its daemon has not left the store after %u "
				"s; wait until %s is unlocked\n",
				program, job->mount.point, job->options->seconds, path);
			return CANNOT;
		}
	}
	return 0;
}

/* Its store is the source of the mount, unless that has a name of its own (-o fsname). To be
 * known before it is unmounted. */
static void find_store(struct job *job)
{
	if (job->mount.source[0] != '/')
		job->store = ctl_find_store(job->mount.point, job->mount.uid);
	if (!job->store)
		job->store = strdup(job->mount.source);
}

int umount_and_wait(const char *path, const struct umount_options *options)
{
	struct job job = { .options = options, .started = now_ms(), .step = 1 };
	int r = mount_find(path, &job.mount);
	bool fusermount = false;

	if (r < 0) {
		fprintf(stderr, "%s: /proc/self/mountinfo: %s; mount /proc\n", options->program,
			strerror(-r));
		return CANNOT;
	}
	if (r == 0) {
		fprintf(stderr, "%s: %s: not mounted\n", options->program, path);
		return CANNOT;
	}
	if (strcmp(job.mount.type, MOUNT_TYPE)) {
		fprintf(stderr, "%s: %s: not a zcfs mount (its type is %s); use umount\n",
			options->program, path, job.mount.type);
		r = CANNOT;
	} else {
		find_store(&job);
		r = run_child(&job, &fusermount);
		end_progress(&job);
		if (r < 0)
			r = say_why(&job, -r, fusermount);
		else if (!options->lazy)
			r = wait_for_lock(&job);
		end_progress(&job);
	}
	free(job.store);
	mount_clear(&job.mount);
	return r;
}
