/* SPDX-License-Identifier: MIT */
/*
 * rollback.c - a file goes back to its last commit while programs have it open and mapped.
 *
 * The kernel has the file's pages, and under the writeback cache also its size and mtime. So this is a
 * protocol (abi/zc_ctl.h). From BEGIN on, what the kernel sends of the file - WRITEs, its size and
 * times - is swallowed: answered as done, and dropped. The client has the kernel take the committed size
 * and mtime. At END the kernel is told to drop its pages, which writes the dirty ones back first.
 *
 * A WRITE that was being served when BEGIN came may still reach the store. The kernel waits for it
 * before it drops its page, so after that the store is rolled back once more, and once more the pages
 * go, for somebody may have read it.
 *
 * `kernel_size` is what the kernel takes for the size: that before, what a swallowed WRITE made it, or
 * the committed one after an ftruncate. If it is another than the committed one at the end, the client
 * has to repeat the ftruncate; if the client is dead, the store takes the kernel's size.
 *
 * Each rollback has a thread, which may wait: for the commit in flight, for the kernel, for the client.
 * `lock` guards the list and what is in it; a request looks there only while `active` is not 0.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>

#include "abi/zc_ctl.h"
#include "ctl_calls.h"
#include "fs.h"
#include "live.h"
#include "passthrough.h"
#include "util/bytes.h"

enum { ROLLBACKS = 32 };

struct rollback {
	LIST_ENTRY(rollback) link;
	uint64_t ino, client, id;
	uint64_t size, kernel_size;
	struct ctl_call *call; /* to be answered by the thread */
	bool gone;
	bool delivering;
	int delivered;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(, rollback) rollbacks = LIST_HEAD_INITIALIZER(rollbacks);
static unsigned count;		/* of them, and of threads */
static _Atomic unsigned active; /* the same */
static uint64_t ids;

/* ---- what the handlers of requests ask ---------------------------------------------------- */

/* Lock held. */
static struct rollback *find(uint64_t ino)
{
	struct rollback *r;

	LIST_FOREACH(r, &rollbacks, link)
		if (r->ino == ino)
			break;
	return r;
}

bool rollback_swallows(uint64_t ino)
{
	bool swallows;

	if (atomic_load(&active) == 0)
		return false;
	pthread_mutex_lock(&lock);
	swallows = find(ino) != NULL;
	pthread_mutex_unlock(&lock);
	return swallows;
}

bool rollback_swallows_write(uint64_t ino, uint64_t end)
{
	struct rollback *r;

	if (atomic_load(&active) == 0)
		return false;
	pthread_mutex_lock(&lock);
	r = find(ino);
	if (r && end > r->kernel_size)
		r->kernel_size = end;
	pthread_mutex_unlock(&lock);
	return r != NULL;
}

void rollback_told_size(uint64_t ino, uint64_t size)
{
	struct rollback *r;

	pthread_mutex_lock(&lock);
	r = find(ino);
	if (r)
		r->kernel_size = size;
	pthread_mutex_unlock(&lock);
}

/* ---- steps of the thread ------------------------------------------------------------------ */

static int start(struct rollback *r, struct store_attr *ret_attr)
{
	struct store_attr before;
	int result = store_getattr(fs.store, r->ino, &before);

	fs_live_attr(&before);
	if (result == 0) {
		pthread_mutex_lock(&lock);
		if (before.size > r->kernel_size)
			r->kernel_size = before.size;
		pthread_mutex_unlock(&lock);
		result = fs_live_rollback(r->ino, ret_attr);
	}
	if (result == 0)
		result = passthrough_reset(r->ino);
	if (result == 0) {
		pthread_mutex_lock(&lock);
		r->size = ret_attr->size;
		pthread_mutex_unlock(&lock);
	}
	return result;
}

