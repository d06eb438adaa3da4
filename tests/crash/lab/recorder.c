/* SPDX-License-Identifier: MIT */
/*
 * recorder.so - a preload library below both LMDB and the page file. It logs what a program does to
 * the files of a store (record.h), or makes one of these calls fail.
 *
 * One lock makes a call and its record one step, so the order of the record is the order of the
 * calls; only a sync takes its time outside of it, between its two records.
 */
/* Both forms of the calls with offsets are here, each under its own name. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "record.h"

#define MAX_FDS 256
#define MAX_FILES 16
#define EXPORT __attribute__((visibility("default")))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;
static char root[PATH_MAX];
static bool recording, faulting;
static uint32_t events;
static char names[MAX_FILES][64];
static uint32_t nnames;
static struct {
	char state; /* 0: not looked at, 'n': no file of the store, 'f': `file` */
	bool durable;
	uint32_t file;
} fds[MAX_FDS];

/* ---- the record ------------------------------------------------------------------------- */

static void put(const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		long n = syscall(SYS_write, out, p, length);

		if (n <= 0) {
			perror("recorder: cannot write the record");
			_exit(99);
		}
		p += n;
		length -= (size_t)n;
	}
}

static uint32_t emit(uint32_t type, uint32_t file, uint64_t offset, const void *data, size_t length,
		     uint32_t flags)
{
	struct rec_header h = { type, file, offset, (uint32_t)length, flags };

	put(&h, sizeof(h));
	put(data, length);
	return events++;
}

static void odd(const char *what, const char *name)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "%s %s", what, name);

	emit(REC_ODD, 0, 0, text, (size_t)n, 0);
}

/* The number of a file of the store, or -1. With the lock held. */
static int file_of(int fd, bool *durable)
{
	char link[64], path[PATH_MAX];
	size_t len = strlen(root);
	ssize_t n;

	if (fd < 0 || fd >= MAX_FDS || fd == out || !len)
		return -1;
	if (!fds[fd].state) {
		fds[fd].state = 'n';
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = '\0';
		if (strncmp(path, root, len) == 0 && path[len] == '/') {
			for (uint32_t k = 0; k < nnames; k++)
				if (strcmp(path + len + 1, names[k]) == 0) {
					fds[fd].state = 'f';
					fds[fd].file = k;
				}
			fds[fd].durable = fcntl(fd, F_GETFL) & O_DSYNC;
		}
	}
	if (durable)
		*durable = fds[fd].durable;
	return fds[fd].state == 'f' ? (int)fds[fd].file : -1;
}

static void record_write(int fd, const void *data, size_t length, off_t offset)
{
	bool durable = false;
	int file = recording ? file_of(fd, &durable) : -1;

	if (file >= 0 && length)
		emit(REC_WRITE, (uint32_t)file, (uint64_t)offset, data, length,
		     durable ? REC_FLAG_DURABLE : 0);
}

static bool below_root(const char *path, const char **ret_name)
{
	size_t len = strlen(root);

	if (!recording || !len || strncmp(path, root, len) != 0 || path[len] != '/')
		return false;
	*ret_name = path + len + 1;
	return strcmp(*ret_name, "meta/lock.mdb") != 0;
}

/* ---- control ---------------------------------------------------------------------------- */

static void record_file(const char *name)
{
	char path[PATH_MAX + 64];
	struct stat st;
	char *data;
	size_t len = strlen(name) + 1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "recorder: cannot open %s: %s\n", path, strerror(errno));
		_exit(99);
	}
	data = calloc(1, len + (size_t)st.st_size);
	memcpy(data, name, len);
	if (!data || read(fd, data + len, (size_t)st.st_size) != st.st_size)
		_exit(99);
	close(fd);
	emit(REC_FILE, nnames, (uint64_t)st.st_size, data, len + (size_t)st.st_size, 0);
	snprintf(names[nnames++], sizeof(names[0]), "%s", name);
	free(data);
}

static void set_root(const char *store)
{
	memset(fds, 0, sizeof(fds));
	if (!realpath(store, root))
		_exit(99);
}

/* Asynchronous writes pass by here: the store does without, as where they are forbidden. */
__attribute__((constructor)) static void forbid_aio(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("recorder: cannot forbid asynchronous writes");
		_exit(99);
	}
}

EXPORT void zc_record_start(const char *store, const char *record)
{
	set_root(store);
	nnames = events = 0;
	out = (int)syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			   0644);
	if (out < 0) {
		fprintf(stderr, "recorder: cannot make %s: %s\n", record, strerror(errno));
		_exit(99);
	}
	record_file("format");
	record_file("lock");
	record_file("meta/data.mdb");
	record_file("pages");
	record_file("log");
	recording = true;
}

