// SPDX-License-Identifier: MIT
/*
 * The measured operations that send the big file to a TCP connection over loopback: by sendfile, or by
 * reading and writing. A child takes the bytes off the connection, drops them, and answers one byte when
 * it has all of a pass. It ends after the clocks have stopped: its CPU time is not in `own`. Sender and
 * receiver have a processor each: where the scheduler puts them would matter more than what is compared.
 */
#include "ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG_FILE "big"

static int sock;

/* The n-th processor that this program may use; any, if there are not as many. */
static void use_processor(int n)
{
	cpu_set_t may, one;

	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &may) || n-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

static _Noreturn void drain(int from, uint64_t size)
{
	static unsigned char sink[BLOCK];
	uint64_t got = 0;

	for (;;) {
		/* MSG_TRUNC drops the bytes uncopied: the receiver is not what is measured. */
		ssize_t n = recv(from, sink, sizeof(sink), MSG_TRUNC);

		if (n <= 0)
			_exit(n < 0 || got % size);
		got += (uint64_t)n;
		if (got % size == 0 && send(from, "", 1, MSG_NOSIGNAL) != 1)
			_exit(1);
	}
}

static struct result received(const struct task *t)
{
	char ack;

	errno = 0;
	if (recv(sock, &ack, 1, MSG_WAITALL) != 1)
		die("%s: the receiver left", BIG_FILE);
	return (struct result){ .ops = t->count, .bytes = (uint64_t)t->count * BLOCK };
}

static struct result sendfile_pass(struct task *t, int fd)
{
	uint64_t size = (uint64_t)t->count * BLOCK;
	off_t off = 0;

	while ((uint64_t)off < size) {
		ssize_t n = sendfile(sock, fd, &off, size - (uint64_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0)
			errno = 0;
		if (n <= 0)
			die("%s: sendfile at %lld gave %zd", BIG_FILE, (long long)off, n);
	}
	return received(t);
}

/* What a server does that does not know sendfile: 128 KiB, which stay in the processor's cache. */
static struct result copy_pass(struct task *t, int fd)
{
	uint64_t size = (uint64_t)t->count * BLOCK;
	size_t piece = BLOCK / 8;

	for (uint64_t off = 0; off < size; off += piece) {
		read_at(fd, BIG_FILE, t->buf, piece, off);
		for (size_t sent = 0; sent < piece;) {
			ssize_t n = send(sock, t->buf + sent, piece - sent, MSG_NOSIGNAL);

			if (n <= 0)
				die("%s: send gave %zd", BIG_FILE, n);
			sent += (size_t)n;
		}
	}
	return received(t);
}

static pid_t connect_drain(uint64_t size)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || sock < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(sock, (struct sockaddr *)&addr, len) < 0)
		die("loopback connection: cannot open");
	pid = fork();
	if (pid < 0)
		die("receiver: cannot fork");
	if (pid == 0) {
		int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		close(sock);
		use_processor(1);
		if (peer < 0)
			_exit(1);
		drain(peer, size);
	}
	close(listener);
	use_processor(0);
	return pid;
}

static struct result send_big(struct task *t, struct result (*how)(struct task *, pass_fn *, int),
			      pass_fn *pass)
{
	pid_t pid = connect_drain((uint64_t)t->count * BLOCK);
	int fd = open_file(BIG_FILE, O_RDONLY), status;
	struct result r = how(t, pass, fd);

	close(sock);
	errno = 0;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("receiver: failed with status %d", status);
	close_file(fd, BIG_FILE);
	return r;
}

struct result op_sendfile_once(struct task *t)
{
	return send_big(t, once, sendfile_pass);
}

struct result op_sendfile_warm(struct task *t)
{
	return send_big(t, repeat, sendfile_pass);
}

struct result op_copy_warm(struct task *t)
{
	return send_big(t, repeat, copy_pass);
}
