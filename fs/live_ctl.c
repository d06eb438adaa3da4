/* SPDX-License-Identifier: MIT */
/*
 * live_ctl.c - requests of the control socket for live files (abi/zc_ctl.h).
 *
 * A connection that is attached, or about to be, is on a list. The server's thread finds it and hands
 * the work over to a thread of lib/live's pool, one request of a connection at a time (`busy`). The
 * connection may end meanwhile: then the last who has it lets go. `lock` guards the list, `busy` and
 * `gone`; what else is in a connection belongs to who made it busy.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "abi/zc_ctl.h"
#include "ctl_calls.h"
#include "ctl_reply.h"
#include "fs.h"
#include "live.h"
#include "passthrough.h"
#include "util/bytes.h"
#include "util/cleanup.h"

enum { LOG_LINES = 64, LOG_PERIOD = 60000 /* ms */ };

struct connection {
	LIST_ENTRY(connection) link;
	uint64_t number;
	bool busy, gone;
	uint64_t ino; /* with a reference */
	struct live_client *client;
	bool passed; /* the image is passthrough.c's */
	struct live_status status;
	/* Of the request that goes on: */
	struct ctl_call *call;
	struct ticket ticket;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, connection) connections = LIST_HEAD_INITIALIZER(connections);

static void refuse(struct ctl_call *call, int result, const char *why)
{
	ctl_call_answer(call, result, why, NULL, 0);
}

/* ---- connections -------------------------------------------------------------------------- */

/* Lock held. */
static struct connection *find(uint64_t number)
{
	struct connection *c;

	LIST_FOREACH(c, &connections, link)
		if (c->number == number)
			break;
	return c;
}

static void let_go(struct connection *c)
{
	if (c->client)
		live_detach(c->client);
	if (c->passed)
		passthrough_detach(c->ino);
	store_forget(fs.store, c->ino, 1);
	free(c);
}

/* The request is done; without an image the connection is as any other. */
static void rest(struct connection *c)
{
	bool over;

	pthread_mutex_lock(&lock);
	c->busy = false;
	over = c->gone || (!c->client && !c->passed);
	if (over)
		LIST_REMOVE(c, link);
	pthread_mutex_unlock(&lock);
	if (over)
		let_go(c);
}

void live_ctl_gone(uint64_t number)
{
	struct connection *c;
	bool over = false;

	pthread_mutex_lock(&lock);
	c = find(number);
	if (c) {
		c->gone = true;
		over = !c->busy;
		if (over)
			LIST_REMOVE(c, link);
	}
	pthread_mutex_unlock(&lock);
	if (over)
		let_go(c);
}

/* ---- descriptors of clients --------------------------------------------------------------- */

/* Is it a file of /proc? Without asking the filesystem that it is of. */
static bool is_of_proc(int fd)
{
	struct statx file, proc;
	const unsigned how = AT_STATX_DONT_SYNC;

	return statx(fd, "", AT_EMPTY_PATH | how, 0, &file) == 0 &&
	       statx(AT_FDCWD, "/proc/self", how, 0, &proc) == 0 &&
	       file.stx_dev_major == proc.stx_dev_major && file.stx_dev_minor == proc.stx_dev_minor;
}

/* ---- ATTACH ------------------------------------------------------------------------------- */

static uint64_t passed_generation(uint64_t ino)
{
	static _Atomic uint64_t of_daemon;
	uint64_t none = 0, mine = (uint64_t)fs_now_ms() << 20 ^ (uint64_t)getpid();

	atomic_compare_exchange_strong(&of_daemon, &none, mine | 1);
	return atomic_load(&of_daemon) ^ ino << 24;
}

static int attach_to(struct connection *c, const struct live_attach *a, int *ret_fd,
		     const char **ret_why)
{
	uint64_t size;
	int r;

	do {
		r = passthrough_attach(a->ino, a->writable, ret_fd, &size);
		if (r == 0) {
			c->passed = true;
			c->status = (struct live_status){
				.id = a->ino,
				.generation = passed_generation(a->ino),
				.size = size,
				.capacity = size,
				.writable = a->writable,
			};
			return 0;
		}
		if (r == -ENOENT)
			r = live_attach(fs_live, a, &c->client, &c->status, ret_fd, ret_why);
	} while (r == -EBUSY && passthrough_has(a->ino));
	return r;
}

static uint32_t flags_of(const struct connection *c)
{
	return (c->status.writable ? ZC_CTL_LIVE_WRITABLE : 0) |
	       (c->passed ? ZC_CTL_LIVE_PASSTHROUGH : 0);
}

/* Who attaches again and again does not fill the log. */
static bool may_log(void)
{
	static int64_t since;
	static unsigned lines;
	int64_t now = fs_now_ms();
	bool may;

	pthread_mutex_lock(&lock);
	if (!since || now - since >= LOG_PERIOD) {
		since = now;
		lines = 0;
	}
	may = lines < LOG_LINES;
	if (may && ++lines == LOG_LINES)
		log_text(LOG_NOTICE,
			 "too many attachments to live files: no more of them are logged "
			 "for a minute");
	pthread_mutex_unlock(&lock);
	return may;
}

