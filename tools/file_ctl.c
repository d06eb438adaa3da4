/* SPDX-License-Identifier: MIT */
/* file_ctl.c - see file_ctl.h. libzc asks the daemon; here the errors get the names of the files. */
#include "file_ctl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "abi/zc_ctl.h"
#include "zc/map.h"

static int failed(const char *name, int r, struct zu_err *err)
{
	return zu_err_set(err, -r, "%s: %s", name, zc_error());
}

/* Is it a file that can be asked about? The socket's address in the ticket tells the mount. */
static int check(int fd, const char *name, struct zc_ticket *ret_ticket, struct zu_err *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return zu_err_set(err, errno, "%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return zu_err_set(err, ENOTTY, "%s: not a regular file", name);
	r = lz_ticket(fd, ret_ticket);
	return r < 0 ? failed(name, r, err) : 0;
}

int file_commit(const int *fds, const char *const *names, size_t n, struct zu_err *err)
{
	struct zc_ticket first, t;
	int r = 0;

	if (n > ZC_CTL_COMMIT_MAX)
		return zu_err_set(err, E2BIG, "%zu files are too many for one commit (%u at most)",
				  n, ZC_CTL_COMMIT_MAX);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = check(fds[i], names[i], i == 0 ? &first : &t, err);
		if (r == 0 && i > 0 && strcmp(t.socket, first.socket))
			r = zu_err_set(
				err, EXDEV,
				"%s: on another mount than %s; files of one mount only can be "
				"committed together",
				names[i], names[0]);
	}
	/* All are flushed before the first ticket that counts: that may take longer than one lives. */
	for (size_t i = 0; i < n && r == 0; i++) {
		r = lz_flush(fds[i]);
		if (r < 0)
			failed(names[i], r, err);
	}
	if (r < 0 || n == 0)
		return r;
	r = lz_commit(fds, n, -1);
	return r < 0 ? failed(names[0], r, err) : 0;
}

int file_roll_back(int fd, const char *name, struct lz_rollback *ret, struct zu_err *err)
{
	struct zc_ticket t;
	int r = check(fd, name, &t, err);

	if (r < 0)
		return r;
	r = lz_roll_back(fd, ret);
	return r < 0 ? failed(name, r, err) : 0;
}
