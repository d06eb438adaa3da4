/* SPDX-License-Identifier: MIT */
/* proto.h - the FUSE protocol, with what the packaged kernel headers (7.38) do not have yet. */
#ifndef FS_PROTO_H
#define FS_PROTO_H

#include <assert.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>

/* INIT flags; those from bit 32 on travel in flags2. */
#define PROTO_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#define PROTO_PASSTHROUGH (1ULL << 37)

/* The word of fuse_init_out that has become max_stack_depth: how deep the filesystems of backing
 * files may be stacked, plus one. A memfd lies on none. */
#define PROTO_MAX_STACK_DEPTH unused[0]

/* Of an answer to OPEN; backing_id is in its padding. */
#define PROTO_FOPEN_PASSTHROUGH (1u << 7)
#define PROTO_BACKING_ID padding

struct proto_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
static_assert(sizeof(struct proto_backing_map) == 16, "on the wire");
#define PROTO_IOC_BACKING_OPEN _IOW(FUSE_DEV_IOC_MAGIC, 1, struct proto_backing_map)
#define PROTO_IOC_BACKING_CLOSE _IOW(FUSE_DEV_IOC_MAGIC, 2, uint32_t)

/* Operations */
#define PROTO_STATX 52
#define PROTO_COPY_FILE_RANGE_64 53

struct proto_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};

struct proto_sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct proto_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct proto_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t spare2[14];
};

struct proto_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct proto_statx stat;
};
static_assert(sizeof(struct proto_statx_out) == 288, "on the wire");

struct proto_copy_file_range_out {
	uint64_t bytes_copied;
};

#endif
