/* SPDX-License-Identifier: MIT */
/* err.c - see err.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/err.h"

/* A text that did not fit says so at its end. `need` is what the whole one would take. */
static void mark_cut(char *text, size_t size, size_t need)
{
	if (need >= size)
		memcpy(text + size - 4, "...", 4);
}

static void format_text(char *text, size_t size, const char *fmt, va_list args)
{
	int need = vsnprintf(text, size, fmt, args);

	if (need < 0)
		snprintf(text, size, "an error whose text could not be made");
	else
		mark_cut(text, size, (size_t)need);
}

int zu_err_set(struct zu_err *err, int code, const char *fmt, ...)
{
	int saved = errno;

	if (err) {
		char text[sizeof(err->text)];
		va_list args;

		va_start(args, fmt);
		format_text(text, sizeof(text), fmt, args);
		va_end(args);
		memcpy(err->text, text, sizeof(text));
		err->code = code;
	}
	errno = saved;
	return -code;
}

int zu_err_prefix(struct zu_err *err, const char *fmt, ...)
{
	int saved = errno;
	char head[sizeof(err->text)], whole[sizeof(err->text)];
	va_list args;
	size_t need;

	if (!err || !err->code)
		return 0;
	va_start(args, fmt);
	format_text(head, sizeof(head), fmt, args);
	va_end(args);
	need = strlen(head) + strlen(err->text);
	/* Cut on purpose, and marked. */
	if (snprintf(whole, sizeof(whole), "%s%s", head, err->text) < 0)
		whole[0] = '\0';
	mark_cut(whole, sizeof(whole), need);
	memcpy(err->text, whole, sizeof(whole));
	errno = saved;
	return -err->code;
}
