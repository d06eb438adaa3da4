/* SPDX-License-Identifier: MIT */
/* log.c - messages: to stderr in the foreground, else to syslog. Any thread. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

#include "fs.h"

static _Atomic bool to_syslog;

void log_text(int level, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (atomic_load(&to_syslog))
		syslog(level, "%s: %s", fs.opt.store, text);
	else
		fprintf(stderr, "zcfs: %s\n", text);
}

void log_store(void *arg, int level, const char *text)
{
	log_text(level, "%s", text);
}

void log_to_syslog(void)
{
	openlog("zcfs", LOG_PID, LOG_DAEMON);
	atomic_store(&to_syslog, true);
}
