/* SPDX-License-Identifier: MIT */
/* Operations on the bytes of files through handles. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model.h"

static off_t clamp(off_t off, off_t len)
{
	return off + len > MAX_SIZE ? MAX_SIZE - off : len;
}

void op_read(void)
{
	struct handle *h = handle_random(O_RDONLY);
	off_t off, len;

	if (!h)
		return;
	off = random_offset(h->node->size);
	len = chance(10) ? MAX_SIZE : random_size();
	note("pread fd %d off %lld len %lld (size %lld)", h->fd, (long long)off, (long long)len,
	     (long long)h->node->size);
	ssize_t n = pread(h->fd, W.buf, (size_t)len, off);
	off_t want = off >= h->node->size ? 0 : h->node->size - off;

	expect(n, 0, "pread");
	if (want > len)
		want = len;
	if (n != want)
		differ("pread returned %zd, want %lld", n, (long long)want);
	check_bytes(W.buf, h->node, off, (size_t)n, "pread");
}

void op_pwrite(void)
{
	struct handle *h = handle_random(O_WRONLY);
	off_t off, len;

	if (!h || (h->flags & O_APPEND))
		return;
	off = random_offset(h->node->size);
	len = clamp(off, random_size());
	note("pwrite fd %d off %lld len %lld (size %lld)", h->fd, (long long)off, (long long)len,
	     (long long)h->node->size);
	fill_random(W.buf, (size_t)len);
	ssize_t n = pwrite(h->fd, W.buf, (size_t)len, off);

	expect(n, 0, "pwrite");
	if (n != len)
		differ("pwrite returned %zd, want %lld", n, (long long)len);
	node_store(h->node, off, W.buf, (size_t)len);
}

void op_append(void)
{
	struct handle *h = handle_random(O_WRONLY);
	off_t len;

	if (!h || !(h->flags & O_APPEND))
		return;
	len = clamp(h->node->size, random_size() / 4);
	note("append fd %d len %lld (size %lld)", h->fd, (long long)len, (long long)h->node->size);
	fill_random(W.buf, (size_t)len);
	ssize_t n = write(h->fd, W.buf, (size_t)len);

	expect(n, 0, "append");
	if (n != len)
		differ("append returned %zd, want %lld", n, (long long)len);
	node_store(h->node, h->node->size, W.buf, (size_t)len);
}

/* Aligned I/O past the page cache, through a handle of its own. */
void op_direct(void)
{
	struct place p;
	off_t off, len, want;
	ssize_t n;

	if (!place_existing(&p, S_IFREG))
		return;
	off = random_offset(p.node->size) & ~(off_t)4095;
	len = (random_size() & ~(off_t)4095) + 4096;
	len = clamp(off, len);
	if (!len)
		return;
	bool wr = chance(50);

	note("direct %s %s off %lld len %lld (size %lld)", wr ? "write" : "read", p.path,
	     (long long)off, (long long)len, (long long)p.node->size);
	int fd = open(p.path, O_RDWR | O_DIRECT);

	expect(fd, 0, "open O_DIRECT");
	if (wr) {
		fill_random(W.buf, (size_t)len);
		n = pwrite(fd, W.buf, (size_t)len, off);
		want = len;
	} else {
		n = pread(fd, W.buf, (size_t)len, off);
		want = off >= p.node->size ? 0 : p.node->size - off;
		want = want > len ? len : want;
	}
	expect(n, 0, "direct I/O");
	if (n != want)
		differ("direct I/O returned %zd, want %lld", n, (long long)want);
	if (wr)
		node_store(p.node, off, W.buf, (size_t)len);
	else
		check_bytes(W.buf, p.node, off, (size_t)n, "direct read");
	expect(close(fd), 0, "close");
}

/* Maps lazily and keeps the map until the handle is closed. */
static bool mapped(struct handle *h)
{
	void *m;

	if (h->map)
		return true;
	m = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
	if (m == MAP_FAILED && errno == ENODEV && W.allow_no_mmap) {
		W.no_mmap++;
		return false;
	}
	expect(m == MAP_FAILED ? -1 : 0, 0, "mmap");
	h->map = m;
	return true;
}

static struct handle *handle_mappable(void)
{
	struct handle *h = handle_random(O_RDWR);

	return h && h->node->size ? h : NULL;
}

void op_map_store(void)
{
	struct handle *h = handle_mappable();
	int times = 1 + (int)below(4);

	if (!h)
		return;
	note("map of fd %d: %d stores (size %lld)", h->fd, times, (long long)h->node->size);
	if (!mapped(h))
		return;
	for (int i = 0; i < times; i++) {
		off_t off = (off_t)(rng() % (uint64_t)h->node->size);
		off_t len = random_size() / 2 + 1;

		if (off + len > h->node->size)
			len = h->node->size - off;
		note("  map store off %lld len %lld", (long long)off, (long long)len);
		fill_random(W.buf, (size_t)len);
		memcpy(h->map + off, W.buf, (size_t)len);
		node_store(h->node, off, W.buf, (size_t)len);
		h->node->map_dirty = true;
	}
	if (chance(15)) {
		bool whole = chance(70);
		size_t len = whole ? (size_t)h->node->size : 4096;

		note("  msync %zu bytes", len);
		expect(msync(h->map, len, MS_SYNC), 0, "msync");
		if (whole)
			h->node->map_dirty = false;
	} else if (chance(10)) {
		expect(msync(h->map, (size_t)h->node->size, MS_ASYNC), 0, "msync MS_ASYNC");
	}
}

