/* SPDX-License-Identifier: MIT */
/*
 * mountpoint.c - where the store is mounted, looked at before so that what is wrong is told in one
 * line. A mount is recognised by the table of mounts alone: to look at it could hang.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum { DEFAULT_READ_AHEAD = 2048 }; /* KiB: of the kernel, for the mount */

/* "\040" and the like, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned code;

		if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
			*to++ = (char)code;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

int mountpoint_find(const char *path, struct mountpoint *ret_mount)
{
	zu_cleanup_file FILE *f = fopen("/proc/self/mountinfo", "re");
	zu_cleanup_free char *line = NULL;
	size_t size = 0;
	int r = -ENOENT;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		zu_cleanup_free char *point = NULL;
		const char *type = strstr(line, " - ");
		struct mountpoint m;

		if (!type || sscanf(line, "%*d %*d %u:%u %*s %ms", &m.major, &m.minor, &point) != 3)
			continue;
		unescape(point);
		if (strcmp(point, path))
			continue;
		/* The last one is on top. */
		r = strncmp(type + 3, "fuse.zcfs ", 10) ? -EBUSY : 0;
		if (r == 0)
			*ret_mount = m;
	}
	return r;
}

bool mountpoint_is_there(const struct mountpoint *m)
{
	zu_cleanup_file FILE *f = fopen("/proc/self/mountinfo", "re");
	zu_cleanup_free char *line = NULL;
	size_t size = 0;
	struct mountpoint at;

	while (f && getline(&line, &size, f) > 0)
		if (sscanf(line, "%*d %*d %u:%u", &at.major, &at.minor) == 2 &&
		    at.major == m->major && at.minor == m->minor)
			return true;
	return !f;
}

/* The text of errno in the style of our messages. */
static const char *lower_error(int code)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s", strerror(code));
	if (islower((unsigned char)text[1]))
		text[0] = (char)tolower((unsigned char)text[0]);
	return text;
}

/* An absolute name, without looking at what the last component is. */
static char *absolute(const char *path)
{
	zu_cleanup_free char *copy = strdup(path);
	zu_cleanup_free char *dir = NULL;
	char *slash, *result;
	const char *base;
	size_t n;

	if (!copy)
		return NULL;
	for (n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	slash = strrchr(copy, '/');
	base = slash ? slash + 1 : copy;
	if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
		return realpath(copy, NULL);
	if (slash)
		*slash = '\0';
	dir = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
	if (!dir)
		return NULL;
	if (asprintf(&result, "%s/%s", strcmp(dir, "/") ? dir : "", base) < 0)
		return NULL;
	return result;
}

static int refuse_mounted(const char *path, struct zu_err *err)
{
	struct mountpoint m;

	if (mountpoint_find(path, &m) == 0)
		return zu_err_set(
			err, EBUSY,
			"%s: a zcfs is mounted there already; unmount it first: zcctl umount "
			"%s",
			path, path);
	return 0;
}

static int look_at(const char *path, struct zu_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOTCONN)
			return zu_err_set(
				err, ENOTCONN,
				"%s: a mount without a daemon is there; remove it: umount -l "
				"%s",
				path, path);
		return zu_err_set(err, errno, "%s: %s; %s", path, lower_error(errno),
				  errno == ENOENT ? "make the directory first"
						  : "choose another mount point");
	}
	if (!S_ISDIR(st.st_mode))
		return zu_err_set(err, ENOTDIR, "%s: not a directory; choose a directory", path);
	if (geteuid() != 0 && access(path, W_OK) < 0)
		return zu_err_set(
			err, EACCES,
			"%s: not allowed: to mount there takes write permission; choose a "
			"directory of your own",
			path);
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n] || !strcmp(dir, "/"));
}

static int check_names(const struct options *opt, struct zu_err *err)
{
	if (is_below(opt->mnt, opt->store))
		return zu_err_set(err, EINVAL,
				  "%s: lies in the store %s; choose another mount point", opt->mnt,
				  opt->store);
	if (is_below(opt->store, opt->mnt))
		return zu_err_set(
			err, EINVAL,
			"%s: the mount would hide the store %s; choose another mount point",
			opt->mnt, opt->store);
	return 0;
}

static int check_device(struct zu_err *err)
{
	zu_cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	/* (Also for fusermount3, which opens it as its caller.) */
	if (fd >= 0)
		return 0;
	return zu_err_set(err, errno, "/dev/fuse: %s; %s", lower_error(errno),
			  errno == EACCES || errno == EPERM
				  ? "let this user read and write it"
				  : "load the kernel's module: modprobe fuse");
}

static void replace(char **at, char *value)
{
	free(*at);
	*at = value;
}