static void delivered(void *arg, int result)
{
	struct rollback *r = arg;

	pthread_mutex_lock(&lock);
	r->delivering = false;
	r->delivered = result;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* Have the kernel write back and drop the pages. */
static int drop_pages(struct rollback *r)
{
	int result;

	r->delivering = true;
	result = delivery_request(&r->ino, 1, delivered, r);
	if (result < 0)
		return result;
	pthread_mutex_lock(&lock);
	while (r->delivering)
		pthread_cond_wait(&changed, &lock);
	result = r->delivered;
	pthread_mutex_unlock(&lock);
	return result;
}

/* The client is gone without having told the kernel the size. */
static int take_kernel_size(struct rollback *r)
{
	struct store_attr attr = { .size = r->kernel_size };

	return store_setattr(fs.store, r->ino, STORE_SET_SIZE, &attr, &attr);
}

/* -EAGAIN: not yet, the kernel has another size. */
static int finish(struct rollback *r, bool by_client)
{
	struct store_attr attr;
	bool differs;
	int result = drop_pages(r), again;

	if (result == 0)
		result = fs_live_rollback(r->ino, &attr);
	pthread_mutex_lock(&lock);
	differs = fs.opt.writeback && r->kernel_size != r->size;
	pthread_mutex_unlock(&lock);
	if (differs && by_client && result == 0)
		return -EAGAIN;
	if (differs && !by_client && result == 0)
		result = take_kernel_size(r);
	again = drop_pages(r);
	return result < 0 ? result : again;
}

static void answer_begin(const struct rollback *r, struct ctl_call *call,
			 const struct store_attr *attr)
{
	uint8_t body[32] = { 0 };

	zu_put_le64(body, r->id);
	zu_put_le64(body + 8, attr->size);
	zu_put_le64(body + 16, (uint64_t)attr->mtime.tv_sec);
	zu_put_le32(body + 24, (uint32_t)attr->mtime.tv_nsec);
	ctl_call_answer(call, 0, NULL, body, sizeof(body));
}

/* The next call of the client, or NULL: it is gone. */
static struct ctl_call *next_call(struct rollback *r)
{
	struct ctl_call *call;

	pthread_mutex_lock(&lock);
	while (!r->call && !r->gone)
		pthread_cond_wait(&changed, &lock);
	call = r->call;
	r->call = NULL;
	pthread_mutex_unlock(&lock);
	return call;
}

/* From here on the file is as any. */
static void stop_swallowing(struct rollback *r)
{
	pthread_mutex_lock(&lock);
	LIST_REMOVE(r, link);
	pthread_mutex_unlock(&lock);
	handles_note_lost(r->ino, 0);
	atomic_fetch_sub(&active, 1);
	store_forget(fs.store, r->ino, 1);
}

static void end_thread(struct rollback *r)
{
	free(r);
	pthread_mutex_lock(&lock);
	count--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *run(void *arg)
{
	struct rollback *r = arg;
	struct ctl_call *call = next_call(r);
	struct store_attr attr;
	int result = start(r, &attr);

	if (result < 0) {
		stop_swallowing(r);
		ctl_call_answer(call, result, result == -EINVAL ? "it is not a regular file" : NULL,
				NULL, 0);
		end_thread(r);
		return NULL;
	}
	answer_begin(r, call, &attr);
	do {
		call = next_call(r);
		result = finish(r, call != NULL);
		if (call && result == -EAGAIN)
			ctl_call_answer(call, result,
					"the file has another size in the kernel; call ftruncate "
					"and futimens, then end the rollback again",
					NULL, 0);
	} while (result == -EAGAIN);
	stop_swallowing(r);
	if (call)
		ctl_call_answer(call, result,
				result < 0 ? "the kernel's pages of the file could not be dropped"
					   : NULL,
				NULL, 0);
	else
		log_text(LOG_WARNING,
			 "inode %llu: the client of a rollback ended before it was done; the file "
			 "has its committed bytes, roll it back again for their size",
			 (unsigned long long)r->ino);
	end_thread(r);
	return NULL;
}

/* ---- calls -------------------------------------------------------------------------------- */

static int start_thread(struct rollback *r)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int result;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	guard_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	result = pthread_create(&thread, &attr, run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -result;
}

/* Is there room, and neither the file nor the client in a rollback? */
static int enlist(struct rollback *r)
{
	const struct rollback *other;
	int result = 0;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(other, &rollbacks, link)
		if (other->ino == r->ino || other->client == r->client)
			result = -EBUSY;
	if (count >= ROLLBACKS)
		result = -EBUSY;
	if (result == 0) {
		r->id = ++ids;
		count++;
		LIST_INSERT_HEAD(&rollbacks, r, link);
		atomic_fetch_add(&active, 1);
	}
	pthread_mutex_unlock(&lock);
	return result;
}

static void refuse(struct ctl_call *call, uint64_t ino, int result, const char *why)
{
	store_forget(fs.store, ino, 1);
	ctl_call_answer(call, result, why, NULL, 0);
}

void rollback_begin(struct ctl_call *call)
{
	struct rollback *r;
	struct ticket t;
	int result;

	if (call->length != ZC_TICKET_SIZE) {
		ctl_call_answer(call, -EBADMSG, "a rollback with a wrong length", NULL, 0);
		return;
	}
	if (ctl_calls_redeem(call, call->body, &t) < 0)
		return;
	if (!t.writable) {
		refuse(call, t.ino, -EACCES, "the file is not open for writing");
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		refuse(call, t.ino, -ENOMEM, NULL);
		return;
	}
	r->ino = t.ino;
	r->client = call->client;
	r->call = call;
	result = enlist(r);
	if (result < 0) {
		free(r);
		refuse(call, t.ino, result,
		       "the file or the client is in a rollback already, or too many are going on");
		return;
	}
	result = start_thread(r);
	if (result < 0) {
		stop_swallowing(r);
		end_thread(r);
		ctl_call_answer(call, result, NULL, NULL, 0);
	}
}

void rollback_end(struct ctl_call *call)
{
	uint64_t id = call->length == 8 ? zu_get_le64(call->body) : 0;
	struct rollback *r;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(r, &rollbacks, link)
		if (r->client == call->client && r->id == id && !r->call)
			break;
	if (r)
		r->call = call;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	if (!r)
		ctl_call_answer(call, call->length == 8 ? -EINVAL : -EBADMSG,
				"no rollback of this number on this connection", NULL, 0);
}

void rollback_gone(void *arg, uint64_t client)
{
	struct rollback *r;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(r, &rollbacks, link)
		if (r->client == client)
			r->gone = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void rollback_stop(void)
{
	pthread_mutex_lock(&lock);
	while (count > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}
