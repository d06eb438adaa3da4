/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static void bad(const char *path, const char *why)
{
	fprintf(stderr, "replay: record %s: %s\n", path, why);
	exit(2);
}

static void add_file(struct log *l, const char *path, const struct event *e)
{
	size_t len = strnlen((const char *)e->data, e->length) + 1;

	if (l->nfiles == LOG_FILES || e->file != l->nfiles || e->length != len + e->offset)
		bad(path, "damaged");
	l->files[l->nfiles].name = (const char *)e->data;
	l->files[l->nfiles].data = e->data + len;
	l->files[l->nfiles].size = l->files[l->nfiles].most = e->offset;
	l->nfiles++;
}

static void note(struct log *l, const char *path, const struct event *e)
{
	uint64_t end = e->offset;

	switch (e->type) {
	case REC_FILE:
		add_file(l, path, e);
		return;
	case REC_ODD:
		fprintf(stderr, "replay: record %s: %.*s: the model of the disk lacks that\n", path,
			(int)e->length, (const char *)e->data);
		exit(2);
	case REC_MARKER:
		if (e->data[0] == 'W' && e->length > 2 && e->length < sizeof(l->name))
			memcpy(l->name, e->data + 2, e->length - 2);
		return;
	case REC_WRITE:
		end += e->length;
		break;
	case REC_SIZE:
		break;
	default:
		return;
	}
	if (e->file >= l->nfiles)
		bad(path, "damaged: a file that it does not have");
	if (end > l->files[e->file].most)
		l->files[e->file].most = end;
}

struct log *log_load(const char *path)
{
	struct log *l = calloc(1, sizeof(*l));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const uint8_t *p, *end;
	size_t room = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		bad(path, fd < 0 ? strerror(errno) : "empty");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		bad(path, strerror(errno));
	close(fd);
	for (end = p + st.st_size; p < end;) {
		struct rec_header h;

		if ((size_t)(end - p) < sizeof(h))
			bad(path, "cut short");
		memcpy(&h, p, sizeof(h));
		p += sizeof(h);
		if ((size_t)(end - p) < h.length)
			bad(path, "cut short");
		if (l->nevents == room) {
			room = room ? room * 2 : 1024;
			l->events = realloc(l->events, room * sizeof(*l->events));
		}
		l->events[l->nevents] =
			(struct event){ h.type, h.file, h.offset, h.length, h.flags, p };
		note(l, path, &l->events[l->nevents++]);
		p += h.length;
	}
	if (!l->name[0])
		bad(path, "it does not say which workload it is of");
	return l;
}
