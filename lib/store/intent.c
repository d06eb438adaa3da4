/* SPDX-License-Identifier: MIT */
/*
 * The intent log: the file `log`. A small commit of files that have their names already is one
 * direct, synced write into it, one flush of the device instead of the three that the page file and
 * LMDB take. What is in the log stays captured in memory (inode->cap, logged buffers), each such
 * commit merged into those before it, until a commit into LMDB takes it all; the log begins
 * anew then. After a crash intent_replay.c makes the same changes again.
 *
 * A record has the bytes of small changes, and replaying allocates pages of its own for them. Pages
 * that are in the page file already, because they were many or came by direct writes, it names by their
 * places, after a sync of the page file; until the log begins anew they are not used again.
 */
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/bytes.h"
#include "util/cleanup.h"
#include "util/fdio.h"

#define LOG_LEAST (64u << 10)

static uint32_t crc_of(const struct iovec *iov, size_t n)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n; i++)
		crc = crc32_iscsi(iov[i].iov_base, (int)iov[i].iov_len, crc);
	return crc ^ ~0u;
}

/* Every byte written once, so that later writes change no metadata of the host's filesystem. */
static int fill(int fd, uint64_t size)
{
	zu_cleanup_free void *zeros = aligned_alloc(PAGE, LOG_LEAST);

	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, LOG_LEAST);
	for (uint64_t pos = 0; pos < size; pos += LOG_LEAST) {
		ssize_t n = zu_pwrite_full(fd, zeros, LOG_LEAST, (off_t)pos);

		if (n < 0)
			return (int)n;
	}
	return fdatasync(fd) < 0 ? -errno : 0;
}

