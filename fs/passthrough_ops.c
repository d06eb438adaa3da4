/* SPDX-License-Identifier: MIT */
/*
 * passthrough_ops.c - requests that an image serves in place of the store, and its clients.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "passthrough_i.h"
#include "util/cleanup.h"
#include "util/fdio.h"

/* ---- in place of the store --------------------------------------------------------------- */

bool passthrough_entry(struct store_attr *attr)
{
	struct pt_inode *i;

	if (atomic_load(&pt.images) == 0)
		return false;
	pthread_mutex_lock(&pt.lock);
	i = pt_find(attr->ino);
	if (i && i->state == PT_READY)
		pt_memory_attr(&i->memory, attr);
	else
		i = NULL;
	pthread_mutex_unlock(&pt.lock);
	return i != NULL;
}

bool passthrough_attr(struct store_attr *attr)
{
	struct store_attr now;

	if (passthrough_entry(attr))
		return true;
	if (S_ISREG(attr->mode) && atomic_load(&pt.any_ended) &&
	    store_getattr(fs.store, attr->ino, &now) == 0)
		*attr = now;
	return false;
}

/* Of a file that may have an image at any moment nothing is kept: the kernel is not told when it is
 * written to. */
uint64_t passthrough_timeout(const struct store_attr *attr)
{
	if (fs.opt.passthrough && S_ISREG(attr->mode) &&
	    (fs.opt.passthrough == PASSTHROUGH_ALL || attr->flags & STORE_INODE_LIVE ||
	     passthrough_has(attr->ino)))
		return 0;
	return FS_TIMEOUT;
}

static void note_written(struct pt_inode *i)
{
	pthread_mutex_lock(&pt.lock);
	i->written = true;
	i->epoch++;
	pthread_mutex_unlock(&pt.lock);
}

int passthrough_truncate(uint64_t ino, uint64_t size)
{
	struct pt_inode *i = pt_use(ino);
	int r;

	if (!i)
		return -ENOENT;
	note_written(i);
	if (size > (uint64_t)INT64_MAX - FS_PAGE)
		r = -EFBIG;
	else
		r = ftruncate(i->memory.fd, (off_t)size) < 0 ? -errno : 0;
	pt_unuse(i);
	return r;
}

int passthrough_fallocate(uint64_t ino, int mode, uint64_t offset, uint64_t length)
{
	struct pt_inode *i = pt_use(ino);
	int r;

	if (!i)
		return -ENOENT;
	note_written(i);
	r = pt_memory_fallocate(&i->memory, mode, offset, length);
	pt_unuse(i);
	return r;
}

int passthrough_seek(uint64_t ino, uint64_t offset, int whence, uint64_t *ret_offset)
{
	struct pt_inode *i = pt_use(ino);
	off_t at;
	int r = 0;

	if (!i)
		return -ENOENT;
	at = lseek(i->memory.fd, (off_t)offset, whence);
	if (at < 0)
		r = -errno;
	else
		*ret_offset = (uint64_t)at;
	pt_unuse(i);
	return r;
}

ssize_t passthrough_read(uint64_t ino, void *buf, size_t size, uint64_t offset)
{
	struct pt_inode *i = pt_use(ino);
	ssize_t n;

	if (!i)
		return -ENOENT;
	n = zu_pread_full(i->memory.fd, buf, size, (off_t)offset);
	pt_unuse(i);
	return n;
}

ssize_t passthrough_write(uint64_t ino, const void *buf, size_t size, uint64_t offset)
{
	struct pt_inode *i = pt_use(ino);
	ssize_t n;

	if (!i)
		return -ENOENT;
	note_written(i);
	n = zu_pwrite_full(i->memory.fd, buf, size, (off_t)offset);
	pt_unuse(i);
	return n;
}

int passthrough_resized(uint64_t ino, uint64_t size)
{
	struct pt_inode *i;
	int r;

	if (atomic_load(&pt.images) == 0)
		return 0;
	pthread_mutex_lock(&pt.lock);
	i = pt_find(ino);
	if (i && i->state == PT_FILLING)
		i->again = true;
	pthread_mutex_unlock(&pt.lock);
	r = passthrough_truncate(ino, size);
	return r == -ENOENT ? 0 : r;
}

struct pt_inode *passthrough_times_begin(uint64_t ino)
{
	struct pt_inode *i = pt_use(ino);

	if (i)
		pt_memory_times_begin(&i->memory);
	return i;
}

void passthrough_times_end(struct pt_inode *i, bool done)
{
	if (!i)
		return;
	pt_memory_times_end(&i->memory, done);
	pt_unuse(i);
}

/* ---- clients ----------------------------------------------------------------------------- */

int passthrough_attach(uint64_t ino, bool writable, int *ret_fd, uint64_t *ret_size)
{
	struct pt_inode *i = pt_use(ino);
	char path[32];
	struct stat st;
	int fd, r = 0;

	if (!i)
		return -ENOENT;
	/* Another open file, so that it is seen as long as it is there. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", i->memory.fd);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		zu_close_fd(&fd);
	} else {
		pthread_mutex_lock(&pt.lock);
		i->attached++;
		i->epoch++;
		i->written = i->written || writable;
		pthread_mutex_unlock(&pt.lock);
		*ret_fd = fd;
		*ret_size = (uint64_t)st.st_size;
	}
	pt_unuse(i);
	return r;
}

void passthrough_detach(uint64_t ino)
{
	struct pt_inode *i;

	pthread_mutex_lock(&pt.lock);
	i = pt_find(ino);
	if (i && i->attached) {
		i->attached--;
		pt_retire_soon(i);
	}
	pthread_mutex_unlock(&pt.lock);
}
