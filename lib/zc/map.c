/* SPDX-License-Identifier: MIT */
/*
 * map.c - attaching to a file's image.
 *
 * The order matters: first the mapping is registered for the tracking of stores, then the daemon is told
 * (TRACK), then the caller gets the address. So there is never a store that a commit would miss.
 */
#include "zc_i.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/bytes.h"
#include "util/checked.h"

#define CAPACITY_MIN ((uint64_t)16 << 20)

struct image {
	uint64_t id, generation, size, capacity;
	uint32_t flags;
	int fd;
};

static int round_to_pages(uint64_t bytes, size_t *ret)
{
	uint64_t rounded;

	if (!zu_round_up_u64(bytes, (uint64_t)sysconf(_SC_PAGESIZE), &rounded) ||
	    rounded > PTRDIFF_MAX)
		return lz_fail(EFBIG, "a capacity of %ju bytes is too large", (uintmax_t)bytes);
	*ret = (size_t)rounded;
	return 0;
}

/* How much of the address space a mapping takes where the daemon does not say it. */
static int default_capacity(uint64_t size, size_t wanted, size_t *ret)
{
	uint64_t bytes = wanted > CAPACITY_MIN ? wanted : CAPACITY_MIN;

	if (bytes < size || bytes - size < size)
		bytes = size > UINT64_MAX / 2 ? size : 2 * size;
	return round_to_pages(bytes, ret);
}

static int map_memory(struct zc_file *f, int fd, size_t length, void **ret)
{
	int how = f->flags & ZC_RDWR ? PROT_READ | PROT_WRITE : PROT_READ;
	int r = lz_mmap(length, how, fd, ret);

	if (r == -ENODEV && !f->live)
		return lz_fail(ENODEV, "the file is live: open it without ZC_PAGED");
	return r < 0 ? lz_fail(-r, "mmap: %s", strerror(-r)) : 0;
}

static int map_paged(struct zc_file *f, size_t wanted)
{
	struct stat st;
	size_t length = 0;
	void *map = NULL;
	int r;

	if (fstat(f->fd, &st) < 0)
		return lz_fail_call("fstat");
	r = default_capacity((uint64_t)st.st_size, wanted, &length);
	if (r == 0)
		r = map_memory(f, f->fd, length, &map);
	if (r < 0)
		return r;
	f->map = map;
	f->capacity = length;
	return 0;
}

/* ---- live ----------------------------------------------------------------------------------- */

/* Have the file's image from the daemon, by way of f->link; in `ret` the descriptor is the caller's. */
static int attach(struct zc_file *f, size_t wanted, struct image *ret)
{
	uint8_t body[ZC_CTL_ATTACH_SIZE] = { 0 }, answer[ZC_CTL_ATTACH_REPLY];
	struct lz_request q = { .type = ZC_CTL_ATTACH,
				.fd = -1,
				.answer = answer,
				.answer_size = sizeof(answer),
				.ret_fd = &ret->fd };
	int r;

	zu_put_le64(body + ZC_TICKET_SIZE, wanted);
	zu_put_le32(body + ZC_TICKET_SIZE + 8, f->flags & ZC_RDWR ? 0 : ZC_CTL_ATTACH_READ_ONLY);
	r = lz_ask_tickets(&f->fd, 1, -1, &q, body, 0, sizeof(body) - ZC_TICKET_SIZE, &f->link);
	if (r == -ENOSYS)
		return lz_fail(EOPNOTSUPP, "the daemon of the mount knows no live files");
	if (r < 0)
		return r;
	ret->id = zu_get_le64(answer);
	ret->generation = zu_get_le64(answer + 8);
	ret->size = zu_get_le64(answer + 16);
	ret->capacity = zu_get_le64(answer + 24);
	ret->flags = zu_get_le32(answer + 32);
	return 0;
}

/* What we are going to touch without looking must be there, and stay. */
static int check_image(const struct image *image)
{
	struct stat st;
	int seals = fcntl(image->fd, F_GET_SEALS);

	if (fstat(image->fd, &st) < 0 || seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    (uint64_t)st.st_size < image->capacity || image->size > image->capacity ||
	    image->capacity == 0)
		return lz_fail(EIO, "the daemon's image makes no sense");
	return 0;
}