EXPORT void zc_record_stop(void)
{
	recording = false;
	close(out);
	out = -1;
	root[0] = '\0';
}

EXPORT void zc_marker(const char *text)
{
	pthread_mutex_lock(&lock);
	if (recording)
		emit(REC_MARKER, 0, 0, text, strlen(text), 0);
	pthread_mutex_unlock(&lock);
}

/* ---- faults ----------------------------------------------------------------------------- */

static unsigned long calls, fault_at;
static int fault_kind;

EXPORT void zc_fault_arm(const char *store, unsigned long n, int kind)
{
	if (!recording) {
		set_root(store);
		nnames = 4;
		strcpy(names[0], "meta/data.mdb");
		strcpy(names[1], "pages");
		strcpy(names[2], "log");
		strcpy(names[3], "log.new");
	}
	calls = 0;
	fault_at = n;
	fault_kind = kind;
	faulting = true;
}

EXPORT unsigned long zc_fault_disarm(void)
{
	faulting = false;
	root[0] = '\0';
	memset(fds, 0, sizeof(fds));
	return calls;
}

/* With the lock held: 0: go on; 'h': do a part of it; else errno is set. */
static int fault(int fd)
{
	int kind = fault_kind | 0x20;

	if (!faulting || file_of(fd, NULL) < 0)
		return 0;
	calls++;
	if (!fault_at || (fault_kind & 0x20 ? calls != fault_at : calls < fault_at))
		return 0;
	errno = kind == 's' ? ENOSPC : EIO;
	return kind;
}

/* ---- the calls -------------------------------------------------------------------------- */

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		_exit(98);
	return p;
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t length, off_t offset)
{
	static __typeof__(&pwrite) next;
	ssize_t n;
	int f;

	if (!next)
		next = REAL(pwrite);
	pthread_mutex_lock(&lock);
	f = fault(fd);
	if (f == 'h' && length > 512)
		n = next(fd, buf, length / 1024 * 512, offset);
	else
		n = f ? -1 : next(fd, buf, length, offset);
	if (n > 0)
		record_write(fd, buf, (size_t)n, offset);
	pthread_mutex_unlock(&lock);
	return n;
}

EXPORT ssize_t pwrite64(int fd, const void *buf, size_t length, off64_t offset)
	__attribute__((alias("pwrite")));

EXPORT ssize_t write(int fd, const void *buf, size_t length)
{
	bool ours;
	ssize_t n;

	pthread_mutex_lock(&lock);
	ours = (recording || faulting) && file_of(fd, NULL) >= 0;
	pthread_mutex_unlock(&lock);
	if (!ours)
		return syscall(SYS_write, fd, buf, length);
	n = pwrite(fd, buf, length, lseek(fd, 0, SEEK_CUR));
	if (n > 0)
		lseek(fd, n, SEEK_CUR);
	return n;
}