/* `what`: how, or why not. */
static void log_attach(const struct ucred *peer, uint64_t ino, const char *what)
{
	if (may_log())
		log_text(LOG_INFO, "process %d of user %u asks for inode %llu to be live: %s",
			 (int)peer->pid, (unsigned)peer->uid, (unsigned long long)ino, what);
}

static void attach(void *arg)
{
	struct connection *c = arg;
	struct ctl_call *call = c->call;
	const struct live_attach a = {
		.ino = c->ino,
		.wanted = zu_get_le64(call->body + 16),
		.writable = c->ticket.writable &&
			    !(zu_get_le32(call->body + 24) & ZC_CTL_ATTACH_READ_ONLY),
		.own_cached = c->ticket.cached,
		.pid = call->peer.pid,
		.uid = call->peer.uid,
	};
	uint8_t body[ZC_CTL_ATTACH_REPLY] = { 0 };
	const char *why = NULL;
	int fd = -1, r = attach_to(c, &a, &fd, &why);

	log_attach(&call->peer, c->ino,
		   r < 0		? (why ? why : strerror(-r))
		   : c->status.writable ? "attached, read-write"
					: "attached, read-only");
	if (r == 0) {
		zu_put_le64(body, c->status.id);
		zu_put_le64(body + 8, c->status.generation);
		zu_put_le64(body + 16, c->status.size);
		zu_put_le64(body + 24, c->status.capacity);
		zu_put_le32(body + 32, flags_of(c));
	}
	/* First, since the client may ask for more once it has the answer. */
	rest(c);
	if (r < 0)
		refuse(call, r, why);
	else
		ctl_call_answer_fd(call, body, sizeof(body), fd);
}

static void attach_begin(struct ctl_call *call)
{
	const struct ucred peer = call->peer; /* (an answered call is gone) */
	struct connection *c;
	uint32_t flags;
	int r;

	if (call->length != ZC_CTL_ATTACH_SIZE || zu_get_le32(call->body + 28) != 0) {
		refuse(call, -EBADMSG, "an attach with a wrong length");
		return;
	}
	flags = zu_get_le32(call->body + 24);
	if (flags & ~ZC_CTL_ATTACH_READ_ONLY) {
		refuse(call, -EINVAL, "an attach with unknown flags");
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		refuse(call, -ENOMEM, NULL);
		return;
	}
	r = ctl_calls_redeem(call, call->body, &c->ticket);
	if (r < 0) {
		if (r == -EPERM && may_log())
			log_text(LOG_WARNING,
				 "process %d of user %u shows a ticket of another process",
				 (int)peer.pid, (unsigned)peer.uid);
		free(c);
		return;
	}
	*c = (struct connection){
		.number = call->client,
		.busy = true,
		.ino = c->ticket.ino,
		.call = call,
		.ticket = c->ticket,
	};
	pthread_mutex_lock(&lock);
	LIST_INSERT_HEAD(&connections, c, link);
	pthread_mutex_unlock(&lock);
	r = live_run(fs_live, LIVE_OF_CLIENT, c->ino, peer.uid, attach, c);
	if (r < 0) {
		rest(c);
		refuse(call, r, NULL);
	}
}

/* ---- the others --------------------------------------------------------------------------- */

static void track(void *arg)
{
	struct connection *c = arg;
	struct ctl_call *call = c->call;
	uint64_t address = zu_get_le64(call->body + 8), length = zu_get_le64(call->body + 16);
	uint8_t body[ZC_CTL_TRACK_REPLY] = { 0 };
	int fd = call->fd, r = 0;

	call->fd = -1;
	if (fd >= 0 && !is_of_proc(fd)) {
		ctl_dispose(fd);
		fd = -1;
	}
	if (c->client)
		r = live_track(c->client, address, length, fd);
	else if (fd >= 0)
		close(fd);
	zu_put_le32(body, r > 0);
	rest(c);
	ctl_call_answer(call, r < 0 ? r : 0,
			r == -EALREADY ? "the mapping is known already"
			: r == -EACCES ? "the attachment is read-only"
			: r == -EINVAL ? "no mapping of the image can have this address and length"
				       : NULL,
			body, r < 0 ? 0 : sizeof(body));
}

static void answer_commit(struct ctl_call *call, int r, const struct live_commit_result *result)
{
	uint8_t body[ZC_CTL_LIVE_COMMIT_REPLY];

	zu_put_le64(body, result->written);
	zu_put_le64(body + 8, result->compared);
	ctl_call_answer(call, r,
			r == -ENOSPC || r == -EDQUOT ? "the store is full: nothing was committed"
			: r < 0			     ? "the commit failed; zcctl info says why"
						     : NULL,
			body, r < 0 ? 0 : sizeof(body));
}

