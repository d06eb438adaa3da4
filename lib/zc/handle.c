/* SPDX-License-Identifier: MIT */
/*
 * handle.c - opening and closing; what is known of a file.
 *
 * A file that is going to be live is opened for writing with ZC_OPEN_LIVE, a pair of flags that means
 * nothing else for a regular file: the daemon then knows that no page cache will write whole pages
 * back over the memory of others, so two programs can open a file at the same time and then map it.
 */
#include "zc_i.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "util/bytes.h"

#define ALL_FLAGS (ZC_RDWR | ZC_PAGED | ZC_AUTO | ZC_EXCL)

static int check_flags(unsigned flags, unsigned allowed)
{
	if ((flags & ~allowed) || ((flags & ZC_PAGED) && (flags & ZC_AUTO)))
		return lz_fail(EINVAL, "flags %#x: unknown, or not together", flags);
	return 0;
}

/* A file of ours, or an error: the daemon alone knows, so it is asked. */
static int check_file(int fd)
{
	struct zc_ticket t;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return lz_fail_call("fstat");
	if (!S_ISREG(st.st_mode))
		return lz_fail(EINVAL, "not a regular file");
	r = lz_ticket(fd, &t);
	/* It is one of ours, and may be mapped as a paged file. */
	return r == -EROFS || r == -ENXIO ? 0 : r;
}

static int open_file(const char *path, unsigned flags, int create, mode_t mode)
{
	int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | create;
	int fd;

	how |= flags & ZC_RDWR ? O_RDWR : O_RDONLY;
	fd = open(path, how | ((flags & (ZC_RDWR | ZC_PAGED)) == ZC_RDWR ? ZC_OPEN_LIVE : 0), mode);
	/* O_DIRECT is refused by some filesystems, none of them ours: the ticket says so. */
	if (fd < 0 && errno == EINVAL)
		fd = open(path, how, mode);
	return fd < 0 ? lz_fail_call(path) : fd;
}

static int make(int fd, unsigned flags, zc_file **ret)
{
	zu_cleanup_close int file = fd;
	struct zc_file *f;
	int r = check_file(file);

	if (r == 0)
		r = lz_watch_fork();
	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return lz_fail(ENOMEM, "no memory");
	pthread_mutex_init(&f->lock, NULL);
	f->flags = flags;
	lz_claim(f);
	f->fd = TAKE_FD(file);
	f->link = f->uffd = -1;
	*ret = f;
	return 0;
}

int zc_open(const char *path, unsigned flags, zc_file **ret_file)
{
	int r = check_flags(flags, ALL_FLAGS & ~ZC_EXCL);

	if (r == 0)
		r = open_file(path, flags, 0, 0);
	return r < 0 ? r : make(r, flags, ret_file);
}

int zc_create(const char *path, unsigned flags, mode_t mode, uint64_t size, zc_file **ret_file)
{
	zc_file *f = NULL;
	struct stat st;
	int r = check_flags(flags, ALL_FLAGS);

	if (r < 0)
		return r;
	if (!(flags & ZC_RDWR))
		return lz_fail(EINVAL, "to create a file it must be opened for writing (ZC_RDWR)");
	r = open_file(path, flags, O_CREAT | (flags & ZC_EXCL ? O_EXCL : 0), mode);
	if (r >= 0)
		r = make(r, flags, &f);
	if (r == 0 && fstat(f->fd, &st) < 0)
		r = lz_fail_call("fstat");
	if (r == 0 && (uint64_t)st.st_size < size)
		r = zc_resize(f, size);
	if (r == 0)
		*ret_file = f;
	else
		zc_close(f);
	return r;
}

/* While the memory is still mapped: the daemon looks for our last stores. */
static void detach(struct zc_file *f)
{
	uint8_t id[ZC_CTL_ID_SIZE];
	char said[LZ_TEXT_MAX];
	const struct lz_request q = {
		.type = ZC_CTL_DETACH, .body = id, .length = sizeof(id), .fd = -1
	};

	/* The caller may be about to ask why something else failed. */
	snprintf(said, sizeof(said), "%s", zc_error());
	zu_put_le64(id, f->image);
	if (lz_ask(f->link, &q) < 0)
		lz_fail(0, "%s", said);
}

void zc_close(zc_file *f)
{
	int saved = errno;
	bool ours;

	if (!f)
		return;
	/* A child of fork has nothing of its parent's at that address. */
	ours = lz_is_ours(f);
	if (ours && f->map) {
		lz_unregister(f);
		if (f->live)
			detach(f);
		munmap(f->map, f->capacity);
	}
	zu_close_fd(&f->uffd);
	/* After the mapping: when the daemon sees its end, we store no more. */
	zu_close_fd(&f->link);
	zu_close_fd(&f->fd);
	if (ours)
		pthread_mutex_destroy(&f->lock);
	free(f);
	errno = saved;
}

int zc_fd(const zc_file *f)
{
	int r = lz_check_process(f);

	return r < 0 ? r : f->fd;
}

/* Is the image that we have mapped still the file's, and how large is the file? Locked. */
static int ask_status(struct zc_file *f, uint64_t *ret_size)
{
	uint8_t id[ZC_CTL_ID_SIZE], answer[ZC_CTL_LIVE_STATUS_REPLY];
	const struct lz_request q = { .type = ZC_CTL_LIVE_STATUS,
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
	if (zu_get_le64(answer) != f->generation)
		return lz_fail(ESTALE, "the file has another image now; open it again");
	*ret_size = zu_get_le64(answer + 8);
	return 0;
}

int zc_status(zc_file *f, struct zc_status *ret_status)
{
	struct zc_status s = { 0 };
	struct stat st;
	int r = lz_check_process(f);

	if (r < 0)
		return r;
	LZ_LOCK(f);
	if (f->live) {
		r = ask_status(f, &s.size);
		if (r < 0)
			return r;
	} else {
		if (fstat(f->fd, &st) < 0)
			return lz_fail_call("fstat");
		s.size = (uint64_t)st.st_size;
	}
	s.capacity = f->capacity;
	s.generation = f->live ? f->generation : 0;
	s.flags = (f->live ? ZC_STATUS_LIVE : 0) | (f->map ? ZC_STATUS_MAPPED : 0) |
		  (f->flags & ZC_RDWR ? ZC_STATUS_WRITABLE : 0) |
		  (f->tracked ? ZC_STATUS_TRACKED : 0) |
		  (f->passthrough ? ZC_STATUS_PASSTHROUGH : 0);
	*ret_status = s;
	return 0;
}

int zc_resize(zc_file *f, uint64_t size)
{
	uint64_t now;
	int r = lz_check_process(f);

	if (r == 0)
		r = lz_check_writable(f);
	if (r < 0)
		return r;
	LZ_LOCK(f);
	if (f->map && size > f->capacity)
		return lz_fail(
			EFBIG,
			"%ju bytes are more than the mapping's capacity of %zu; map it with more",
			(uintmax_t)size, f->capacity);
	if (size > INT64_MAX)
		return lz_fail(EFBIG, "%ju bytes are too many for a file", (uintmax_t)size);
	r = f->live ? ask_status(f, &now) : 0;
	if (r == 0 && ftruncate(f->fd, (off_t)size) < 0)
		r = lz_fail_call("ftruncate");
	return r;
}
