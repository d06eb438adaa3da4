/* SPDX-License-Identifier: MIT */
/* commit.c - commits of one file, of several, by address; and the way back to the last one. */
#include "zc_i.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/bytes.h"

static_assert(ZC_COMMIT_MAX == ZC_CTL_COMMIT_MAX, "one message commits them");

enum { END_TRIES = 10 };

/* Hand what the kernel has of the file to the daemon, without committing it. */
static int flush(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0 || close(copy) < 0)
		return lz_fail_call("delivering its data");
	return 0;
}

/*
 * With its write-back cache the kernel trusts nobody but itself about the mtime of a file, and knows
 * nothing of our stores: tell it, so that what looks for changed files finds them. Before the commit,
 * which takes it along. That it fails (the permission may have gone since) changes no byte. Of live files.
 */
static void touch(const struct zc_file *f)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };

	if (!f->passthrough && (f->flags & ZC_RDWR))
		(void)futimens(f->fd, times);
}

static int commit_live(struct zc_file *f)
{
	uint8_t id[ZC_CTL_ID_SIZE], answer[ZC_CTL_LIVE_COMMIT_REPLY];
	const struct lz_request q = { .type = ZC_CTL_LIVE_COMMIT,
				      .body = id,
				      .length = sizeof(id),
				      .fd = -1,
				      .answer = answer,
				      .answer_size = sizeof(answer) };

	touch(f);
	zu_put_le64(id, f->image);
	return lz_ask(f->link, &q);
}

/* A file that is mapped by another thread meanwhile is committed as what it was. */
static bool is_live(struct zc_file *f)
{
	LZ_LOCK(f);
	return f->live;
}

/* All by one message. A connection of one of them is as good as a new one, and is sure of a place. */
static int commit_set(zc_file *const *files, size_t n)
{
	uint8_t body[8 + ZC_COMMIT_MAX * ZC_TICKET_SIZE] = { 0 };
	struct lz_request q = { .type = ZC_CTL_COMMIT, .fd = -1 };
	zu_cleanup(lz_unlock) pthread_mutex_t *held = NULL;
	int fds[ZC_COMMIT_MAX], link = -1, r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		fds[i] = files[i]->fd;
		if (!is_live(files[i])) {
			r = flush(fds[i]);
			continue;
		}
		touch(files[i]);
		if (!held)
			held = &files[i]->lock, link = files[i]->link;
	}
	if (r < 0 || n == 0) {
		held = NULL;
		return r;
	}
	if (held)
		pthread_mutex_lock(held);
	zu_put_le32(body, (uint32_t)n);
	return lz_ask_tickets(fds, n, link, &q, body, 8, 0, NULL);
}

int zc_commit(zc_file *f)
{
	int r = lz_check_process(f);

	if (r < 0)
		return r;
	if (!is_live(f)) /* by us: fsync also commits what others have live */
		return fsync(f->fd) < 0 ? lz_fail_call("fsync") : 0;
	LZ_LOCK(f);
	return commit_live(f);
}

int zc_commit_many(zc_file *const *files, size_t n)
{
	int r = 0;

	if (n > ZC_COMMIT_MAX)
		return lz_fail(E2BIG, "%zu files are too many for one commit (%u at most)", n,
			       ZC_COMMIT_MAX);
	for (size_t i = 0; i < n && r == 0; i++)
		r = lz_check_process(files[i]);
	return r < 0 ? r : commit_set(files, n);
}

int zc_msync(void *address, size_t length, int flags)
{
	struct zc_file *files[ZC_COMMIT_MAX];
	size_t n;
	int r, code = 0;

	/* The arguments are checked by who knows best; and paged files are committed by it. */
	if (msync(address, length, flags) < 0) {
		code = errno;
		lz_fail_call("msync");
		/* ENOMEM: what is mapped of the range has been taken care of. */
		if (code != ENOMEM || !(flags & MS_SYNC))
			return -1;
	}
	if (!(flags & MS_SYNC) || length == 0)
		return 0;
	n = lz_find_live(address, length, files, ZC_COMMIT_MAX);
	r = n == 1 ? zc_commit(files[0]) : zc_commit_many(files, n);
	lz_release(files, n < ZC_COMMIT_MAX ? n : ZC_COMMIT_MAX);
	if (r < 0)
		code = r == -ENOSPC ? ENOSPC : EIO;
	if (code)
		errno = code;
	return code ? -1 : 0;
}

/* ---- rollback ------------------------------------------------------------------------------- */

/* The kernel has its own idea of the size and mtime: have it take the committed ones. */
static int tell_kernel(int fd, const uint8_t *size_and_mtime)
{
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)zu_get_le64(size_and_mtime + 8),
		  .tv_nsec = (long)zu_get_le32(size_and_mtime + 16) },
	};

	if (ftruncate(fd, (off_t)zu_get_le64(size_and_mtime)) < 0)
		return lz_fail_call("ftruncate to the committed size");
	/* EPERM: only the owner may; the file then has another mtime. */
	if (futimens(fd, times) < 0 && errno != EPERM)
		return lz_fail_call("futimens");
	return 0;
}

static int roll_back_live(struct zc_file *f)
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
	return r < 0 ? r : tell_kernel(f->fd, answer);
}

static int roll_back_paged(struct zc_file *f)
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
	int r = lz_ask_tickets(&f->fd, 1, -1, &begin, ticket, 0, 0, &link);

	for (int i = 0; i < END_TRIES && r == 0; i++) {
		r = tell_kernel(f->fd, begun + 8);
		if (r < 0)
			break;
		r = lz_ask(link, &end);
		if (r != -EAGAIN)
			return r;
		r = 0;
	}
	return r < 0 ? r : lz_fail(EBUSY, "somebody writes to the file while it is rolled back");
}

int zc_rollback(zc_file *f)
{
	int r = lz_check_process(f);

	if (r == 0)
		r = lz_check_writable(f);
	if (r < 0)
		return r;
	LZ_LOCK(f);
	return f->live ? roll_back_live(f) : roll_back_paged(f);
}
