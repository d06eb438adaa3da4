/* SPDX-License-Identifier: MIT */
/*
 * live_lost FILE MODEL KINDS MILLISECONDS SEED - processes store to a live file in all ways that there are, and
 * commit it, until the time is over or the daemon is dead. KINDS has a digit for each: 0 stores, 1 gives
 * memory back as well, 2 is not tracked, 3 calls write(2) as well, 4 leaves and comes again, and has
 * children that do, 5 as well, and dies.
 * live_lost --check FILE MODEL - is the file what it must be after that?
 *
 * Each page has a word of each process, which only that process stores to, and only larger and larger
 * numbers. MODEL, an ordinary file that all have mapped, has for each word what was begun to be stored,
 * what was stored, and what a commit that has returned must have: a word of the file is not less than
 * this, and not more than the first. (What a process killed between two of them did is in between.)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zc/map.h>

enum { PAGE = 4096, PAGES = 2048, MOST = 8, REGION = 512 /* pages of a page table */ };

typedef _Atomic uint64_t word;

static struct model {
	word begun[PAGES][MOST], stored[PAGES][MOST], committed[PAGES][MOST];
	word commits, stores;
} * model;

static const char *path;
static unsigned me;
static unsigned short seed[3];
static zc_file *file;
static char *map;
static int fd = -1;

static long dice(long n)
{
	return nrand48(seed) % n;
}

/* The daemon is dead: the end, as it should be. */
static void ended(int r)
{
	if (r == -ESTALE || r == -EIO || r == -ENOTCONN || r == -ECONNRESET || r == -ECONNREFUSED ||
	    r == -ECONNABORTED || r == -ENOENT || r == -EPIPE || r == -ENODEV || r == -EBUSY)
		_exit(0);
	fprintf(stderr, "live_lost %u: %s: %s\n", me, strerror(-r), zc_error());
	_exit(1);
}

static void attach(void)
{
	void *p = NULL;
	int r = zc_open(path, ZC_RDWR, &file);

	if (r == 0)
		r = zc_map(file, 0, &p);
	if (r < 0)
		ended(r);
	map = p;
}

static uint64_t begin_store(unsigned page)
{
	return atomic_fetch_add(&model->begun[page][me], 1) + 1;
}

static void end_store(unsigned page, uint64_t value)
{
	atomic_store(&model->stored[page][me], value);
	atomic_fetch_add_explicit(&model->stores, 1, memory_order_relaxed);
}

static void store(unsigned page)
{
	uint64_t value = begin_store(page);

	atomic_store((word *)(map + page * PAGE) + me, value);
	end_store(page, value);
}

/* By write(2) on the mount. */
static void store_by_write(unsigned page)
{
	uint64_t value = begin_store(page);
	ssize_t n;

	if (fd < 0)
		fd = open(path, O_RDWR | O_CLOEXEC);
	n = fd < 0 ? -1 : pwrite(fd, &value, sizeof(value), page * PAGE + me * sizeof(value));
	if (n < 0 && errno == ENOSPC)
		return;
	if (n != sizeof(value))
		ended(-errno);
	end_store(page, value);
}

/* The program gives memory back that it has stored to; the whole of a page table, too. */
static void store_and_forget(void)
{
	unsigned first = (unsigned)dice(PAGES / REGION) * REGION, count = dice(2) ? REGION : 8;

	for (unsigned page = first; page < first + count; page++)
		store(page);
	madvise(map + first * PAGE, count * PAGE, dice(2) ? MADV_DONTNEED : MADV_PAGEOUT);
}

/* A child has an attachment of its own; it ends without a word. */
static void store_in_child(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		attach();
		for (int i = 0; i < 20; i++)
			store((unsigned)dice(PAGES));
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
}

static void commit(void)
{
	static uint64_t least[PAGES][MOST];
	int r;

	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < MOST; i++)
			least[page][i] = atomic_load(&model->stored[page][i]);
	if (fd >= 0 && dice(2))
		r = fdatasync(fd) < 0 ? -errno : 0;
	else
		r = zc_commit(file);
	if (r == -ENOSPC)
		return;
	if (r < 0)
		ended(r);
	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned i = 0; i < MOST; i++) {
			uint64_t old = atomic_load(&model->committed[page][i]);

			while (old < least[page][i] &&
			       !atomic_compare_exchange_weak(&model->committed[page][i], &old,
							     least[page][i]))
				;
		}
	atomic_fetch_add(&model->commits, 1);
}

