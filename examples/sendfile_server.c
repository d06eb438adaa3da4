/* SPDX-License-Identifier: MIT */
/*
 * sendfile_server - serve the files below a directory over HTTP/1.0 without copying them.
 *
 * What a sendfile loop has to get right: a short count is normal (go on from there); EINTR is no
 * error; EAGAIN means the socket's buffer is full (poll, with a time limit, so that a peer that
 * stopped reading can't keep a thread for ever); EPIPE and ECONNRESET mean the peer has left (end
 * this connection, nothing else); 0 means the file became shorter than promised (close, so that the
 * peer sees a short body). openat2(RESOLVE_BENEATH) resolves paths: none leaves the directory.
 *
 * Threads: main accepts; each connection has one detached thread, MAX_CLIENTS at most (the
 * semaphore counts the free places). They share nothing but the directory's descriptor.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_CLIENTS = 64, MAX_REQUEST = 8192, IDLE_MS = 30000 };

static const char usage[] =
	"usage: sendfile_server DIR PORT\n"
	"Answer HTTP GET requests on 127.0.0.1:PORT with the files below DIR, sent by sendfile.\n"
	"PORT 0 takes a free port. The port is printed when the server is ready. A path is taken "
	"as\n"
	"it is (no %XX), links that lead out of DIR are not followed. Ends with SIGTERM or "
	"SIGINT.\n"
	"\n"
	"  --help  print this text\n";

static int dir_fd;
static sem_t places;

/* 0, or -errno; -ETIMEDOUT when the peer does nothing for IDLE_MS. */
static int wait_for(int sock, short events)
{
	struct pollfd p = { .fd = sock, .events = events };
	int n;

	do {
		n = poll(&p, 1, IDLE_MS);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

static int send_text(int sock, const char *text, size_t length, int flags)
{
	while (length > 0) {
		ssize_t n = send(sock, text, length, flags | MSG_NOSIGNAL);

		if (n >= 0) {
			text += n;
			length -= (size_t)n;
		} else if (errno == EAGAIN) {
			int error = wait_for(sock, POLLOUT);

			if (error)
				return error;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Send `size` bytes of `file` from its start. -EPIPE or -ECONNRESET: the peer has left;
 * -ENODATA: the file is shorter by now. */
static int send_file(int sock, int file, uint64_t size)
{
	off_t pos = 0;

	while ((uint64_t)pos < size) {
		uint64_t rest = size - (uint64_t)pos;
		ssize_t n = sendfile(sock, file, &pos, rest < 1 << 30 ? rest : 1 << 30);

		if (n > 0)
			continue; /* `pos` has moved, perhaps by less than asked for */
		if (n == 0)
			return -ENODATA;
		if (errno == EAGAIN) {
			int error = wait_for(sock, POLLOUT);

			if (error)
				return error;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int send_status(int sock, const char *status)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.0 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
			 status, strlen(status) + 1, status);

	return send_text(sock, text, (size_t)n, 0);
}

/* A regular file below the directory, or -errno. */
static int open_beneath(const char *path)
{
	/* O_NONBLOCK: a FIFO without a writer would keep us for ever */
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int serve_path(int sock, const char *path)
{
	struct stat st;
	char head[128];
	int result, file;

	while (*path == '/')
		path++;
	file = open_beneath(*path ? path : ".");
	if (file == -ENOENT || file == -ENOTDIR || file == -ENAMETOOLONG)
		return send_status(sock, "404 Not Found");
	if (file < 0) /* EXDEV: it leads out of the directory */
		return send_status(sock, "403 Forbidden");
	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(file);
		return send_status(sock, "403 Forbidden");
	}
	result = snprintf(head, sizeof(head),
			  "HTTP/1.0 200 OK\r\nContent-Length: %jd\r\nConnection: close\r\n\r\n",
			  (intmax_t)st.st_size);
	result = send_text(sock, head, (size_t)result, st.st_size ? MSG_MORE : 0);
	if (result == 0)
		result = send_file(sock, file, (uint64_t)st.st_size);
	close(file);
	return result;
}

/* Read up to the empty line after the request's headers. 0 or -errno. */
static int read_request(int sock, char *buf, size_t size)
{
	size_t have = 0;

	while (have + 1 < size) {
		ssize_t n = recv(sock, buf + have, size - 1 - have, 0);

		if (n == 0)
			return -ECONNRESET;
		if (n > 0) {
			have += (size_t)n;
			buf[have] = '\0';
			if (strstr(buf, "\r\n\r\n") || strstr(buf, "\n\n"))
				return 0;
		} else if (errno == EAGAIN) {
			int error = wait_for(sock, POLLIN);

			if (error)
				return error;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return -EMSGSIZE;
}

static void *serve_client(void *arg)
{
	int sock = (int)(intptr_t)arg;
	char request[MAX_REQUEST], *save, *method, *path;
	int result = read_request(sock, request, sizeof(request));

	if (result == 0) {
		method = strtok_r(request, " \r\n", &save);
		path = strtok_r(NULL, " \r\n", &save);
		if (!method || !path || *path != '/')
			result = send_status(sock, "400 Bad Request");
		else if (strcmp(method, "GET") != 0)
			result = send_status(sock, "405 Method Not Allowed");
		else
			result = serve_path(sock, path);
	} else if (result == -EMSGSIZE) {
		result = send_status(sock, "400 Bad Request");
	}
	if (result < 0)
		fprintf(stderr, "sendfile_server: client: %s\n", strerror(-result));
	close(sock);
	sem_post(&places);
	return NULL;
}

static int listen_on(const char *port_text)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(addr);
	char *end;
	unsigned long port = strtoul(port_text, &end, 10);
	int sock, one = 1;

	if (*end || end == port_text || port > 65535) {
		errno = EINVAL;
		return -1;
	}
	addr.sin_port = htons((uint16_t)port);
	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(sock, (struct sockaddr *)&addr, length) < 0 || listen(sock, 128) < 0 ||
	    getsockname(sock, (struct sockaddr *)&addr, &length) < 0)
		return -1;
	printf("%u\n", ntohs(addr.sin_port));
	fflush(stdout);
	return sock;
}

static void accept_clients(int listener)
{
	pthread_attr_t detached;
	pthread_t thread;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		while (sem_wait(&places) < 0)
			; /* EINTR */
		int sock = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (sock >= 0 &&
		    pthread_create(&thread, &detached, serve_client, (void *)(intptr_t)sock) == 0)
			continue;
		if (sock >= 0)
			close(sock);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			usleep(100000); /* until a connection ends */
		sem_post(&places);
	}
}

int main(int argc, char **argv)
{
	int listener;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	if (argc != 3) {
		fputs(usage, stderr);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
	sem_init(&places, 0, MAX_CLIENTS);
	dir_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		fprintf(stderr, "sendfile_server: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	listener = listen_on(argv[2]);
	if (listener < 0) {
		fprintf(stderr, "sendfile_server: port %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	accept_clients(listener);
}
