/* SPDX-License-Identifier: MIT */
/*
 * passthrough_life.c - whether -o passthrough can be had, what it does by itself, and its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "passthrough_i.h"

/* Sizes change without the daemon; images linger. */
static void tend(void)
{
	struct pt_inode *i;

	pthread_mutex_lock(&pt.lock);
	for (unsigned b = 0; b < PT_BUCKETS; b++) {
		LIST_FOREACH(i, &pt.table[b], link) {
			struct stat st;

			if (i->state == PT_READY && fstat(i->memory.fd, &st) == 0)
				pt_count(i, (uint64_t)st.st_size);
			pt_retire_soon(i);
		}
	}
	pthread_mutex_unlock(&pt.lock);
}

static void tick(void)
{
	static unsigned seconds;

	if (atomic_load(&pt.images) == 0)
		return;
	tend();
	if (fs.opt.commit_seconds && ++seconds >= fs.opt.commit_seconds) {
		seconds = 0;
		passthrough_store_all(false); /* and the periodic commit takes it */
	}
}

int passthrough_probe(struct zu_err *err)
{
	struct pt_memory memory = { .fd = -1 };
	uint32_t id;
	int r;

	if (!fs.opt.passthrough)
		return 0;
	if (!(fs.init_flags & PROTO_PASSTHROUGH))
		return zu_err_set(
			err, EOPNOTSUPP,
			"%s: this kernel cannot pass files through (Linux 6.9 can); leave "
			"the option passthrough out",
			fs.opt.mnt);
	r = pt_memory_make(&memory);
	if (r == 0)
		r = pt_backing_open(memory.fd);
	pt_memory_drop(&memory);
	if (r < 0)
		return zu_err_set(err, -r,
				  "%s: the kernel does not let this process pass files through: "
				  "%s; only root may use the option passthrough",
				  fs.opt.mnt, strerror(-r));
	id = (uint32_t)r;
	ioctl(wire_fd(0), PROTO_IOC_BACKING_CLOSE, &id);
	return 0;
}

int passthrough_start(void)
{
	struct rlimit files;

	if (!fs.opt.passthrough)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		pt.images_max = files.rlim_cur / 2 < 65536 ? (unsigned)files.rlim_cur / 2 : 65536;
	}
	return pt_jobs_start(tick);
}

void passthrough_stop_jobs(void)
{
	if (fs.opt.passthrough)
		pt_jobs_stop();
}

void passthrough_stop(void)
{
	struct pt_inode *i;

	if (!fs.opt.passthrough)
		return;
	passthrough_store_all(true);
	for (unsigned b = 0; b < PT_BUCKETS; b++) {
		while ((i = LIST_FIRST(&pt.table[b])) != NULL) {
			bool image = i->state == PT_READY;

			pt_remove(i);
			if (image)
				pt_drop(i);
			else
				free(i);
		}
	}
}
