/* SPDX-License-Identifier: MIT */
/*
 * live_table - a table of accounts in a live file: processes move amounts between rows and commit.
 *
 * What it shows beyond shared_counter: changes that belong together. A transfer takes from one
 * row and gives to another, on another page; the sum of all rows never changes, in no commit and
 * after no crash. Therefore a transfer and a commit exclude each other, by a lock in the file itself:
 *
 *   - A process that is killed while it holds the lock leaves it to the next one, who undoes the
 *     transfer by the note that is kept of it (a robust mutex).
 *   - A lock makes no sense in the next life of the file: it belongs to one image, whose generation is
 *     kept beside it. Who finds another generation makes the lock anew.
 *
 * Build against an installed zcfs:  cc live_table.c -o live_table $(pkg-config --cflags --libs zc) -pthread
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <zc/map.h>

static const char usage[] =
	"usage: live_table [OPTION]... FILE create|transfer|check\n"
	"A table of accounts in the live FILE, the sum of which never changes.\n"
	"\n"
	"  create    make FILE with its rows, and commit it; FILE must not exist\n"
	"  transfer  move amounts between rows, and commit; print the number of transfers in the "
	"table\n"
	"            after each commit: at least so many are safe\n"
	"  check     print the number of transfers, and whether the sum is right\n"
	"\n"
	"  --rows N     of create (default 20000)\n"
	"  --count N    transfers to make (default 10000)\n"
	"  --every N    commit after so many, and at the end (default 1000; 0: only at the end)\n"
	"  --seed N     of the random rows\n"
	"  --rollback   of transfer: at the end throw away what was done since the last commit; "
	"nobody\n"
	"               else may use the table then\n"
	"  --help       print this text\n"
	"\n"
	"exit status: 0 done, 1 an error, 3 the sum is wrong\n";

enum { BALANCE = 1000 };

struct row {
	int64_t balance;
	uint64_t changes;
	uint8_t space[48];
};

struct table {
	uint64_t magic, rows, transfers;

	/* The lock and whose it is. Not a part of the table, although committed with it. */
	uint64_t generation; /* of the image for which the lock was made; 1: being made */
	pthread_mutex_t lock;
	struct {
		uint64_t busy, from, to;
		int64_t from_balance, to_balance;
	} undo;

	struct row row[] __attribute__((aligned(4096)));
};
#define MAGIC UINT64_C(0x656c626174657669)

struct arguments {
	const char *file;
	uint64_t rows, count, every, seed;
	bool rollback;
};

static int failed(const char *file)
{
	fprintf(stderr, "live_table: %s: %s\n", file, zc_error());
	return 1;
}

static int failed_with(const char *file, const char *text)
{
	fprintf(stderr, "live_table: %s: %s\n", file, text);
	return 1;
}

/* ---- the lock --------------------------------------------------------------------------------- */

