/* SPDX-License-Identifier: MIT */
/* The files of a store besides data: `format`, `lock`, and the feature words. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

static void uuid_text(const uint8_t uuid[16], char text[37])
{
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", uuid[i]);
	}
}

static int uuid_parse(const char *text, uint8_t uuid[16])
{
	for (int i = 0; i < 16; i++) {
		unsigned byte;

		if (i == 4 || i == 6 || i == 8 || i == 10)
			if (*text++ != '-')
				return -EINVAL;
		if (sscanf(text, "%2x", &byte) != 1)
			return -EINVAL;
		uuid[i] = (uint8_t)byte;
		text += 2;
	}
	return 0;
}

int format_write(int dir_fd, const char *path, const uint8_t uuid[16], struct zu_err *err)
{
	char text[128], id[37];
	zu_cleanup_close int fd =
		openat(dir_fd, "format", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return zu_err_set(err, errno, "store %s: cannot make its file format: %s", path,
				  strerror(errno));
	uuid_text(uuid, id);
	snprintf(text, sizeof(text), ZCF_MAGIC "\nversion %u\nuuid %s\n", ZCF_VERSION, id);
	n = zu_write_full(fd, text, strlen(text));
	if (n < 0 || fsync(fd) < 0) {
		int e = n < 0 ? (int)-n : errno;

		return zu_err_set(err, e, "store %s: cannot write its file format: %s", path,
				  strerror(e));
	}
	return 0;
}

int format_read(int dir_fd, const char *path, uint8_t uuid[16], struct zu_err *err)
{
	char text[256] = "", id[64] = "", *line;
	unsigned version = 0;
	zu_cleanup_close int fd = openat(dir_fd, "format", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return zu_err_set(err, EINVAL,
				  "%s: not a zcfs store (no file format in it); make one with: "
				  "zcctl create %s",
				  path, path);
	if (fd < 0)
		return zu_err_set(err, errno, "store %s: cannot open its file format: %s", path,
				  strerror(errno));
	n = zu_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return zu_err_set(err, (int)-n, "store %s: cannot read its file format: %s", path,
				  strerror((int)-n));
	if (strncmp(text, ZCF_MAGIC "\n", strlen(ZCF_MAGIC) + 1) != 0)
		return zu_err_set(err, EINVAL,
				  "%s: not a zcfs store (its file format does not begin with "
				  "\"" ZCF_MAGIC "\"); name the store's directory",
				  path);
	line = text + strlen(ZCF_MAGIC) + 1;
	if (sscanf(line, "version %u\nuuid %63s\n", &version, id) < 1)
		return zu_err_set(err, EBADMSG,
				  "store %s: its file format is damaged; restore it from a backup",
				  path);
	if (version != ZCF_VERSION)
		return zu_err_set(err, EPROTONOSUPPORT,
				  "store %s: format version %u is not supported (%u only); use the "
				  "zcfs that made it",
				  path, version, ZCF_VERSION);
	if (strlen(id) != 36 || uuid_parse(id, uuid) < 0)
		return zu_err_set(err, EBADMSG,
				  "store %s: its file format is damaged (uuid); restore it from a "
				  "backup",
				  path);
	return 0;
}

int format_lock(const char *path, int dir_fd, bool shared, unsigned seconds,
		const struct store_options *options, int *ret_fd, struct zu_err *err)
{
	zu_cleanup_close int fd = openat(dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && shared)
		fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return zu_err_set(err, errno, "store %s: cannot open its file lock: %s", path,
				  strerror(errno));
	for (unsigned tick = 0;; tick++) {
		char text[300];

		if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
			break;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return zu_err_set(err, errno, "store %s: cannot lock it: %s", path,
					  strerror(errno));
		if (tick >= seconds * 20)
			return zu_err_set(err, EBUSY,
					  "store %s: in use by another process; unmount it first "
					  "(zcctl umount)",
					  path);
		if (tick == 30 && options && options->log) {
			snprintf(text, sizeof(text),
				 "store %s: in use by another process, waiting up to %u s for it",
				 path, seconds);
			options->log(options->log_arg, STORE_LOG_WARNING, text);
		}
		usleep(50000);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int format_features(const char *path, const struct rec_super *super, bool read_only,
		    struct zu_err *err)
{
	uint64_t unknown = super->incompat & ~ZCF_INCOMPAT_KNOWN;

	if (unknown)
		return zu_err_set(err, EPROTONOSUPPORT,
				  "store %s: it needs features this zcfs does not know (incompat "
				  "0x%llx); use a newer zcfs",
				  path, (unsigned long long)unknown);
	unknown = super->ro_compat & ~ZCF_RO_COMPAT_KNOWN;
	if (unknown && !read_only)
		return zu_err_set(
			err, EPROTONOSUPPORT,
			"store %s: features this zcfs does not know (ro_compat 0x%llx) "
			"allow it to be mounted read-only only; use -o ro or a newer zcfs",
			path, (unsigned long long)unknown);
	return 0;
}