/* The daemon decides whether it can make use of it. */
static int tell_tracking(struct zc_file *f, const struct image *image, int pagemap)
{
	uint8_t body[ZC_CTL_TRACK_SIZE], answer[ZC_CTL_TRACK_REPLY];
	const struct lz_request q = { .type = ZC_CTL_TRACK,
				      .body = body,
				      .length = sizeof(body),
				      .fd = pagemap,
				      .answer = answer,
				      .answer_size = sizeof(answer) };
	int r;

	zu_put_le64(body, image->id);
	zu_put_le64(body + 8, pagemap < 0 ? 0 : (uintptr_t)f->map);
	zu_put_le64(body + 16, pagemap < 0 ? 0 : f->capacity);
	r = lz_ask(f->link, &q);
	f->tracked = r == 0 && zu_get_le32(answer) == 1;
	return r;
}

/* Fill `f`, as if it was live already, from an image; what fails is undone by the caller. */
static int map_image(struct zc_file *f, struct image *image, size_t wanted)
{
	zu_cleanup_close int pagemap = -1;
	size_t length = 0;
	void *map = NULL;
	int r;

	f->passthrough = image->flags & ZC_CTL_LIVE_PASSTHROUGH;
	if (f->passthrough) {
		r = default_capacity(image->size, wanted, &length);
	} else {
		r = check_image(image);
		if (r == 0 && image->capacity < wanted)
			r = lz_fail(EFBIG,
				    "the file is live with a capacity of %ju bytes, less than %zu; "
				    "its first client decides",
				    (uintmax_t)image->capacity, wanted);
		if (r == 0)
			r = round_to_pages(image->capacity, &length);
	}
	if (r == 0)
		r = map_memory(f, image->fd, length, &map);
	if (r < 0)
		return r;
	f->map = map;
	f->capacity = length;
	if (!(f->flags & ZC_RDWR))
		return 0;
	/* (A passthrough image is compared anyhow: others store to it without this library.) */
	if (!f->passthrough)
		lz_track(map, length, &f->uffd, &pagemap);
	return tell_tracking(f, image, pagemap);
}

static int map_live(struct zc_file *f, size_t wanted)
{
	struct image image = { .fd = -1 };
	int r;

	lz_register(f);
	r = attach(f, wanted, &image);
	if (r == 0) {
		f->live = true;
		r = map_image(f, &image, wanted);
	}
	zu_close_fd(&image.fd);
	if (r < 0) {
		lz_unregister(f);
		if (f->map)
			munmap(f->map, f->capacity);
		zu_close_fd(&f->uffd);
		zu_close_fd(&f->link);
		f->map = NULL;
		f->capacity = 0;
		f->live = f->tracked = f->passthrough = false;
		return r;
	}
	f->image = image.id;
	f->generation = image.generation;
	lz_publish(f);
	return 0;
}

/* ZC_AUTO: the file stays paged; what was opened for a live one has no page cache. */
static int make_paged(struct zc_file *f)
{
	zu_cleanup_close int fd = -1;
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", f->fd);
	fd = open(name, O_CLOEXEC | (f->flags & ZC_RDWR ? O_RDWR : O_RDONLY));
	/* The number stays: another thread may be about to use it, and zc_fd() has told it. */
	if (fd < 0 || dup3(fd, f->fd, O_CLOEXEC) < 0)
		return lz_fail_call("opening it again, to map it as a paged file");
	return 0;
}

static bool may_stay_paged(int r)
{
	return r == -EBUSY || r == -ENOSPC || r == -EOPNOTSUPP || r == -EROFS || r == -ENXIO ||
	       r == -EACCES;
}

int zc_map(zc_file *f, size_t capacity, void **ret_address)
{
	int r = lz_check_process(f);

	if (r < 0)
		return r;
	LZ_LOCK(f);
	if (f->map && capacity > f->capacity)
		return lz_fail(EFBIG, "the file is mapped already, with a capacity of %zu bytes",
			       f->capacity);
	if (!f->map) {
		r = f->flags & ZC_PAGED ? map_paged(f, capacity) : map_live(f, capacity);
		if (r < 0 && (f->flags & ZC_AUTO) && may_stay_paged(r)) {
			r = make_paged(f);
			if (r == 0)
				r = map_paged(f, capacity);
		}
		if (r < 0)
			return r;
	}
	*ret_address = f->map;
	return 0;
}
