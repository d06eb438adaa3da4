/* SPDX-License-Identifier: MIT */
/* spawn.c - helpers of the daemon: this program again, with a memory of its own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include "fs.h"

extern char **environ;

static int file_actions(posix_spawn_file_actions_t *actions, const int *fds, unsigned count,
			int stdio)
{
	int r = 0;

	/* (A descriptor that is in its place already loses FD_CLOEXEC by that.) */
	for (unsigned i = 0; i < count && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(actions, fds[i], 3 + (int)i);
	for (int i = 0; i < 3 && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(actions, stdio, i);
	return r;
}

/* Descriptors out of the way of 3, 4, ...: dup2 would overwrite one by another. */
static int move_up(const int *fds, unsigned count, int *moved)
{
	for (unsigned i = 0; i < count; i++) {
		moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
		if (moved[i] < 0) {
			int r = -errno;

			while (i-- > 0)
				close(moved[i]);
			return r;
		}
	}
	return 0;
}

static int spawn(const char *const *argv, const int *moved, unsigned count, int stdio,
		 pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETSID);
	r = file_actions(&actions, moved, count, stdio);
	if (r == 0)
		r = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attr,
				(char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int spawn_self(const char *const *argv, const int *fds, unsigned count, pid_t *ret_pid)
{
	int all[5], moved[5], r;

	if (count > 4)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		all[i] = fds[i];
	all[count] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (all[count] < 0)
		return -errno;
	r = move_up(all, count + 1, moved);
	close(all[count]);
	if (r < 0)
		return r;
	r = spawn(argv, moved, count, moved[count], ret_pid);
	for (unsigned i = 0; i <= count; i++)
		close(moved[i]);
	return r;
}
