/* SPDX-License-Identifier: MIT */
/* ctl_reply.c - see ctl_reply.h. */
#include "ctl_reply.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "util/bytes.h"
#include "util/cleanup.h"

bool ctl_send_reply(int fd, unsigned type, int code, const void *body, size_t length)
{
	return ctl_send_reply_fd(fd, type, code, body, length, -1);
}

bool ctl_send_reply_fd(int fd, unsigned type, int code, const void *body, size_t length, int pass)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct zc_ctl_header header;
	struct iovec iov[2] = {
		{ &header, sizeof(header) },
		{ (void *)(uintptr_t)body, length },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *head;

	if (pass >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(pass));
		memcpy(CMSG_DATA(head), &pass, sizeof(pass));
	}

	zu_put_le32(header.magic, ZC_CTL_MAGIC);
	zu_put_le16(header.version, ZC_CTL_VERSION);
	zu_put_le16(header.type, (uint16_t)(type | ZC_CTL_REPLY));
	zu_put_le32(header.length, (uint32_t)length);
	zu_put_le32(header.status, (uint32_t)code);
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool ctl_send_error(int fd, unsigned type, int code, const char *why)
{
	char text[256];

	/* The texts are ours: nothing in them needs escaping. */
	snprintf(text, sizeof(text), "{\"error\":\"%s\"}", why);
	return ctl_send_reply(fd, type, code, text, strlen(text));
}

bool ctl_send_json(int fd, unsigned type, const cJSON *json)
{
	zu_cleanup_free char *text = cJSON_PrintUnformatted(json);

	if (!text)
		return ctl_send_error(fd, type, ENOMEM, "the daemon has no memory left");
	if (strlen(text) > ZC_CTL_REPLY_MAX)
		return ctl_send_error(fd, type, EMSGSIZE, "the answer is larger than 64 KiB");
	return ctl_send_reply(fd, type, 0, text, strlen(text));
}

enum { HANGING_MOST = 8 };

static _Atomic unsigned closing;

static void *close_it(void *arg)
{
	close((int)(intptr_t)arg);
	atomic_fetch_sub(&closing, 1);
	return NULL;
}

bool ctl_may_dispose(void)
{
	return atomic_load(&closing) < HANGING_MOST;
}

void ctl_dispose(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&closing, 1);
	/* (Without memory for a thread it stays open.) */
	if (pthread_create(&thread, &attr, close_it, (void *)(intptr_t)fd) != 0)
		atomic_fetch_sub(&closing, 1);
	pthread_attr_destroy(&attr);
}
