/* SPDX-License-Identifier: MIT */
/*
 * Runs of pages that go to scattered places of the page file.
 *
 * One direct write after the other waits for the device each time: 400 runs of 4 KiB took 25 ms. The
 * page cache would take them all and put them down together (4 ms), but then direct and buffered writes
 * would meet in it, which is not safe: see pagefile.c. So they are given to the kernel all at once, as
 * asynchronous direct writes (2 ms).
 *
 * One context for a store, made when first needed; `lock` is a leaf, held while its writes are under way.
 * Where there are no contexts (the system has a limit, and sandboxes forbid them) it is one by one.
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/store_i.h"

/* At once. Disks have queues of 64 to 256. */
#define DEPTH 64

struct put_queue {
	pthread_mutex_t lock;
	aio_context_t context;
	bool refused;
	unsigned under_way;
	unsigned free[DEPTH], nfree; /* of `blocks` */
	struct iocb blocks[DEPTH];
};

struct put_queue *put_queue_new(void)
{
	struct put_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	pthread_mutex_init(&q->lock, NULL);
	for (q->nfree = 0; q->nfree < DEPTH; q->nfree++)
		q->free[q->nfree] = q->nfree;
	return q;
}

void put_queue_free(struct put_queue *q)
{
	if (!q)
		return;
	if (q->context)
		syscall(SYS_io_destroy, q->context);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static bool make_context(struct put_queue *q)
{
	if (!q->context && !q->refused)
		q->refused = syscall(SYS_io_setup, DEPTH, &q->context) < 0;
	return !q->refused;
}

static int put_one(const struct store *s, const struct put *p)
{
	return pagefile_gather(s->direct_fd, p->iov, p->count, (off_t)(p->page * PAGE));
}

static int put_serially(const struct store *s, const struct put *puts, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = put_one(s, &puts[i]);
	return r;
}

/* Give as many to the kernel as there is room for. -errno: it took none. */
static int submit(const struct store *s, struct put_queue *q, const struct put *puts, size_t n)
{
	struct iocb *list[DEPTH];
	unsigned k = 0;
	long taken;

	while (k < n && q->nfree) {
		struct iocb *b = &q->blocks[q->free[--q->nfree]];

		*b = (struct iocb){
			.aio_data = (uintptr_t)&puts[k],
			.aio_lio_opcode = IOCB_CMD_PWRITEV,
			.aio_fildes = (uint32_t)s->direct_fd,
			.aio_buf = (uintptr_t)puts[k].iov,
			.aio_nbytes = puts[k].count,
			.aio_offset = (int64_t)(puts[k].page * PAGE),
		};
		list[k++] = b;
	}
	taken = syscall(SYS_io_submit, q->context, (long)k, list);
	while (k > (taken > 0 ? (unsigned)taken : 0))
		q->free[q->nfree++] = (unsigned)(list[--k] - q->blocks);
	q->under_way += k;
	return taken < 0 ? -errno : (int)taken;
}

/* Take what has ended, waiting for some. What was cut short is written again. */
static int reap(const struct store *s, struct put_queue *q)
{
	struct io_event events[DEPTH];
	long n;
	int r = 0;

	do {
		n = syscall(SYS_io_getevents, q->context, 1L, (long)DEPTH, events, NULL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		abort(); /* the kernel still reads the memory of others */
	for (long i = 0; i < n; i++) {
		const struct put *p = (const void *)(uintptr_t)events[i].data;
		const struct iocb *b = (const void *)(uintptr_t)events[i].obj;
		int64_t done = events[i].res;
		int one = 0;

		if (done < 0)
			one = (int)done;
		else if ((uint64_t)done != (uint64_t)p->count * PAGE)
			one = put_one(s, p);
		r = r < 0 ? r : one;
		q->free[q->nfree++] = (unsigned)(b - q->blocks);
	}
	q->under_way -= (unsigned)n;
	return r;
}

static int put_together(const struct store *s, struct put_queue *q, const struct put *puts,
			size_t n)
{
	size_t given = 0;
	int r = 0;

	while (given < n && r == 0) {
		int taken = submit(s, q, puts + given, n - given);

		if (taken > 0)
			given += (size_t)taken;
		else if (!q->under_way)
			r = put_one(s, &puts[given++]); /* it refuses, whyever: at least that one */
		if (r == 0 && q->under_way && (!q->nfree || taken <= 0))
			r = reap(s, q);
	}
	while (q->under_way) {
		int one = reap(s, q);

		r = r < 0 ? r : one;
	}
	return r;
}

int pagefile_put(struct store *s, const struct put *puts, size_t n)
{
	struct put_queue *q = s->put_queue;
	int r;

	/* The page cache doesn't wait. */
	if (n < 2 || !s->direct || !q) {
		r = put_serially(s, puts, n);
	} else {
		pthread_mutex_lock(&q->lock);
		r = make_context(q) ? put_together(s, q, puts, n) : put_serially(s, puts, n);
		pthread_mutex_unlock(&q->lock);
	}
	/* After the write: a sync that ran meanwhile did not cover it. */
	atomic_store(&s->page_dirty, true);
	return r;
}