int mountpoint_check(struct options *opt, struct zu_err *err)
{
	char *path = realpath(opt->store, NULL);
	int r;

	if (!path)
		return zu_err_set(err, errno, "store %s: %s; zcctl create makes a store",
				  opt->store, lower_error(errno));
	replace(&opt->store, path);
	path = absolute(opt->mnt);
	if (!path)
		return zu_err_set(err, errno, "%s: %s; make the directory first", opt->mnt,
				  lower_error(errno));
	replace(&opt->mnt, path);
	r = refuse_mounted(opt->mnt, err);
	if (r == 0)
		r = look_at(opt->mnt, err);
	if (r < 0)
		return r;
	path = realpath(opt->mnt, NULL);
	if (!path)
		return zu_err_set(err, errno, "%s: %s; choose another mount point", opt->mnt,
				  lower_error(errno));
	replace(&opt->mnt, path);
	r = refuse_mounted(opt->mnt, err);
	if (r == 0)
		r = check_names(opt, err);
	if (r == 0)
		r = check_device(err);
	return r;
}

static int add_options(const struct options *opt, struct fuse_args *args)
{
	zu_cleanup_free char *list = NULL;
	zu_cleanup_free char *name = NULL;
	int r;

	if (asprintf(&name, "fsname=%s", opt->fsname ? opt->fsname : opt->store) < 0)
		return -ENOMEM;
	r = fuse_opt_add_opt_escaped(&list, name);
	if (r == 0)
		r = fuse_opt_add_opt(&list, "subtype=zcfs,default_permissions");
	if (r == 0)
		r = fuse_opt_add_opt(&list, opt->read_only ? "ro" : "rw");
	if (r == 0 && opt->fuse)
		r = fuse_opt_add_opt(&list, opt->fuse);
	if (r == 0)
		r = fuse_opt_add_arg(args, "zcfs");
	if (r == 0)
		r = fuse_opt_add_arg(args, "-o");
	if (r == 0)
		r = fuse_opt_add_arg(args, list);
	return r < 0 ? -ENOMEM : 0;
}

/* libfuse and fusermount3 write on stderr why they fail: take the last line. */
struct capture {
	int fd, saved;
};

static void capture_begin(struct capture *c)
{
	c->fd = memfd_create("stderr", MFD_CLOEXEC);
	c->saved = c->fd < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (c->saved >= 0)
		dup2(c->fd, STDERR_FILENO);
}

static void capture_end(struct capture *c, char *text, size_t size)
{
	char buf[512] = "";
	char *line;

	if (c->saved >= 0) {
		dup2(c->saved, STDERR_FILENO);
		if (zu_pread_full(c->fd, buf, sizeof(buf) - 1, 0) < 0)
			buf[0] = '\0';
	}
	zu_close_fd(&c->saved);
	zu_close_fd(&c->fd);
	for (size_t n = strlen(buf); n > 0 && isspace((unsigned char)buf[n - 1]); n--)
		buf[n - 1] = '\0';
	line = strrchr(buf, '\n');
	snprintf(text, size, "%s", line ? line + 1 : buf);
}

int mountpoint_mount(struct zu_err *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct capture capture;
	char why[300];
	int r = add_options(&fs.opt, &args);

	if (r < 0) {
		fuse_opt_free_args(&args);
		return zu_err_set(err, -r, "%s: no memory left", fs.opt.mnt);
	}
	capture_begin(&capture);
	fs.session = fuse_session_new(&args, &ll_ops, sizeof(ll_ops), NULL);
	r = fs.session ? fuse_session_mount(fs.session, fs.opt.mnt) : -1;
	capture_end(&capture, why, sizeof(why));
	fuse_opt_free_args(&args);
	if (r == 0) {
		if (mountpoint_find(fs.opt.mnt, &fs.mounted) < 0)
			fs.mounted = (struct mountpoint){ 0 };
		return 0;
	}
	if (fs.session)
		fuse_session_destroy(fs.session);
	fs.session = NULL;
	return zu_err_set(err, EIO, "%s: cannot mount: %s", fs.opt.mnt,
			  why[0] ? why : "libfuse does not say why");
}

/* An ordinary user may not: the mount is slower, and right. */
static bool set_bdi(const char *name, const char *value)
{
	char path[96];
	zu_cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/%s", fs.mounted.major, fs.mounted.minor,
		 name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, value, strlen(value)) >= 0;
}

void mountpoint_read_ahead(void)
{
	unsigned kib = fs.opt.read_ahead ? fs.opt.read_ahead : DEFAULT_READ_AHEAD;
	char text[16];

	snprintf(text, sizeof(text), "%u", kib);
	/* Otherwise READs are small, and read_ahead.c does what it can. */
	if (kib == READ_AHEAD_KEEP || !set_bdi("read_ahead_kb", text))
		ledger_fallback(LEDGER_NO_READAHEAD);
}

/*
 * A FUSE mount may have 1 % of the memory for dirty pages that the kernel lets others have, and who
 * writes is slowed down before that. 10 %, which is 2 % of the memory, let writer and disk work at full
 * speed side by side; more, and the disk begins too late (docs/PERFORMANCE.md).
 */
void mountpoint_dirty_limit(void)
{
	set_bdi("max_ratio", "10");
}
