/* SPDX-License-Identifier: MIT */
/*
 * probe_fuse.c - what the kernel's FUSE offers: a child mounts one in a mount namespace of its own
 * and reads the kernel's INIT request, which lists it. Nobody else sees that mount, which nobody
 * serves, and it goes with the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"
#include "util/cleanup.h"
#include "util/fdio.h"

enum { TIMEOUT_MS = 3000 };

/* Newer than some packaged headers; bits of flags | flags2 << 32, from uapi/linux/fuse.h. */
#define OFFER_SPLICE (7ull << 7)
#define OFFER_WRITEBACK (1ull << 16)
#define OFFER_ACL (1ull << 20)
#define OFFER_MAX_PAGES (1ull << 22)
#define OFFER_EXT (1ull << 30)
#define OFFER_PASSTHROUGH (1ull << 37)
#define OFFER_URING (1ull << 41)

struct offer {
	int error; /* errno, 0: the rest is valid */
	uint32_t major, minor;
	uint64_t flags;
};

static void write_proc(const char *path, const char *fmt, unsigned id)
{
	zu_cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* What fails here makes mount(2) fail, which says so. */
	if (fd >= 0)
		dprintf(fd, fmt, id, id);
}

/* In the child: rights to mount, for ordinary users through a user namespace. */
static int own_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return -errno;
		write_proc("/proc/self/setgroups", "deny", 0);
		write_proc("/proc/self/uid_map", "%u %u 1", uid);
		write_proc("/proc/self/gid_map", "%u %u 1", gid);
	}
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int read_init(struct offer *offer)
{
	zu_cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	static char request[1 << 17];
	const struct fuse_in_header *head = (const void *)request;
	const struct fuse_init_in *init = (const void *)(request + sizeof(*head));
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char options[128];
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	r = own_namespace();
	if (r < 0)
		return r;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd,
		 (unsigned)geteuid(), (unsigned)getegid());
	if (mount("zcctl-probe", "/", "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return -errno;
	if (poll(&wait, 1, TIMEOUT_MS) <= 0)
		return -ETIMEDOUT;
	n = read(fd, request, sizeof(request));
	if (n < (ssize_t)(sizeof(*head) + 16) || head->opcode != FUSE_INIT)
		return n < 0 ? -errno : -EPROTO;
	offer->major = init->major;
	offer->minor = init->minor;
	offer->flags = init->flags;
	/* flags2 follows max_readahead and flags; older kernels end before it. */
	if ((offer->flags & OFFER_EXT) && n >= (ssize_t)(sizeof(*head) + 20)) {
		uint32_t flags2;

		memcpy(&flags2, request + sizeof(*head) + 16, sizeof(flags2));
		offer->flags |= (uint64_t)flags2 << 32;
	}
	return 0;
}

static void ask_kernel(struct offer *offer)
{
	int fds[2];
	pid_t pid;

	offer->error = EIO;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct offer mine = { 0 };

		mine.error = -read_init(&mine);
		_exit(zu_write_full(fds[1], &mine, sizeof(mine)) < 0);
	}
	close(fds[1]);
	if (pid > 0) {
		struct pollfd wait = { .fd = fds[0], .events = POLLIN };

		if (poll(&wait, 1, 2 * TIMEOUT_MS) <= 0)
			kill(pid, SIGKILL);
		else if (zu_read_full(fds[0], offer, sizeof(*offer)) != sizeof(*offer))
			offer->error = EIO;
		waitpid(pid, NULL, 0);
	}
	close(fds[0]);
}

/* Asked once. */
static const struct offer *offered(void)
{
	static struct offer offer;
	static bool asked;

	if (!asked)
		ask_kernel(&offer);
	asked = true;
	return &offer;
}

static void probe_device(const char *dir, struct probe_result *result)
{
	zu_cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		result->answer = PROBE_YES;
	else
		probe_errno(result);
}

static void probe_version(const char *dir, struct probe_result *result)
{
	const struct offer *o = offered();

	if (o->error)
		probe_say(result, PROBE_UNKNOWN, "cannot mount to ask: %s", strerror(o->error));
	else
		probe_say(result, o->major == 7 && o->minor >= 31 ? PROBE_YES : PROBE_NO,
			  "it speaks %u.%u", o->major, o->minor);
}

static void has_flags(struct probe_result *result, uint64_t flags)
{
	const struct offer *o = offered();

	if (o->error)
		probe_say(result, PROBE_UNKNOWN, "cannot mount to ask");
	else
		result->answer = (o->flags & flags) == flags ? PROBE_YES : PROBE_NO;
}

static void probe_splice(const char *dir, struct probe_result *result)
{
	has_flags(result, OFFER_SPLICE);
}

static void probe_writeback(const char *dir, struct probe_result *result)
{
	has_flags(result, OFFER_WRITEBACK);
}

static void probe_acl(const char *dir, struct probe_result *result)
{
	has_flags(result, OFFER_ACL);
}

static void probe_max_pages(const char *dir, struct probe_result *result)
{
	has_flags(result, OFFER_MAX_PAGES);
}

static void probe_uring(const char *dir, struct probe_result *result)
{
	has_flags(result, OFFER_URING);
}

static bool may_administer(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & (1u << CAP_SYS_ADMIN));
}

static void probe_passthrough(const char *dir, struct probe_result *result)
{
	has_flags(result, OFFER_PASSTHROUGH);
	if (result->answer == PROBE_YES && !may_administer())
		probe_say(result, PROBE_NO, "the kernel has it; it needs CAP_SYS_ADMIN");
}

static void probe_fusermount(const char *dir, struct probe_result *result)
{
	const char *path = getenv("PATH");
	zu_cleanup_free char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *save = NULL;

	result->answer = PROBE_NO;
	for (char *part = copy ? strtok_r(copy, ":", &save) : NULL; part;
	     part = strtok_r(NULL, ":", &save)) {
		zu_cleanup_free char *name = NULL;

		if (asprintf(&name, "%s/fusermount3", part) < 0) {
			name = NULL;
			continue;
		}
		if (access(name, X_OK) == 0) {
			probe_say(result, PROBE_YES, "%s", name);
			return;
		}
	}
}

const struct probe probes_fuse[] = {
	{ "dev_fuse", "/dev/fuse",
	  "nothing can be mounted (modprobe fuse; in a container, pass the "
	  "device in)",
	  probe_device },
	{ "fusermount3", "fusermount3", "only root can mount (install fuse3)", probe_fusermount },
	{ "fuse_version", "FUSE protocol 7.31 or later", "zcfs may not work on this kernel",
	  probe_version },
	{ "fuse_splice", "splicing to and from /dev/fuse", "all data are copied once in the daemon",
	  probe_splice },
	{ "fuse_writeback", "FUSE writeback cache",
	  "each write(2) is a request to the daemon (15 us "
	  "instead of 2)",
	  probe_writeback },
	{ "fuse_max_pages", "FUSE requests of 1 MiB",
	  "large transfers take eight times the requests", probe_max_pages },
	{ "fuse_acl", "POSIX ACLs on FUSE", "ACLs are stored but not enforced", probe_acl },
	{ "fuse_passthrough", "FUSE passthrough",
	  "unmodified programs do not reach the memory of live files (libzc does)",
	  probe_passthrough },
	{ "fuse_io_uring", "FUSE over io_uring", "nothing yet: zcfs does not use it", probe_uring },
	{ 0 },
};
