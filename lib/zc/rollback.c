/* SPDX-License-Identifier: MIT */
/* rollback.c - the way back to the last commit. */
#include "zc_i.h"

#include <errno.h>
#include <sys/stat.h>

#include "util/bytes.h"

enum { END_TRIES = 10 };

/* The kernel has its own idea of the size and mtime: have it take the committed ones. */
static int tell_kernel(int fd, struct lz_rollback *committed)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, committed->mtime };

	if (ftruncate(fd, (off_t)committed->size) < 0)
		return lz_fail_call("ftruncate to the committed size");
	committed->mtime_kept = futimens(fd, times) == 0;
	/* EPERM: only the owner may; the file then has another mtime. */
	if (!committed->mtime_kept && errno != EPERM)
		return lz_fail_call("futimens to the committed time");
	return 0;
}

static struct lz_rollback committed_state(const uint8_t *size_and_mtime)
{
	return (struct lz_rollback){
		.size = zu_get_le64(size_and_mtime),
		.mtime = { .tv_sec = (time_t)zu_get_le64(size_and_mtime + 8),
			   .tv_nsec = (long)zu_get_le32(size_and_mtime + 16) },
	};
}

int lz_roll_back(int fd, struct lz_rollback *ret)
{
	uint8_t ticket[ZC_TICKET_SIZE], begun[32];
	zu_cleanup_close int link = -1;
	struct lz_request begin = { .type = ZC_CTL_ROLLBACK_BEGIN,
				    .fd = -1,
				    .answer = begun,
				    .answer_size = sizeof(begun) };
	const struct lz_request end = {
		.type = ZC_CTL_ROLLBACK_END, .body = begun, .length = 8, .fd = -1
	};
	int r = lz_ask_tickets(&fd, 1, -1, &begin, ticket, 0, 0, &link);

	if (r < 0)
		return r;
	*ret = committed_state(begun + 8);
	for (int i = 0; i < END_TRIES; i++) {
		r = tell_kernel(fd, ret);
		if (r == 0)
			r = lz_ask(link, &end);
		if (r != -EAGAIN)
			return r;
	}
	return lz_fail(EBUSY, "somebody writes to the file while it is rolled back");
}

/* By the attachment that we have */
static int roll_back_live(struct zc_file *f, struct lz_rollback *ret)
{
	uint8_t id[ZC_CTL_ID_SIZE], answer[ZC_CTL_LIVE_ROLLBACK_REPLY];
	const struct lz_request q = { .type = ZC_CTL_LIVE_ROLLBACK,
				      .body = id,
				      .length = sizeof(id),
				      .fd = -1,
				      .answer = answer,
				      .answer_size = sizeof(answer) };
	int r;

	zu_put_le64(id, f->image);
	r = lz_ask(f->link, &q);
	if (r < 0)
		return r;
	*ret = committed_state(answer);
	return tell_kernel(f->fd, ret);
}

int zc_rollback(zc_file *f)
{
	struct lz_rollback committed;
	int r = lz_check_process(f);

	if (r == 0)
		r = lz_check_writable(f);
	if (r < 0)
		return r;
	LZ_LOCK(f);
	return f->live ? roll_back_live(f, &committed) : lz_roll_back(f->fd, &committed);
}
