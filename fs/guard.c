/* SPDX-License-Identifier: MIT */
/*
 * guard.c - last words of a daemon that crashes.
 *
 * LMDB does not check what it reads. What opening a store does not find of damaged metadata may crash
 * the daemon later, so whoever looks into the log should read there what it was, and what to do. After
 * that it ends by the signal, as without a handler.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs.h"

enum { FRAMES = 48, SYSLOG_CRITICAL = 26 /* of LOG_DAEMON */ };

static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
static int log_fd = -1;

static bool in_lmdb(void)
{
	void *frames[FRAMES];
	int n = backtrace(frames, FRAMES);

	for (int i = 0; i < n; i++) {
		Dl_info at;

		if (dladdr(frames[i], &at) && at.dli_fname && strstr(at.dli_fname, "liblmdb"))
			return true;
	}
	return false;
}

static void on_crash(int number)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "<%d>zcfs: store %s: %s (signal %d)\n",
			 SYSLOG_CRITICAL, fs.opt.store,
			 in_lmdb() ? "its metadata are damaged: reading them crashed; run zcctl "
				     "check, restore the store from a backup"
				   : "zcfs crashed, which is a fault of zcfs",
			 number);
	ssize_t done = -1;

	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	if (fs.opt.foreground)
		done = write(STDERR_FILENO, text + 4, (size_t)n - 4); /* without the <26> */
	else if (log_fd >= 0)
		done = send(log_fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)done;
	/* Back to where it crashes again, now for good. */
}

void guard_start(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND };
	void *frame;

	/* The first call loads a library. */
	backtrace(&frame, 1);
	if (!fs.opt.foreground) {
		log_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (log_fd >= 0 &&
		    connect(log_fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
			close(log_fd);
			log_fd = -1;
		}
	}
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
		struct sigaction old;

		/* A sanitizer has its own. */
		if (sigaction(deadly[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(deadly[i], &action, NULL);
	}
}

void guard_fill(sigset_t *ret_mask)
{
	sigfillset(ret_mask);
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigdelset(ret_mask, deadly[i]);
}