static void one_step(void)
{
	store((unsigned)dice(PAGES));
	if (me == 1 && dice(50) == 0)
		store_and_forget();
	if (me == 3)
		store_by_write((unsigned)dice(PAGES));
	if (me == 4 && dice(100) == 0)
		store_in_child();
	if (me >= 4 && dice(200) == 0) {
		zc_close(file);
		attach();
	}
	if (dice(100) == 0)
		commit();
}

static _Noreturn void work(unsigned number, unsigned long random)
{
	me = number;
	seed[0] = (unsigned short)random;
	seed[1] = (unsigned short)number;
	seed[2] = (unsigned short)getpid();
	if (me == 2)
		setenv("ZC_NO_TRACKING", "1", 1);
	attach();
	for (;;)
		one_step();
}

static pid_t start(unsigned number, unsigned long random)
{
	pid_t pid = fork();

	if (pid == 0)
		work(number, random);
	return pid;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int run(const char *kinds, int64_t ms, unsigned long random)
{
	unsigned n = (unsigned)strlen(kinds);
	int64_t end = now_ms() + ms;
	static const struct timespec step = { .tv_nsec = 5000000 };
	pid_t pids[MOST];
	int status, bad = 0;

	for (unsigned i = 0; i < n; i++)
		pids[i] = start((unsigned)kinds[i] - '0', random);
	while (now_ms() < end) {
		nanosleep(&step, NULL);
		/* The last one dies all the time, and comes again. */
		if (kinds[n - 1] == '5' && now_ms() % 50 < 5) {
			kill(pids[n - 1], SIGKILL);
			waitpid(pids[n - 1], &status, 0);
			pids[n - 1] = start(5, random++);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		if (waitpid(pids[i], &status, WNOHANG) != pids[i]) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], &status, 0);
		} else if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			fprintf(stderr, "live_lost: process %u: status %d\n", i, status);
			bad = !WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS;
		}
	}
	printf("%" PRIu64 " stores, %" PRIu64 " commits\n", atomic_load(&model->stores),
	       atomic_load(&model->commits));
	return bad;
}

static int check(void)
{
	uint64_t words[PAGE / 8];
	unsigned wrong = 0;
	int in = open(path, O_RDONLY);

	for (unsigned page = 0; page < PAGES; page++) {
		if (pread(in, words, PAGE, page * PAGE) != PAGE) {
			fprintf(stderr, "live_lost: page %u cannot be read\n", page);
			return 1;
		}
		for (unsigned i = 0; i < MOST; i++) {
			uint64_t least = atomic_load(&model->committed[page][i]),
				 most = atomic_load(&model->begun[page][i]);

			if ((words[i] < least || words[i] > most) && wrong++ < 10)
				fprintf(stderr,
					"live_lost: page %u, process %u: %" PRIu64
					" is not in %" PRIu64 "..%" PRIu64 "\n",
					page, i, words[i], least, most);
			/* From here on it is this. */
			atomic_store(&model->begun[page][i], words[i]);
			atomic_store(&model->stored[page][i], words[i]);
			atomic_store(&model->committed[page][i], words[i]);
		}
	}
	return wrong > 0;
}

int main(int argc, char **argv)
{
	bool checks = argc == 4 && !strcmp(argv[1], "--check");
	int in;

	if (!checks && argc != 6) {
		fprintf(stderr, "usage: live_lost FILE MODEL KINDS MILLISECONDS SEED\n"
				"       live_lost --check FILE MODEL\n");
		return 2;
	}
	path = argv[checks ? 2 : 1];
	in = open(argv[checks ? 3 : 2], O_RDWR | O_CREAT, 0600);
	if (in < 0 || ftruncate(in, sizeof(*model)) < 0)
		return 1;
	model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED, in, 0);
	if (model == MAP_FAILED)
		return 1;
	return checks ? check() : run(argv[3], atoi(argv[4]), strtoul(argv[5], NULL, 10));
}
