/* SPDX-License-Identifier: MIT */
/* Making a store. `format` is written last: without it the directory is no store. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/cleanup.h"

static int directory_open(const char *path, int *ret_fd, struct zu_err *err)
{
	zu_cleanup_close int fd = -1;
	zu_cleanup_dir DIR *dir = NULL;
	struct dirent *e;
	int copy;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return zu_err_set(err, errno, "%s: cannot make the directory of the store: %s",
				  path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return zu_err_set(err, errno, "%s: cannot open the directory of the store: %s",
				  path, strerror(errno));
	/* Two at once: the loser must not take the winner's files away again. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return zu_err_set(err, EBUSY,
				  "%s: another process makes a store there just now; name another "
				  "directory",
				  path);
	if (faccessat(fd, "format", F_OK, 0) == 0)
		return zu_err_set(err, EEXIST, "%s: already a store; remove it first, or mount it",
				  path);
	copy = dup(fd);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return zu_err_set(err, errno, "%s: cannot list it: %s", path, strerror(errno));
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    !strcmp(e->d_name, "lost+found"))
			continue;
		return zu_err_set(err, ENOTEMPTY,
				  "%s: not empty (%s is in it); name a new or empty directory",
				  path, e->d_name);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int put_super(struct kv_txn *txn, const struct store_create_options *o,
		     const uint8_t uuid[16])
{
	struct rec_super super = {
		.commit = 1,
		.next_ino = ZCF_ROOT_INO + 1,
		.limit_pages = o->limit / PAGE + (o->limit % PAGE != 0),
		.inodes = 1,
		.ro_compat = o->checksum ? ZCF_RO_COMPAT_CHECKSUM : 0,
	};
	struct zcf_super value;

	memcpy(super.uuid, uuid, 16);
	randombytes_buf(super.secret, sizeof(super.secret));
	rec_put_super(&value, &super);
	return kv_put(txn, ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &value, sizeof(value));
}

static int put_root(struct kv_txn *txn, const struct store_create_options *o)
{
	struct timespec now = store_now();
	struct rec_time t = { .sec = now.tv_sec, .nsec = (uint32_t)now.tv_nsec };
	struct rec_inode root = {
		.mode = S_IFDIR | (o->mode & 07777),
		.uid = o->uid,
		.gid = o->gid,
		.nlink = 2,
		.parent = ZCF_ROOT_INO,
		.generation = 1,
		.atime = t,
		.mtime = t,
		.ctime = t,
		.btime = t,
	};
	struct zcf_inode value;
	uint8_t key[KEY_MAX];

	rec_put_inode(&value, &root, ZCF_ROOT_INO, 1);
	return kv_put(txn, ZCF_DB_INODE, key, key_inode(key, ZCF_ROOT_INO), &value, sizeof(value));
}

static int make_metadata(const char *path, const struct store_create_options *o,
			 const uint8_t uuid[16], struct zu_err *err)
{
	char dir[4200];
	struct kv *kv;
	struct kv_txn *txn;
	int r;

	snprintf(dir, sizeof(dir), "%s/meta", path);
	if (mkdir(dir, 0700) < 0)
		return zu_err_set(err, errno, "%s: cannot make it: %s", dir, strerror(errno));
	r = kv_open(dir, KV_CREATE, &kv, err);
	if (r < 0)
		return r;
	r = kv_begin(kv, true, &txn);
	if (r == 0) {
		r = put_super(txn, o, uuid);
		if (r == 0)
			r = put_root(txn, o);
		if (r == 0)
			r = kv_commit(txn);
		else
			kv_abort(txn);
	}
	kv_close(kv);
	if (r < 0)
		return zu_err_set(err, -r, "%s: cannot write the metadata: %s", dir, strerror(-r));
	return 0;
}

static int make_file(int dir_fd, const char *path, const char *name, struct zu_err *err)
{
	zu_cleanup_close int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return zu_err_set(err, errno, "store %s: cannot make its file %s: %s", path, name,
				  strerror(errno));
	return 0;
}

/* What a failed create made, it takes away; a directory that was there stays. */
static void unmake(int dir_fd)
{
	static const char *const names[] = { "meta/data.mdb", "meta/lock.mdb", "pages", "lock" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlinkat(dir_fd, names[i], 0);
	unlinkat(dir_fd, "meta", AT_REMOVEDIR);
}

int store_create(const char *path, const struct store_create_options *o, struct zu_err *err)
{
	zu_cleanup_close int dir_fd = -1;
	bool existed = access(path, F_OK) == 0;
	uint8_t uuid[16];
	int r;

	if (o->limit > (uint64_t)ZCF_SIZE_MAX)
		return zu_err_set(err, EINVAL, "store %s: a size of %llu is too large", path,
				  (unsigned long long)o->limit);
	if (sodium_init() < 0)
		return zu_err_set(err, EIO, "store %s: no random numbers to be had", path);
	r = directory_open(path, &dir_fd, err);
	if (r < 0)
		return r;
	randombytes_buf(uuid, sizeof(uuid));
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 1 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	r = make_metadata(path, o, uuid, err);
	if (r == 0)
		r = make_file(dir_fd, path, "pages", err);
	if (r == 0)
		r = make_file(dir_fd, path, "lock", err);
	if (r == 0 && syncfs(dir_fd) < 0)
		r = zu_err_set(err, errno, "store %s: cannot sync it: %s", path, strerror(errno));
	if (r == 0)
		r = format_write(dir_fd, path, uuid, err);
	if (r < 0) {
		unmake(dir_fd);
		unlinkat(dir_fd, "format", 0);
		if (!existed)
			rmdir(path);
		return r;
	}
	fsync(dir_fd);
	return 0;
}
