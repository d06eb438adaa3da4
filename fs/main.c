/* SPDX-License-Identifier: MIT */
/*
 * main.c - zcfs STORE MNT: from the command line to the end of the mount.
 *
 * The process goes to the background before it has a thread: the parent waits on a pipe for the
 * exit status, which comes when the kernel and the daemon have agreed (INIT), or when something
 * failed, which the child has then told on the parent's stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "ctl_server.h"
#include "fs.h"
#include "live.h"
#include "passthrough.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum { LAZY_MS = 2000 };

struct fs fs;

static int parent_fd = -1, signal_fd = -1;

/* ---- going to the background ------------------------------------------------------------- */

static void __attribute__((noreturn)) wait_for_child(int fd)
{
	unsigned char status = 1;
	ssize_t n;

	do {
		n = read(fd, &status, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		fprintf(stderr, "zcfs: the daemon ended before the mount was ready; see its log\n");
	_exit(n == 1 ? status : 1);
}

static int to_background(struct zu_err *err)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return zu_err_set(err, errno, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		return zu_err_set(err, errno, "cannot start the daemon: %s", strerror(errno));
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	parent_fd = fds[1];
	setsid();
	return 0;
}

/* The caller's terminal is left alone from here on. */
static void leave_stdio(void)
{
	zu_cleanup_close int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_syslog();
	for (int i = 0; i < 3 && fd >= 0; i++)
		dup2(fd, i);
}

static void tell_parent(unsigned char status)
{
	if (parent_fd >= 0 && write(parent_fd, &status, 1) < 0)
		log_text(LOG_WARNING, "nobody waits for the mount any more");
	zu_close_fd(&parent_fd);
}

/* ---- starting ---------------------------------------------------------------------------- */

static int take_signals(struct zu_err *err)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	/* Somebody opened (/proc/PID/fd) a memfd while pt_memory_alone() had a lease on it. */
	signal(SIGIO, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return signal_fd < 0 ? zu_err_set(err, errno, "signalfd: %s", strerror(errno)) : 0;
}

static int open_store(struct zu_err *err)
{
	const struct store_options options = {
		.read_only = fs.opt.read_only,
		.explicit_policy = fs.opt.explicit_policy,
		.commit_seconds = fs.opt.commit_seconds,
		.lock_seconds = fs.opt.lock_seconds,
		.log_bytes = (uint64_t)fs.opt.log_mib << 20,
		.no_direct_io = fs.opt.no_direct_io,
		.log = log_store,
	};

	return store_open(fs.opt.store, &options, &fs.store, err);
}

static int next_signal(void)
{
	struct signalfd_siginfo info;

	return read(signal_fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

static int wait_until_ready(struct zu_err *err)
{
	struct pollfd fds[] = {
		{ .fd = wire_ready_fd(), .events = POLLIN },
		{ .fd = workers_end_fd(), .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};

	for (;;) {
		int signo;

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents && wire_refused())
			return zu_err_set(
				err, EPROTO,
				"%s: libfuse and the kernel do not agree; leave options out "
				"that are for FUSE",
				fs.opt.mnt);
		if (fds[0].revents)
			return passthrough_probe(err);
		if (fds[1].revents)
			return zu_err_set(err, ECONNABORTED, "%s: unmounted before it was ready",
					  fs.opt.mnt);
		signo = next_signal();
		if (signo != 0 && signo != SIGCHLD)
			return zu_err_set(err, EINTR, "%s: ended by a signal before it was ready",
					  fs.opt.mnt);
	}
}

static int serve_mount(struct zu_err *err)
{
	int r = wire_start(fs.opt.workers);

	/* (Also without the cache: stores through a mapping wait in the kernel.) */
	if (r == 0 && !fs.opt.read_only)
		r = delivery_start();
	if (r == 0)
		r = fs_live_start();
	if (r == 0)
		r = passthrough_start();
	if (r == 0)
		r = workers_start(fs.opt.workers);
	if (r < 0)
		return zu_err_set(err, -r, "%s: cannot serve the mount: %s", fs.opt.mnt,
				  strerror(-r));
	return wait_until_ready(err);
}

/* ---- ending ------------------------------------------------------------------------------ */

/* What a signal has begun. */
struct ending {
	pid_t child; /* that unmounts; 0: none */
	bool begun, lazy;
};

/* Is our mount what an unmount of its path would take? Also if it is gone already. */
static bool on_top(void)
{
	struct mountpoint now;
	int r = mountpoint_find(fs.opt.mnt, &now);

	return r == -ENOENT ||
	       (r == 0 && now.minor == fs.mounted.minor && now.major == fs.mounted.major);
}

/* false: end now. */
static bool take_signal(struct ending *e, int signo)
{
	int status, r;

	if (signo == SIGCHLD) {
		if (e->child <= 0 || waitpid(e->child, &status, WNOHANG) != e->child)
			return true;
		e->child = 0;
		e->lazy = WIFEXITED(status) && WEXITSTATUS(status) == UNMOUNT_LAZY;
		if (WIFEXITED(status) && WEXITSTATUS(status) == UNMOUNT_DONE)
			return true;
		log_text(LOG_WARNING,
			 e->lazy ? "%s was in use: detached, open files of it are dead now"
				 : "%s could not be unmounted",
			 fs.opt.mnt);
		return e->lazy;
	}
	if (e->begun) /* asked twice */
		return false;
	if (fs.mounted.minor != 0 && !on_top()) {
		if (!mountpoint_is_there(&fs.mounted))
			return false; /* detached already: nothing to unmount */
		log_text(LOG_ERR,
			 "%s is covered by another mount; unmount that first, then ask again",
			 fs.opt.mnt);
		return true;
	}
	e->begun = true;
	r = unmount_spawn(&e->child);
	if (r < 0)
		log_text(LOG_ERR, "cannot start the process that unmounts: %s", strerror(-r));
	return r == 0;
}

static void wait_for_end(void)
{
	struct pollfd fds[] = {
		{ .fd = workers_end_fd(), .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};
	struct ending e = { 0 };
	bool go_on = true;

	while (go_on) {
		int n = poll(fds, 2, e.lazy ? LAZY_MS : -1);

		if (n == 0 || (n > 0 && fds[0].revents))
			break;
		if (n > 0)
			for (int signo = next_signal(); signo && go_on; signo = next_signal())
				go_on = take_signal(&e, signo);
	}
}

/* Aborted through fusectl, or nobody could unmount: what is left there is dead. (An ordinary unmount leaves
 * nothing, and the kernel gives the device number to the next mount.) */
static void remove_dead_mount(void)
{
	struct mountpoint now;
	pid_t pid;

	if (fs.mounted.minor == 0 || workers_unmounted() || mountpoint_find(fs.opt.mnt, &now) < 0 ||
	    now.minor != fs.mounted.minor || now.major != fs.mounted.major)
		return;
	if (unmount_spawn(&pid) == 0)
		waitpid(pid, NULL, 0);
}

/* fuse_session_unmount() frees what libfuse has, but it would also unmount what another daemon may
 * have mounted there by now, unless the descriptor says that its connection is over: so does a pipe
 * that nobody reads. */
static void end_session(void)
{
	int over[2];

	if (!fs.session)
		return;
	if (pipe2(over, O_CLOEXEC) == 0) {
		zu_close_fd(&over[0]);
		if (dup2(over[1], fuse_session_fd(fs.session)) >= 0)
			fuse_session_unmount(fs.session);
		zu_close_fd(&over[1]);
	}
	fuse_session_destroy(fs.session);
}

static int end(struct ctl_server *server)
{
	int r;

	ctl_server_stop(server);
	rollback_stop();
	workers_stop();
	delivery_stop();
	passthrough_stop_jobs();
	fs_live_stop(); /* its threads use both kinds of images */
	passthrough_stop();
	fs_live_room_end();
	/* The commit thread answers what is parked, so the descriptors outlive the store. */
	zu_close_fd(&signal_fd);
	r = store_close(fs.store);
	wire_stop();
	end_session();
	remove_dead_mount();
	return r;
}

/* ---- all of it --------------------------------------------------------------------------- */

static int start(struct zu_err *err)
{
	int r = mountpoint_check(&fs.opt, err);

	if (r == 0 && !fs.opt.foreground)
		r = to_background(err);
	if (r == 0 && chdir("/") < 0)
		r = zu_err_set(err, errno, "/: %s", strerror(errno));
	if (r == 0)
		r = take_signals(err);
	if (r == 0) {
		guard_start();
		r = open_store(err);
	}
	if (r == 0)
		r = mountpoint_mount(err);
	if (r == 0)
		r = serve_mount(err);
	return r;
}

static int run(void)
{
	struct ctl_server *server = NULL;
	struct zu_err err = { 0 };
	int r = start(&err);

	if (r < 0) {
		fprintf(stderr, "zcfs: %s\n", err.text);
		end(NULL);
		tell_parent(1);
		return 1;
	}
	mountpoint_read_ahead();
	mountpoint_dirty_limit();
	info_start(&server);
	if (!fs.opt.foreground)
		leave_stdio();
	tell_parent(0);
	wait_for_end();
	r = end(server);
	if (r < 0)
		log_text(LOG_ERR, "the last commit failed: %s", strerror(-r));
	return r < 0;
}

int main(int argc, char **argv)
{
	int status;

	zu_fill_stdio();
	if (argc == 3 && !strcmp(argv[1], "--deliver"))
		return deliver_main(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--unmount"))
		return unmount_main(argv[2]);
	options_parse(&fs.opt, argc, argv);
	fs.owner = geteuid();
	status = run();
	options_clear(&fs.opt);
	return status;
}
