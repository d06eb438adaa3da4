/* SPDX-License-Identifier: MIT */
/* error.c - the text of the last failure, one for each thread. */
#include "zc_i.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char last[LZ_TEXT_MAX];

int lz_fail(int code, const char *fmt, ...)
{
	char text[sizeof(last)]; /* an argument may be the text that was there */
	va_list args;
	int saved = errno;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(last, text, sizeof(last));
	errno = saved;
	return -code;
}

int lz_fail_call(const char *what)
{
	int code = errno;

	if (code == ENOTCONN || code == ECONNABORTED)
		return lz_fail(ESTALE, "%s: the daemon of the mount has ended", what);
	if (code == EDQUOT)
		return lz_fail(ENOSPC, "%s: %s", what, strerror(code));
	return lz_fail(code, "%s: %s", what, strerror(code));
}

int lz_check_process(const struct zc_file *f)
{
	if (!lz_is_ours(f))
		return lz_fail(EPERM, "the file was opened before fork(2); open it again in the "
				      "child");
	return 0;
}

int lz_check_writable(const struct zc_file *f)
{
	if (!(f->flags & ZC_RDWR))
		return lz_fail(EACCES, "the file is not open for writing (ZC_RDWR)");
	return 0;
}

const char *zc_error(void)
{
	return last;
}

const char *zc_version(void)
{
	return ZC_VERSION;
}
