/* SPDX-License-Identifier: MIT */
/* child.c - see child.h. */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "zcctl.h"

unsigned parse_seconds(struct argp_state *state, const char *text)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*end || *text < '1' || *text > '9' || seconds > 1000000)
		argp_error(state, "--timeout %s: not a number of seconds (1 to 1000000)", text);
	return (unsigned)seconds;
}

int child_run(int (*fn)(void *arg), void *arg, unsigned seconds, const char *what)
{
	zu_cleanup_close int pidfd = -1;
	struct pollfd wait = { .events = POLLIN };
	int status = 0, n;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return complain("cannot start a process: %s", strerror(errno));
	if (pid == 0) {
		status = fn(arg);
		_exit(finish(status));
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	wait.fd = pidfd;
	n = pidfd < 0 ? 1 : poll(&wait, 1, (int)(seconds > 2000000 ? 2000000 : seconds) * 1000);
	if (n == 0) {
		/* It may hang where no signal reaches it: not waited for. */
		kill(pid, SIGKILL);
		return complain("%s: no answer within %u s: its mount hangs, or the disk is slow",
				what, seconds);
	}
	if (waitpid(pid, &status, 0) != pid)
		return complain("cannot wait for a process: %s", strerror(errno));
	if (!WIFEXITED(status))
		return complain("%s: the process that asked was killed by signal %d", what,
				WTERMSIG(status));
	return WEXITSTATUS(status);
}
