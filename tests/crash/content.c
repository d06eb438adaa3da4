/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content.h"

enum { WORDS = BLOCK / 8, CHUNK = 64 * BLOCK };

#define MAGIC 0x7a6366732d626c6bull

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t key(uint32_t file, uint32_t version)
{
	return (uint64_t)file << 32 | version;
}

off_t content_size(uint32_t file, uint32_t version)
{
	uint64_t h = mix(key(file, version) + 1);
	off_t n = (off_t)(h >> 16);

	switch (h % 4) {
	case 0:
		return 100 + n % BLOCK;
	case 1:
		return (1 + n % 31) * BLOCK;
	default:
		return 100 + n % (128 << 10);
	}
}

struct content content_of(uint32_t file, uint32_t version)
{
	off_t n = content_size(file, version);

	return (struct content){ .version = version, .data = n, .size = n };
}

static void fill_block(uint64_t *w, uint64_t k, uint64_t index)
{
	uint64_t x = mix(k ^ mix(index + 7));

	w[0] = MAGIC;
	w[1] = k;
	w[2] = index;
	for (int i = 3; i < WORDS; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		w[i] = x;
	}
}

void content_fill(void *buf, uint32_t file, uint32_t version, off_t off, size_t len)
{
	uint64_t w[WORDS], index = (uint64_t)off / BLOCK;
	char *p = buf;

	for (; len; index++) {
		size_t n = len < BLOCK ? len : BLOCK;

		fill_block(w, key(file, version), index);
		memcpy(p, w, n);
		p += n;
		len -= n;
	}
}

int content_write(int fd, uint32_t file, uint32_t version, off_t size)
{
	char *buf = malloc(CHUNK);
	int rc = buf ? 0 : -ENOMEM;

	for (off_t off = 0; !rc && off < size; off += CHUNK) {
		size_t len = size - off < CHUNK ? (size_t)(size - off) : CHUNK;
		ssize_t n;

		content_fill(buf, file, version, off, len);
		n = pwrite(fd, buf, len, off);
		if (n != (ssize_t)len)
			rc = n < 0 ? -errno : -EIO;
	}
	free(buf);
	return rc;
}

long content_peek(int fd, uint32_t file)
{
	uint64_t w[3] = { 0 };
	ssize_t n = pread(fd, w, sizeof(w), 0);

	if (n < 0)
		return -errno;
	if (!n)
		return 0;
	if (n != sizeof(w) || w[0] != MAGIC || w[1] >> 32 != file || w[2] != 0 || !(uint32_t)w[1])
		return -EILSEQ;
	return (long)(uint32_t)w[1];
}

/* What a block that is not as expected seems to be. */
static void describe(const char *name, off_t off, const uint64_t *got, size_t len,
		     struct content want)
{
	char *zeros = calloc(1, BLOCK);

	fprintf(stderr, "%s: block at %lld is not of version %u: ", name, (long long)off,
		want.version);
	if (zeros && !memcmp(got, zeros, len))
		fprintf(stderr, "zeros\n");
	else if (len >= 24 && got[0] == MAGIC)
		fprintf(stderr, "it has the header of file %u version %u block %llu\n",
			(unsigned)(got[1] >> 32), (unsigned)got[1], (unsigned long long)got[2]);
	else
		fprintf(stderr, "other bytes\n");
	free(zeros);
}

static int compare(int fd, const char *name, uint32_t file, struct content want, char *buf,
		   char *ref)
{
	for (off_t off = 0; off < want.size; off += CHUNK) {
		size_t len = want.size - off < CHUNK ? (size_t)(want.size - off) : CHUNK;
		size_t data = want.data <= off ? 0 : (size_t)(want.data - off);
		ssize_t n = pread(fd, buf, len, off);

		if (n < 0)
			return -errno;
		if (n != (ssize_t)len) {
			if (name)
				fprintf(stderr, "%s: read of %zu bytes at %lld gave %zd\n", name,
					len, (long long)off, n);
			return -EILSEQ;
		}
		data = data < len ? data : len;
		content_fill(ref, file, want.version, off, data);
		memset(ref + data, 0, len - data);
		if (!memcmp(buf, ref, len))
			continue;
		for (size_t b = 0; name && b < len; b += BLOCK) {
			size_t m = len - b < BLOCK ? len - b : BLOCK;

			if (memcmp(buf + b, ref + b, m))
				describe(name, off + (off_t)b, (uint64_t *)(void *)(buf + b), m,
					 want);
		}
		return -EILSEQ;
	}
	return 0;
}

static int check(int fd, const char *name, uint32_t file, struct content want)
{
	struct stat st;
	char *buf;
	int rc;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size != want.size) {
		if (name)
			fprintf(stderr, "%s: size %lld, want %lld of version %u\n", name,
				(long long)st.st_size, (long long)want.size, want.version);
		return -EILSEQ;
	}
	buf = malloc(2 * CHUNK);
	rc = buf ? compare(fd, name, file, want, buf, buf + CHUNK) : -ENOMEM;
	free(buf);
	return rc;
}

int content_check(int fd, const char *name, uint32_t file, struct content want)
{
	return check(fd, name, file, want);
}

int content_is(int fd, uint32_t file, struct content want)
{
	return check(fd, NULL, file, want);
}
