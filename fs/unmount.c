/* SPDX-License-Identifier: MIT */
/*
 * unmount.c - the child process that unmounts when a signal asks the daemon to end.
 *
 * The daemon goes on serving meanwhile: unmounting writes the kernel's dirty pages back. If the
 * mount is in use it is detached, after what is dirty has been written back: who has open files
 * there finds them dead when the daemon has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs.h"

int unmount_spawn(pid_t *ret_pid)
{
	const char *const argv[] = { "zcfs", "--unmount", fs.opt.mnt, NULL };

	return spawn_self(argv, NULL, 0, ret_pid);
}

static bool fusermount(const char *mnt, const char *how)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("fusermount3", "fusermount3", how, "-q", "--", mnt, NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool unmount(const char *mnt, bool lazy)
{
	if (umount2(mnt, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return true;
	return errno == EPERM && fusermount(mnt, lazy ? "-uz" : "-u");
}

int unmount_main(const char *mnt)
{
	int fd;

	if (unmount(mnt, false))
		return UNMOUNT_DONE;
	fd = open(mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		syncfs(fd);
		close(fd);
	}
	return unmount(mnt, true) ? UNMOUNT_LAZY : UNMOUNT_FAILED;
}