static ssize_t write_vector(int fd, const struct iovec *iov, int count, off_t offset)
{
	static __typeof__(&pwritev) next;
	size_t total = 0;
	ssize_t n;
	int f;

	if (!next)
		next = REAL(pwritev);
	pthread_mutex_lock(&lock);
	f = fault(fd);
	if (f == 'h') {
		struct iovec part = { iov->iov_base,
				      count > 1 ? iov->iov_len : iov->iov_len / 1024 * 512 };

		n = next(fd, &part, 1, offset);
		count = 1;
	} else {
		n = f ? -1 : next(fd, iov, count, offset);
	}
	for (int k = 0; k < count && n > 0 && total < (size_t)n; k++) {
		size_t len = iov[k].iov_len;

		len = len > (size_t)n - total ? (size_t)n - total : len;
		record_write(fd, iov[k].iov_base, len, offset + (off_t)total);
		total += len;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return write_vector(fd, iov, count, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
	__attribute__((alias("pwritev")));

/* LMDB seeks, then writes. */
EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
	bool ours;
	ssize_t n;

	pthread_mutex_lock(&lock);
	ours = (recording || faulting) && file_of(fd, NULL) >= 0;
	pthread_mutex_unlock(&lock);
	if (!ours)
		return syscall(SYS_writev, fd, iov, count);
	n = write_vector(fd, iov, count, lseek(fd, 0, SEEK_CUR));
	if (n > 0)
		lseek(fd, n, SEEK_CUR);
	return n;
}

/* Into a file of the store it becomes a write, so that there is something to record. */
EXPORT ssize_t splice(int in, off64_t *in_at, int to, off64_t *to_at, size_t length, unsigned flags)
{
	static char buf[65536] __attribute__((aligned(4096)));
	static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
	bool ours;
	ssize_t n;

	pthread_mutex_lock(&lock);
	ours = (recording || faulting) && file_of(to, NULL) >= 0;
	pthread_mutex_unlock(&lock);
	if (!ours || !to_at)
		return syscall(SYS_splice, in, in_at, to, to_at, length, flags);
	pthread_mutex_lock(&own);
	n = read(in, buf, length < sizeof(buf) ? length : sizeof(buf));
	if (n > 0)
		n = pwrite(to, buf, (size_t)n, *to_at);
	if (n > 0)
		*to_at += n;
	pthread_mutex_unlock(&own);
	return n;
}

static int do_sync(int fd, long number)
{
	uint32_t begin = 0;
	int file, r, f;

	pthread_mutex_lock(&lock);
	f = fault(fd);
	file = recording ? file_of(fd, NULL) : -1;
	if (file >= 0)
		begin = emit(REC_SYNC_BEGIN, (uint32_t)file, 0, NULL, 0, 0);
	pthread_mutex_unlock(&lock);
	r = f ? -1 : (int)syscall(number, fd);
	if (file >= 0 && r == 0) {
		pthread_mutex_lock(&lock);
		emit(REC_SYNC_END, (uint32_t)file, begin, NULL, 0, 0);
		pthread_mutex_unlock(&lock);
	}
	return r;
}

EXPORT int fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

static int change_size(int fd, int mode, off_t offset, off_t length, bool truncate)
{
	uint64_t size = (uint64_t)length;
	int file, r, f;

	pthread_mutex_lock(&lock);
	f = fault(fd);
	file = recording ? file_of(fd, NULL) : -1;
	r = f	       ? -1
	    : truncate ? (int)syscall(SYS_ftruncate, fd, offset)
		       : (int)syscall(SYS_fallocate, fd, mode, offset, length);
	if (file >= 0 && r == 0) {
		if (truncate)
			emit(REC_SIZE, (uint32_t)file, (uint64_t)offset, NULL, 0,
			     REC_FLAG_TRUNCATE);
		else if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
			emit(REC_PUNCH, (uint32_t)file, (uint64_t)offset, &size, 8, 0);
		else if (mode & ~FALLOC_FL_KEEP_SIZE)
			odd("fallocate of an unknown mode of", names[file]);
		else if (!(mode & FALLOC_FL_KEEP_SIZE))
			emit(REC_SIZE, (uint32_t)file, (uint64_t)(offset + length), NULL, 0, 0);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
	return change_size(fd, mode, offset, length, false);
}

EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length)
	__attribute__((alias("fallocate")));

EXPORT int ftruncate(int fd, off_t length)
{
	return change_size(fd, 0, length, 0, true);
}

EXPORT int ftruncate64(int fd, off64_t length) __attribute__((alias("ftruncate")));

/* ---- what would need another model ------------------------------------------------------ */

static void odd_fd(const char *what, int fd)
{
	int file;

	pthread_mutex_lock(&lock);
	file = recording ? file_of(fd, NULL) : -1;
	if (file >= 0)
		odd(what, names[file]);
	pthread_mutex_unlock(&lock);
}

static void odd_path(const char *what, const char *path)
{
	const char *name;

	pthread_mutex_lock(&lock);
	if (below_root(path, &name))
		odd(what, name);
	pthread_mutex_unlock(&lock);
}

EXPORT void *mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	if (fd >= 0 && (prot & PROT_WRITE) && (flags & MAP_TYPE) != MAP_PRIVATE)
		odd_fd("a writable mapping of", fd);
	return (void *)syscall(SYS_mmap, at, length, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *at, size_t length, int prot, int flags, int fd, off64_t offset)
	__attribute__((alias("mmap")));

EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int to, off64_t *to_at, size_t length,
			       unsigned flags)
{
	odd_fd("copy_file_range to", to);
	return syscall(SYS_copy_file_range, in, in_at, to, to_at, length, flags);
}

EXPORT int rename(const char *from, const char *to)
{
	odd_path("rename to", to);
	return (int)syscall(SYS_rename, from, to);
}

EXPORT int unlink(const char *path)
{
	odd_path("unlink of", path);
	return (int)syscall(SYS_unlink, path);
}

EXPORT int close(int fd)
{
	pthread_mutex_lock(&lock);
	if (fd >= 0 && fd < MAX_FDS)
		fds[fd].state = 0;
	pthread_mutex_unlock(&lock);
	return (int)syscall(SYS_close, fd);
}

/* Asynchronous writes are not recorded: without them the engine makes others, which are. */
long syscall(long number, ...)
{
	static long (*next)(long, ...);
	va_list ap;
	long a[6];

	if (number == SYS_io_setup) {
		errno = ENOSYS;
		return -1;
	}
	va_start(ap, number);
	for (unsigned n = 0; n < 6; n++)
		a[n] = va_arg(ap, long);
	va_end(ap);
	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