/* Made under another name, so that a log is whole or absent. */
static int make(struct store *s)
{
	zu_cleanup_close int fd =
		openat(s->dir_fd, "log.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fill(fd, s->options.log_bytes);

	if (r == 0 &&
	    (renameat(s->dir_fd, "log.new", s->dir_fd, "log") < 0 || fsync(s->dir_fd) < 0))
		r = -errno;
	if (r < 0 && fd >= 0)
		unlinkat(s->dir_fd, "log.new", 0);
	return r;
}

/* A copy of a store may have holes where it was zeros. Nothing in the log is needed any more. */
static int refill(struct store *s, uint64_t size)
{
	zu_cleanup_close int fd = openat(s->dir_fd, "log", O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fill(fd, size);
}

static int open_log(struct store *s)
{
	int flags = O_RDWR | O_DSYNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	zu_cleanup_close int fd = openat(s->dir_fd, "log", flags | O_DIRECT);
	struct stat st;
	int r = 0;

	if (fd < 0 && errno == EINVAL)
		fd = openat(s->dir_fd, "log", flags);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	st.st_size -= st.st_size % LOG_LEAST;
	if (!st.st_size)
		return -ENOENT;
	if (st.st_blocks * 512 < st.st_size)
		r = refill(s, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	s->intent.fd = TAKE_FD(fd);
	s->intent.size = (uint64_t)st.st_size;
	return 0;
}

static int have_memory(struct intent *l)
{
	if (!l->entries)
		l->entries = aligned_alloc(PAGE, INTENT_ENTRIES);
	if (!l->iov)
		l->iov = malloc((INTENT_PAGES + 1) * sizeof(*l->iov));
	return l->entries && l->iov ? 0 : -ENOMEM;
}

void intent_prepare(struct store *s)
{
	struct intent *l = &s->intent;
	int r;

	r = have_memory(l);
	if (r == 0)
		r = open_log(s);
	if (r == -ENOENT) {
		r = make(s);
		if (r == 0)
			r = open_log(s);
	}
	if (r < 0)
		intent_refuse(s, r);
}

bool intent_wanted(const struct store *s)
{
	const struct intent *l = &s->intent;

	/* Where there is little room, it is for the files. */
	return l->fd < 0 && !l->refused && !s->failed && !s->stopping && s->options.log_bytes &&
	       s->host_avail * PAGE / 16 >= s->options.log_bytes;
}

bool intent_fits(const struct store *s, uint64_t pages, uint64_t entries, uint64_t placed)
{
	const struct intent *l = &s->intent;

	/* A replay takes the pages that have their places first: even if they were, before that, those
	 * of the bytes of earlier records, it must find room for both. */
	if (l->placed + placed && l->placed + placed + l->pages + pages > s->super.free_pages)
		return false;
	return l->fd >= 0 && l->usable && pages <= INTENT_PAGES && entries <= INTENT_ENTRIES &&
	       l->placed + placed <= MIN(INTENT_PLACED, s->pages / 8) &&
	       l->pos + PAGE_UP(entries) + pages * PAGE <= l->size;
}

int intent_write(struct store *s, uint32_t files, size_t entries, uint64_t *ret_length)
{
	struct intent *l = &s->intent;
	struct zcf_log_record *h = (struct zcf_log_record *)l->entries;
	uint64_t head = PAGE_UP(entries), length = head + (l->niov - 1) * PAGE;
	int r;

	memset(l->entries + entries, 0, head - entries);
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, ZCF_LOG_MAGIC, sizeof(h->magic));
	memcpy(h->secret, s->super.secret, sizeof(h->secret));
	zu_put_le64(h->commit, s->super.commit);
	zu_put_le64(h->sequence, l->sequence);
	zu_put_le32(h->length, (uint32_t)length);
	zu_put_le32(h->entries, (uint32_t)entries);
	zu_put_le32(h->files, files);
	l->iov[0] = (struct iovec){ l->entries, head };
	zu_put_le32(h->crc, crc_of(l->iov, l->niov));
	r = pagefile_gather(l->fd, l->iov, l->niov, (off_t)l->pos);
	if (r < 0)
		return r;
	*ret_length = length;
	return 0;
}

void intent_written(struct store *s, uint64_t length, uint64_t placed)
{
	struct intent *l = &s->intent;

	l->pos += length;
	l->placed += placed;
	l->pages += l->niov - 1;
	l->sequence++;
	l->commits++;
	l->bytes += length;
	tally_path(s, STORE_FLUSH_LOG, length);
}

void intent_refuse(struct store *s, int error)
{
	struct intent *l = &s->intent;

	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->refused = true;
	store_log(s, STORE_LOG_WARNING,
		  "store %s: cannot write its intent log: %s; small commits are slower without it",
		  s->path, strerror(-error));
}

void intent_reset(struct store *s)
{
	s->intent.pos = s->intent.sequence = s->intent.placed = s->intent.pages = 0;
	s->intent.usable = true;
	alloc_unplace_all(s);
}

void intent_close(struct store *s)
{
	if (s->intent.fd >= 0)
		close(s->intent.fd);
	free(s->intent.entries);
	free(s->intent.iov);
	free(s->intent.inodes);
}

int intent_open(int dir_fd)
{
	zu_cleanup_close int fd =
		openat(dir_fd, "log", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -EINVAL;
}

static int need(uint8_t **buf, size_t *room, size_t length)
{
	uint8_t *p;

	if (length <= *room)
		return 0;
	p = realloc(*buf, length);
	if (!p)
		return -ENOMEM;
	*buf = p;
	*room = length;
	return 0;
}

int intent_read(int fd, const struct rec_super *super, uint64_t pos, uint64_t sequence,
		uint8_t **buf, size_t *room, struct intent_record *ret_record)
{
	struct zcf_log_record *h;
	struct intent_record rec;
	struct iovec iov;
	uint32_t crc;
	ssize_t n;

	if (need(buf, room, PAGE) < 0)
		return -ENOMEM;
	n = zu_pread_full(fd, *buf, PAGE, (off_t)pos);
	h = (struct zcf_log_record *)*buf;
	if (n < (ssize_t)PAGE || memcmp(h->magic, ZCF_LOG_MAGIC, sizeof(h->magic)) != 0 ||
	    memcmp(h->secret, super->secret, sizeof(h->secret)) != 0 ||
	    zu_get_le64(h->commit) != super->commit || zu_get_le64(h->sequence) != sequence)
		return n < 0 ? (int)n : 0;
	rec.length = zu_get_le32(h->length);
	rec.entries = zu_get_le32(h->entries);
	rec.files = zu_get_le32(h->files);
	if (rec.length % PAGE || rec.entries < sizeof(*h) || rec.entries > INTENT_ENTRIES ||
	    PAGE_UP(rec.entries) > rec.length ||
	    rec.length > INTENT_ENTRIES + (uint64_t)INTENT_PAGES * PAGE)
		return 0;
	if (need(buf, room, rec.length) < 0)
		return -ENOMEM;
	n = zu_pread_full(fd, *buf, rec.length, (off_t)pos);
	if (n < (ssize_t)rec.length)
		return n < 0 ? (int)n : 0;
	h = (struct zcf_log_record *)*buf;
	crc = zu_get_le32(h->crc);
	memset(h->crc, 0, sizeof(h->crc));
	iov = (struct iovec){ *buf, rec.length };
	if (crc_of(&iov, 1) != crc)
		return 0;
	rec.at = *buf;
	*ret_record = rec;
	return 1;
}

bool intent_goes_on(int fd, const struct rec_super *super, uint64_t pos, uint64_t sequence)
{
	zu_cleanup_free uint8_t *buf = NULL;
	struct zcf_log_record h;
	struct intent_record rec;
	size_t room = 0;

	for (; zu_pread_full(fd, &h, sizeof(h), (off_t)pos) == sizeof(h); pos += PAGE)
		if (memcmp(h.magic, ZCF_LOG_MAGIC, sizeof(h.magic)) == 0 &&
		    zu_get_le64(h.sequence) > sequence &&
		    intent_read(fd, super, pos, zu_get_le64(h.sequence), &buf, &room, &rec) > 0)
			return true;
	return false;
}
