/* SPDX-License-Identifier: MIT */
/* ctl_listen.c - see ctl_listen.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_listen.h"
#include "util/cleanup.h"

/* A directory where nobody else could have put the socket. Everybody can pass it, but not open it: who
 * can may hold the lock of listen for ever. */
static int directory_open(const char *path, struct zu_err *err)
{
	zu_cleanup_close int fd = -1;
	struct stat st;

	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return zu_err_set(err, errno, "control socket: cannot make %s: %s", path,
				  strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return zu_err_set(err, errno, "control socket: cannot open %s: %s", path,
				  strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return zu_err_set(
			err, EACCES,
			"control socket: %s does not belong to user %u, or others may write to it; "
			"remove it",
			path, (unsigned)geteuid());
	if ((st.st_mode & 0777) != 0711 && fchmod(fd, 0711) < 0)
		return zu_err_set(err, errno, "control socket: cannot change the mode of %s: %s",
				  path, strerror(errno));
	return TAKE_FD(fd);
}

static int place(struct ctl_listen *l, const char *uuid, const char *dir, struct zu_err *err)
{
	int n = snprintf(l->address.sun_path, sizeof(l->address.sun_path), "%s/%s" ZC_CTL_SUFFIX,
			 dir, uuid);

	if (n < 0 || (size_t)n >= sizeof(l->address.sun_path))
		return zu_err_set(err, ENAMETOOLONG, "control socket: the path %s is too long",
				  dir);
	return directory_open(dir, err);
}

/* The first directory of zc_ctl.h that can be used. */
static int choose(struct ctl_listen *l, const char *uuid, struct zu_err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char dir[sizeof(l->address.sun_path)];
	int fd = -1;

	if (geteuid() == 0)
		fd = place(l, uuid, ZC_CTL_ROOT_DIR, err);
	else if (!l->everybody && runtime && runtime[0] == '/' &&
		 (size_t)snprintf(dir, sizeof(dir), "%s/" ZC_CTL_USER_DIR, runtime) < sizeof(dir))
		fd = place(l, uuid, dir, err);
	if (fd < 0) {
		snprintf(dir, sizeof(dir), ZC_CTL_TMP_DIR, (unsigned)geteuid());
		fd = place(l, uuid, dir, err);
	}
	l->dir_fd = fd;
	return fd < 0 ? fd : 0;
}

/* The name is taken: by a live daemon, or left behind by a killed one? */
static int remove_stale(struct ctl_listen *l, struct zu_err *err)
{
	zu_cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return zu_err_set(err, errno, "control socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&l->address, sizeof(l->address)) == 0 || errno == EAGAIN)
		return zu_err_set(
			err, EADDRINUSE,
			"control socket %s: another mount of this store or of a copy of it "
			"(same uuid) has it; unmount that first",
			l->address.sun_path);
	if (unlink(l->address.sun_path) < 0 && errno != ENOENT)
		return zu_err_set(err, errno, "control socket: cannot remove the old %s: %s",
				  l->address.sun_path, strerror(errno));
	return 0;
}

/* Sockets of killed daemons whose stores nobody mounts again would pile up. The caller has locked
 * the directory: a daemon that has bound its socket listens on it, too. */
static void sweep(const struct ctl_listen *l)
{
	char path[sizeof(l->address.sun_path)];
	int copy = openat(l->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	zu_cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	size_t length = (size_t)(strrchr(l->address.sun_path, '/') - l->address.sun_path);
	const struct dirent *entry;

	if (!dir)
		zu_close_fd(&copy);
	while (dir && (entry = readdir(dir))) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		zu_cleanup_close int fd = -1;
		int n = snprintf(path, sizeof(path), "%.*s/%s", (int)length, l->address.sun_path,
				 entry->d_name);

		if (entry->d_type != DT_SOCK || n < 0 || (size_t)n >= sizeof(path))
			continue;
		memcpy(address.sun_path, path, (size_t)n + 1);
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		    errno == ECONNREFUSED)
			unlinkat(l->dir_fd, entry->d_name, 0);
	}
}

int ctl_listen_open(struct ctl_listen *l, const char *uuid, int backlog, struct zu_err *err)
{
	struct stat st;
	int r;

	l->address.sun_family = AF_UNIX;
	r = choose(l, uuid, err);

	if (r < 0)
		return r;
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return zu_err_set(err, errno, "control socket: %s", strerror(errno));
	/* Between the look at a stale socket and bind(2) no other daemon may do the same. */
	flock(l->dir_fd, LOCK_EX);
	r = bind(l->fd, (struct sockaddr *)&l->address, sizeof(l->address)) < 0 ? -errno : 0;
	if (r == -EADDRINUSE) {
		r = remove_stale(l, err);
		if (r == 0)
			r = bind(l->fd, (struct sockaddr *)&l->address, sizeof(l->address)) < 0
				    ? -errno
				    : 0;
		else
			err = NULL; /* it says why */
	}
	if (r == 0 && (listen(l->fd, backlog) < 0 || lstat(l->address.sun_path, &st) < 0))
		r = -errno;
	if (r == 0) {
		/* For everybody: what a client may ask is decided by who it is and by its tickets. */
		chmod(l->address.sun_path, 0666);
		sweep(l);
	}
	flock(l->dir_fd, LOCK_UN);
	if (r < 0) {
		zu_err_set(err, -r, "control socket %s: %s", l->address.sun_path, strerror(-r));
		return r;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

void ctl_listen_close(struct ctl_listen *l)
{
	struct stat st;

	if (l->ino && lstat(l->address.sun_path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->address.sun_path);
	zu_close_fd(&l->fd);
	zu_close_fd(&l->dir_fd);
}
