/* SPDX-License-Identifier: MIT */
/* commit.c - commits of one file, of several, by address. */
#include "zc_i.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/bytes.h"

static_assert(ZC_COMMIT_MAX == ZC_CTL_COMMIT_MAX, "one message commits them");

int lz_flush(int fd)
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

int lz_commit(const int *fds, size_t n, int link)
{
	uint8_t body[8 + ZC_COMMIT_MAX * ZC_TICKET_SIZE] = { 0 };
	struct lz_request q = { .type = ZC_CTL_COMMIT, .fd = -1 };

	zu_put_le32(body, (uint32_t)n);
	return lz_ask_tickets(fds, n, link, &q, body, 8, 0, NULL);
}

/* All by one message. A connection of one of them is as good as a new one, and is sure of a place. */
static int commit_set(zc_file *const *files, size_t n)
{
	zu_cleanup(lz_unlock) pthread_mutex_t *held = NULL;
	int fds[ZC_COMMIT_MAX], link = -1, r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		fds[i] = files[i]->fd;
		if (!is_live(files[i])) {
			r = lz_flush(fds[i]);
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
	return lz_commit(fds, n, link);
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