void op_map_load(void)
{
	struct handle *h = handle_mappable();
	off_t off, len;

	if (!h)
		return;
	off = (off_t)(rng() % (uint64_t)h->node->size);
	len = random_size() + 1;
	if (off + len > h->node->size)
		len = h->node->size - off;
	note("map load fd %d off %lld len %lld (size %lld)", h->fd, (long long)off, (long long)len,
	     (long long)h->node->size);
	if (mapped(h))
		check_bytes(h->map + off, h->node, off, (size_t)len, "mapping");
}

void op_truncate(void)
{
	off_t size = chance(20) ? 0 : random_size();
	struct handle *h = handle_random(O_WRONLY);
	struct place p;
	struct node *n;

	if (h && chance(70)) {
		n = h->node;
		note("ftruncate fd %d to %lld (size %lld)", h->fd, (long long)size,
		     (long long)n->size);
		expect(ftruncate(h->fd, size), 0, "ftruncate");
	} else {
		if (!place_existing(&p, S_IFREG))
			return;
		n = p.node;
		note("truncate %s to %lld (size %lld)", p.path, (long long)size,
		     (long long)n->size);
		expect(truncate(p.path, size), 0, "truncate");
	}
	node_resize(n, size);
	touch(n);
}

void op_fallocate(void)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	struct handle *h = handle_random(O_WRONLY);
	int mode = modes[below(5)];
	off_t off, len, end;

	if (!h)
		return;
	off = random_offset(h->node->size);
	len = clamp(off, random_size() + 1);
	note("fallocate fd %d mode %#x off %lld len %lld (size %lld)", h->fd, (unsigned)mode,
	     (long long)off, (long long)len, (long long)h->node->size);
	expect(fallocate(h->fd, mode, off, len), len ? 0 : EINVAL, "fallocate");
	if (!len)
		return;
	touch(h->node);
	end = off + len;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > h->node->size)
		node_resize(h->node, end);
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return;
	end = end > h->node->size ? h->node->size : end;
	if (end > off)
		memset(h->node->data + off, 0, (size_t)(end - off));
}

void op_copy_range(void)
{
	struct handle *in = handle_random(O_RDONLY), *out = handle_random(O_WRONLY);
	off_t from, to, len, avail, i, o;

	if (!in || !out || (out->flags & O_APPEND))
		return;
	from = random_offset(in->node->size);
	to = random_offset(out->node->size);
	len = clamp(to, random_size());
	note("copy_file_range fd %d off %lld (size %lld) to fd %d off %lld (size %lld) len %lld%s",
	     in->fd, (long long)from, (long long)in->node->size, out->fd, (long long)to,
	     (long long)out->node->size, (long long)len, in->node == out->node ? " same" : "");
	if (in->node == out->node && from < to + len && to < from + len) {
		i = from;
		o = to;
		/* The kernel cuts the length at the end of the file first. */
		if (from + len <= in->node->size)
			expect(copy_file_range(in->fd, &i, out->fd, &o, (size_t)len, 0), EINVAL,
			       "overlapping copy_file_range");
		return;
	}
	avail = from >= in->node->size ? 0 : in->node->size - from;
	avail = avail > len ? len : avail;
	for (i = from, o = to; i < from + avail;) {
		ssize_t n = copy_file_range(in->fd, &i, out->fd, &o, (size_t)(to + len - o), 0);

		expect(n, 0, "copy_file_range");
		if (!n || i > from + avail || o - to != i - from)
			differ("copy_file_range returned %zd at %lld of %lld", n,
			       (long long)(i - from), (long long)avail);
	}
	if (!avail)
		return;
	memcpy(W.buf, in->node->data + from, (size_t)avail);
	node_store(out->node, to, W.buf, (size_t)avail);
}

static void must_be_zero(const struct node *n, off_t from, off_t to, const char *what)
{
	for (off_t i = from; i < to; i++)
		if (n->data[i])
			differ("%s: [%lld, %lld) is called a hole, but there is data at %lld", what,
			       (long long)from, (long long)to, (long long)i);
}

/* Where the holes are is the filesystem's choice, but a hole has no data in it. */
void op_seek(void)
{
	struct handle *h = handle_random(O_RDONLY);
	off_t size, off, data, hole;

	if (!h)
		return;
	size = h->node->size;
	off = random_offset(size);
	note("lseek SEEK_DATA/SEEK_HOLE fd %d from %lld (size %lld)", h->fd, (long long)off,
	     (long long)size);
	data = lseek(h->fd, off, SEEK_DATA);
	if (off >= size || (data < 0 && errno == ENXIO)) {
		expect(data, ENXIO, "SEEK_DATA");
		must_be_zero(h->node, off, size, "SEEK_DATA");
	} else {
		expect(data, 0, "SEEK_DATA");
		if (data < off || data >= size)
			differ("SEEK_DATA from %lld of %lld gave %lld", (long long)off,
			       (long long)size, (long long)data);
		must_be_zero(h->node, off, data, "SEEK_DATA");
	}
	hole = lseek(h->fd, off, SEEK_HOLE);
	expect(hole, off >= size ? ENXIO : 0, "SEEK_HOLE");
	if (off >= size)
		return;
	if (hole < off || hole > size)
		differ("SEEK_HOLE from %lld of %lld gave %lld", (long long)off, (long long)size,
		       (long long)hole);
	must_be_zero(h->node, hole, hole < size ? hole + 1 : hole, "SEEK_HOLE");
}

void op_fsync(void)
{
	struct handle *h = handle_random(chance(50) ? O_RDONLY : O_WRONLY);
	bool data = chance(40);

	if (!h)
		return;
	note("%s fd %d", data ? "fdatasync" : "fsync", h->fd);
	expect(data ? fdatasync(h->fd) : fsync(h->fd), 0, data ? "fdatasync" : "fsync");
	h->node->map_dirty = false;
}