static void passed_committed(void *arg, int result)
{
	const struct live_commit_result none = { 0 };

	answer_commit(arg, result, &none);
}

static void commit(void *arg)
{
	struct connection *c = arg;
	struct ctl_call *call = c->call;
	struct live_commit_result result = { 0 };
	uint64_t ino = c->ino;
	bool passed = c->passed;
	int r = 0;

	if (!passed)
		r = live_commit(fs_live, &ino, 1, 0, &result);
	else
		r = passthrough_commit_start(ino, passed_committed, call);
	rest(c);
	if (!passed || r < 0)
		answer_commit(call, r, &result);
}

static void rollback(void *arg)
{
	struct connection *c = arg;
	struct ctl_call *call = c->call;
	uint8_t body[ZC_CTL_LIVE_ROLLBACK_REPLY] = { 0 };
	struct store_attr attr = { 0 };
	int r = -EACCES;

	if (c->status.writable && c->passed) {
		r = store_rollback(fs.store, c->ino, &attr);
		r = r < 0 ? r : passthrough_reset(c->ino);
	} else if (c->status.writable) {
		r = live_rollback(fs_live, c->ino, &attr);
	}
	zu_put_le64(body, attr.size);
	zu_put_le64(body + 8, (uint64_t)attr.mtime.tv_sec);
	zu_put_le32(body + 16, (uint32_t)attr.mtime.tv_nsec);
	rest(c);
	ctl_call_answer(call, r, r == -EACCES ? "the attachment is read-only" : NULL, body,
			r < 0 ? 0 : sizeof(body));
}

static void detach(void *arg)
{
	struct connection *c = arg;
	struct ctl_call *call = c->call;

	if (c->client) {
		live_client_settle(c->client);
		live_detach(c->client);
	} else if (c->passed) {
		passthrough_detach(c->ino);
	}
	c->client = NULL;
	c->passed = false;
	rest(c);
	ctl_call_answer(call, 0, NULL, NULL, 0);
}

static void status(struct connection *c, struct ctl_call *call)
{
	uint8_t body[ZC_CTL_LIVE_STATUS_REPLY] = { 0 };
	struct live_status now = c->status;
	struct store_attr attr = { .ino = c->ino };

	if (c->client)
		live_client_status(c->client, &now);
	else if (store_getattr(fs.store, c->ino, &attr) == 0 && passthrough_attr(&attr))
		now.size = now.capacity = attr.size;
	zu_put_le64(body, now.generation);
	zu_put_le64(body + 8, now.size);
	zu_put_le64(body + 16, now.capacity);
	zu_put_le32(body + 24, flags_of(c));
	rest(c);
	ctl_call_answer(call, 0, NULL, body, sizeof(body));
}

/* The caller's connection, made busy; NULL: it is answered. */
static struct connection *take(struct ctl_call *call)
{
	size_t length = call->type == ZC_CTL_TRACK ? ZC_CTL_TRACK_SIZE : ZC_CTL_ID_SIZE;
	struct connection *c = NULL;

	if (call->length != length) {
		refuse(call, -EBADMSG, "a request for a live file with a wrong length");
		return NULL;
	}
	pthread_mutex_lock(&lock);
	c = find(call->client);
	if (c && (c->busy || (!c->client && !c->passed) || c->status.id != zu_get_le64(call->body)))
		c = NULL;
	if (c) {
		c->busy = true;
		c->call = call;
	}
	pthread_mutex_unlock(&lock);
	if (!c)
		refuse(call, -EINVAL, "this connection is not attached to an image of this number");
	return c;
}

void live_ctl_call(struct ctl_call *call)
{
	static live_job_fn *const jobs[] = {
		[ZC_CTL_TRACK] = track,
		[ZC_CTL_LIVE_COMMIT] = commit,
		[ZC_CTL_LIVE_ROLLBACK] = rollback,
		[ZC_CTL_DETACH] = detach,
	};
	struct connection *c;
	int r;

	if (!fs_live) {
		refuse(call, -EROFS, "the mount is read-only");
		return;
	}
	if (call->type == ZC_CTL_ATTACH) {
		pthread_mutex_lock(&lock);
		c = find(call->client);
		pthread_mutex_unlock(&lock);
		if (c)
			refuse(call, -EBUSY, "this connection is attached already");
		else
			attach_begin(call);
		return;
	}
	c = take(call);
	if (!c)
		return;
	if (call->type == ZC_CTL_LIVE_STATUS) {
		status(c, call);
		return;
	}
	r = live_run(fs_live, LIVE_OF_CLIENT, c->ino, call->peer.uid, jobs[call->type], c);
	if (r < 0) {
		rest(c);
		refuse(call, r, NULL);
	}
}