static void make_lock(struct table *t)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	memset(&t->lock, 0, sizeof(t->lock));
	pthread_mutex_init(&t->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

/* Only one of those who come first makes it; the others wait. */
static void have_lock(struct table *t, uint64_t generation)
{
	const struct timespec pause = { 0, 1000 * 1000 };
	uint64_t found = __atomic_load_n(&t->generation, __ATOMIC_ACQUIRE);

	while (found != generation) {
		if (found != 1 && __atomic_compare_exchange_n(&t->generation, &found, 1, false,
							      __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
			make_lock(t);
			__atomic_store_n(&t->generation, generation, __ATOMIC_RELEASE);
			return;
		}
		nanosleep(&pause, NULL);
		found = __atomic_load_n(&t->generation, __ATOMIC_ACQUIRE);
	}
}

static void undo(struct table *t)
{
	if (!t->undo.busy)
		return;
	t->row[t->undo.from].balance = t->undo.from_balance;
	t->row[t->undo.to].balance = t->undo.to_balance;
	__atomic_store_n(&t->undo.busy, 0, __ATOMIC_RELEASE);
}

static void take_lock(struct table *t)
{
	if (pthread_mutex_lock(&t->lock) == EOWNERDEAD) {
		undo(t);
		pthread_mutex_consistent(&t->lock);
	}
}

/* ---- the table -------------------------------------------------------------------------------- */

static void transfer(struct table *t, uint64_t from, uint64_t to, int64_t amount)
{
	t->undo.from = from;
	t->undo.to = to;
	t->undo.from_balance = t->row[from].balance;
	t->undo.to_balance = t->row[to].balance;
	/* What is undone must be there before it is, for a process may be killed between any two. */
	__atomic_store_n(&t->undo.busy, 1, __ATOMIC_SEQ_CST);
	t->row[from].balance -= amount;
	t->row[to].balance += amount;
	t->row[from].changes++;
	t->row[to].changes++;
	__atomic_store_n(&t->undo.busy, 0, __ATOMIC_SEQ_CST);
	t->transfers++;
}

static int commit(const char *file, zc_file *f, struct table *t)
{
	uint64_t transfers;
	int r;

	take_lock(t);
	transfers = t->transfers;
	r = zc_commit(f);
	pthread_mutex_unlock(&t->lock);
	if (r < 0)
		return failed(file);
	printf("%" PRIu64 "\n", transfers);
	fflush(stdout);
	return 0;
}

/* Map it, know that it is a table, and have its lock. */
static int open_table(const char *file, unsigned flags, zc_file **ret_file,
		      struct table **ret_table)
{
	struct zc_status s;
	void *map = NULL;
	struct table *t;

	if (zc_open(file, flags, ret_file) < 0 || zc_map(*ret_file, 0, &map) < 0 ||
	    zc_status(*ret_file, &s) < 0)
		return failed(file);
	t = (struct table *)map;
	if (s.size < sizeof(*t) || t->magic != MAGIC ||
	    t->rows > (s.size - sizeof(*t)) / sizeof(struct row))
		return failed_with(file, "not a table");
	if (flags & ZC_RDWR)
		have_lock(t, s.generation);
	*ret_table = t;
	return 0;
}

static int create(const struct arguments *a)
{
	uint64_t size = sizeof(struct table) + a->rows * sizeof(struct row);
	zc_file *f = NULL;
	void *map = NULL;
	struct table *t;
	int r = zc_create(a->file, ZC_RDWR | ZC_EXCL, 0644, size, &f);

	if (r == 0)
		r = zc_map(f, (size_t)size, &map);
	if (r == 0) {
		t = (struct table *)map;
		t->rows = a->rows;
		for (uint64_t i = 0; i < a->rows; i++)
			t->row[i].balance = BALANCE;
		t->magic = MAGIC;
		r = zc_commit(f);
	}
	/* A periodic commit would not ask for the lock. */
	if (r == 0 && fsetxattr(zc_fd(f), "user.zcfs.commit", "explicit", 8, 0) < 0) {
		perror("live_table: user.zcfs.commit");
		zc_close(f);
		return 1;
	}
	if (r < 0)
		failed(a->file);
	zc_close(f);
	return r < 0;
}

static int make_transfers(const struct arguments *a)
{
	unsigned short seed[3] = { (unsigned short)a->seed, (unsigned short)(a->seed >> 16), 1 };
	struct table *t = NULL;
	zc_file *f = NULL;
	int result = open_table(a->file, ZC_RDWR, &f, &t);

	for (uint64_t i = 1; i <= a->count && result == 0; i++) {
		uint64_t from = (uint64_t)nrand48(seed) % t->rows;
		uint64_t to = (uint64_t)nrand48(seed) % t->rows;

		if (from != to) {
			take_lock(t);
			transfer(t, from, to, nrand48(seed) % 100);
			pthread_mutex_unlock(&t->lock);
		}
		if (a->every && i % a->every == 0 && i < a->count)
			result = commit(a->file, f, t);
	}
	if (result == 0 && !a->rollback)
		result = commit(a->file, f, t);
	else if (result == 0 && zc_rollback(f) < 0)
		result = failed(a->file);
	zc_close(f);
	return result;
}

static int check(const struct arguments *a)
{
	struct table *t = NULL;
	zc_file *f = NULL;
	int64_t sum = 0;
	int result = open_table(a->file, ZC_RDONLY, &f, &t);

	if (result == 0) {
		for (uint64_t i = 0; i < t->rows; i++)
			sum += t->row[i].balance;
		if (sum != (int64_t)t->rows * BALANCE)
			result = 3;
		printf("%" PRIu64 " %s\n", t->transfers, result ? "the sum is wrong" : "sound");
	}
	zc_close(f);
	return result;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rows", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'c' },
		{ "every", required_argument, NULL, 'e' },
		{ "seed", required_argument, NULL, 's' },
		{ "rollback", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments a = { NULL, 20000, 10000, 1000, 1, false };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			a.rows = strtoull(optarg, NULL, 10);
		else if (option == 'c')
			a.count = strtoull(optarg, NULL, 10);
		else if (option == 'e')
			a.every = strtoull(optarg, NULL, 10);
		else if (option == 's')
			a.seed = strtoull(optarg, NULL, 10);
		else if (option == 'b')
			a.rollback = true;
		else if (option == 'h')
			return fputs(usage, stdout) < 0;
		else
			return fputs(usage, stderr), 2;
	}
	if (optind + 2 != argc || a.rows < 2 || a.rows > UINT32_MAX)
		return fputs(usage, stderr), 2;
	a.file = argv[optind];
	if (!strcmp(argv[optind + 1], "create"))
		return create(&a);
	if (!strcmp(argv[optind + 1], "transfer"))
		return make_transfers(&a);
	if (!strcmp(argv[optind + 1], "check"))
		return check(&a);
	return fputs(usage, stderr), 2;
}
