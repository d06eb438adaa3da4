// SPDX-License-Identifier: MIT
/* The measured operations on one big file, and on a small one that is committed over and over. */
#include "ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMIT_PAGES 256u
#define BIG_FILE "big"
#define COMMIT_FILE "commits"

/* The big file: COUNT MiB. */

static void seq_write_pass(struct task *t, int fd)
{
	for (uint64_t i = 0; i < t->count; i++) {
		for (unsigned int p = 0; p < BLOCK / PAGE; p++)
			stamp(t->buf + (size_t)p * PAGE, i * (BLOCK / PAGE) + p);
		write_at(fd, BIG_FILE, t->buf, BLOCK, i * BLOCK);
	}
	sync_file(fd, BIG_FILE);
}

static void seq_read_pass(struct task *t, int fd)
{
	for (uint64_t i = 0; i < t->count; i++) {
		read_at(fd, BIG_FILE, t->buf, BLOCK, i * BLOCK);
		for (unsigned int p = 0; p < BLOCK / PAGE; p++)
			check_stamp(t->buf + (size_t)p * PAGE, i * (BLOCK / PAGE) + p, BIG_FILE);
	}
}

struct result op_seq_write(struct task *t)
{
	struct result r = { .ops = t->count, .bytes = (uint64_t)t->count * BLOCK };
	int fd = open_file(BIG_FILE, O_WRONLY | O_CREAT | O_EXCL);

	r.seconds = once(t, seq_write_pass, fd);
	close_file(fd, BIG_FILE);
	return r;
}

struct result op_seq_read_once(struct task *t)
{
	struct result r = { .ops = t->count, .bytes = (uint64_t)t->count * BLOCK };
	int fd = open_file(BIG_FILE, O_RDONLY);

	r.seconds = once(t, seq_read_pass, fd);
	close_file(fd, BIG_FILE);
	return r;
}

struct result op_seq_read_warm(struct task *t)
{
	struct result r = { 0 };
	int fd = open_file(BIG_FILE, O_RDONLY);

	r.ops = (uint64_t)t->count * repeat(t, seq_read_pass, fd, &r.seconds);
	r.bytes = r.ops * BLOCK;
	close_file(fd, BIG_FILE);
	return r;
}

/*
 * sendfile: a child takes the bytes off a TCP connection and answers one byte when it has all of a
 * pass.
 */

struct pump {
	int sock;
	int file;
	uint64_t size;
};

static _Noreturn void drain(int sock, uint64_t size)
{
	static unsigned char sink[BLOCK];
	uint64_t got = 0;

	for (;;) {
		/* MSG_TRUNC drops the bytes uncopied: the receiver is not what is measured. */
		ssize_t n = recv(sock, sink, sizeof(sink), MSG_TRUNC);

		if (n <= 0)
			_exit(n < 0 || got % size);
		got += (uint64_t)n;
		if (got % size == 0 && send(sock, "", 1, MSG_NOSIGNAL) != 1)
			_exit(1);
	}
}

static void send_pass(struct task *t, int fd)
{
	const struct pump *p = (const struct pump *)(const void *)t->buf;
	off_t off = 0;
	char ack;

	while ((uint64_t)off < p->size) {
		ssize_t n = sendfile(fd, p->file, &off, p->size - (uint64_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0)
			errno = 0;
		if (n <= 0)
			die("%s: sendfile at %lld gave %zd", BIG_FILE, (long long)off, n);
	}
	if (recv(fd, &ack, 1, MSG_WAITALL) != 1)
		die("%s: the receiver of sendfile left", BIG_FILE);
}

static pid_t connect_drain(uint64_t size, int *ret_sock)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	if (listener < 0 || sock < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(sock, (struct sockaddr *)&addr, len) < 0)
		die("loopback connection: cannot open");
	pid = fork();
	if (pid < 0)
		die("receiver of sendfile: cannot fork");
	if (pid == 0) {
		int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		close(sock);
		if (peer < 0)
			_exit(1);
		drain(peer, size);
	}
	close(listener);
	*ret_sock = sock;
	return pid;
}

struct result op_sendfile_warm(struct task *t)
{
	struct result r = { 0 };
	struct pump p = { .file = open_file(BIG_FILE, O_RDONLY),
			  .size = (uint64_t)t->count * BLOCK };
	int status;
	pid_t pid;

	seq_read_pass(t, p.file);
	pid = connect_drain(p.size, &p.sock);
	memcpy(t->buf, &p, sizeof(p));
	r.ops = (uint64_t)t->count * repeat(t, send_pass, p.sock, &r.seconds);
	r.bytes = r.ops * BLOCK;
	close(p.sock);
	errno = 0;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("receiver of sendfile: failed with status %d", status);
	close_file(p.file, BIG_FILE);
	return r;
}

/* COUNT single pages at random places of the big file, then one fsync. */
struct result op_random_write(struct task *t)
{
	int fd = open_file(BIG_FILE, O_RDWR);
	uint64_t state = t->seed, pages;
	struct stat st;
	double start;

	if (fstat(fd, &st) < 0)
		die("%s: cannot stat", BIG_FILE);
	pages = (uint64_t)st.st_size / PAGE;
	errno = 0;
	if (!pages)
		die("%s: is empty", BIG_FILE);
	start = now();
	for (unsigned int i = 0; i < t->count; i++) {
		uint64_t page = next_random(&state) % pages;

		stamp(t->buf, page);
		write_at(fd, BIG_FILE, t->buf, PAGE, page * PAGE);
	}
	sync_file(fd, BIG_FILE);
	close_file(fd, BIG_FILE);
	return (struct result){ .ops = t->count,
				.bytes = (uint64_t)t->count * PAGE,
				.seconds = now() - start };
}

static void commit_pass(struct task *t, int fd)
{
	for (unsigned int i = 0; i < t->count; i++) {
		stamp(t->buf, i);
		write_at(fd, COMMIT_FILE, t->buf, PAGE, (uint64_t)(i % COMMIT_PAGES) * PAGE);
		sync_file(fd, COMMIT_FILE);
	}
}

/* COUNT times one page overwritten in a file of 1 MiB and fsync. */
struct result op_commit(struct task *t)
{
	struct result r = { .ops = t->count, .bytes = (uint64_t)t->count * PAGE };
	int fd = open_file(COMMIT_FILE, O_RDWR | O_CREAT | O_EXCL);

	write_at(fd, COMMIT_FILE, t->buf, COMMIT_PAGES * PAGE, 0);
	sync_file(fd, COMMIT_FILE);
	r.seconds = once(t, commit_pass, fd);
	close_file(fd, COMMIT_FILE);
	if (unlink(COMMIT_FILE) < 0)
		die("%s: cannot unlink", COMMIT_FILE);
	return r;
}

/* Not measured. */

struct result op_remove_big(struct task *t)
{
	(void)t;
	if (unlink(BIG_FILE) < 0)
		die("%s: cannot unlink", BIG_FILE);
	return (struct result){ .ops = 1 };
}
