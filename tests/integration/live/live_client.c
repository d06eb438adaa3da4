/* SPDX-License-Identifier: MIT */
/*
 * live_client - does with libzc what the lines of its standard input say, so that a test can have
 * several processes work on a file in an order of its choice.
 *
 * Files have numbers, 0 to 9. Each line is answered by one: "ok ...", or "ERRNO text of zc_error()".
 *
 *	open N FLAGS PATH	FLAGS: r or w, p (paged), a (auto)
 *	create N FLAGS SIZE PATH
 *	map N CAPACITY
 *	put N OFFSET TEXT	get N OFFSET LENGTH
 *	fill N OFFSET LENGTH BYTE	(a number)
 *	touch N STEP COUNT VALUE	stores VALUE to COUNT bytes that are STEP apart
 *	spin N OFFSET		a thread counts at OFFSET and 4096 bytes further, until the process ends
 *	commit N		many N...	msync N OFFSET LENGTH FLAGS	(MS_* as a number)
 *	rollback N		resize N SIZE	close N
 *	status N		ok SIZE CAPACITY FLAGS(as in map.h, decimal)
 *	fork			ok STATUS of a child that calls zc_commit() with file 0, then stores to it
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zc/map.h>

enum { FILES = 10, WORDS = 32 };

static struct {
	zc_file *file;
	char *map;
} open_files[FILES];

static char *word[WORDS];
static int words;

static int number_of(int i)
{
	int n = i < words ? atoi(word[i]) : -1;

	if (n < 0 || n >= FILES) {
		fprintf(stderr, "live_client: %s: word %d is no file\n", word[0], i);
		exit(2);
	}
	return n;
}

static uint64_t value(int i)
{
	return i < words ? strtoull(word[i], NULL, 0) : 0;
}

static unsigned flags_of(const char *text)
{
	return (strchr(text, 'w') ? ZC_RDWR : ZC_RDONLY) | (strchr(text, 'p') ? ZC_PAGED : 0) |
	       (strchr(text, 'a') ? ZC_AUTO : 0) | (strchr(text, 'x') ? ZC_EXCL : 0);
}

static void answer(int r)
{
	if (r < 0)
		printf("%s %s\n", strerrorname_np(-r), zc_error());
	else
		printf("ok\n");
}

static void *spin(void *at)
{
	volatile uint64_t *counter = at;

	for (;;) {
		__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(counter + 512, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void do_open(int n)
{
	void *map = NULL;
	pthread_t thread;

	if (!strcmp(word[0], "open")) {
		answer(zc_open(word[3], flags_of(word[2]), &open_files[n].file));
	} else if (!strcmp(word[0], "create")) {
		answer(zc_create(word[4], flags_of(word[2]), 0644, value(3), &open_files[n].file));
	} else if (!strcmp(word[0], "map")) {
		int r = zc_map(open_files[n].file, value(2), &map);

		open_files[n].map = map;
		answer(r);
	} else if (!strcmp(word[0], "close")) {
		zc_close(open_files[n].file);
		open_files[n].file = NULL;
		answer(0);
	} else if (!strcmp(word[0], "spin")) {
		answer(-pthread_create(&thread, NULL, spin, open_files[n].map + value(2)));
	}
}

static int do_store(char *map)
{
	if (!strcmp(word[0], "put")) {
		memcpy(map + value(2), word[3], strlen(word[3]));
	} else if (!strcmp(word[0], "fill")) {
		memset(map + value(2), (int)value(4), value(3));
	} else if (!strcmp(word[0], "touch")) {
		for (uint64_t i = 0; i < value(3); i++)
			map[i * value(2)] = (char)value(4);
	} else {
		return 0;
	}
	answer(0);
	return 1;
}

static void do_commit(int n)
{
	zc_file *many[WORDS], *f = open_files[n].file;
	struct zc_status s;
	int r;

	if (!strcmp(word[0], "commit")) {
		answer(zc_commit(f));
	} else if (!strcmp(word[0], "many")) {
		for (int i = 1; i < words; i++)
			many[i - 1] = open_files[number_of(i)].file;
		answer(zc_commit_many(many, (size_t)words - 1));
	} else if (!strcmp(word[0], "msync")) {
		r = zc_msync(open_files[n].map + value(2), value(3), (int)value(4));
		answer(r < 0 ? -errno : 0);
	} else if (!strcmp(word[0], "rollback")) {
		answer(zc_rollback(f));
	} else if (!strcmp(word[0], "resize")) {
		answer(zc_resize(f, value(2)));
	} else if (!strcmp(word[0], "status")) {
		r = zc_status(f, &s);
		if (r < 0)
			answer(r);
		else
			printf("ok %ju %ju %u\n", (uintmax_t)s.size, (uintmax_t)s.capacity,
			       s.flags);
	}
}

static void do_fork(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		signal(SIGSEGV, SIG_DFL);
		if (zc_commit(open_files[0].file) != -EPERM)
			_exit(1);
		*(volatile char *)open_files[0].map = 1;
		_exit(2);
	}
	waitpid(pid, &status, 0);
	printf("ok %d\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

int main(void)
{
	char *line = NULL, *save;
	size_t size = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Who has a paged file of a dead mount mapped ends by it: no error for a sanitizer to report. */
	signal(SIGBUS, SIG_DFL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (getline(&line, &size, stdin) > 0) {
		words = 0;
		for (char *w = strtok_r(line, " \n", &save); w && words < WORDS;
		     w = strtok_r(NULL, " \n", &save))
			word[words++] = w;
		if (words == 0)
			continue;
		if (!strcmp(word[0], "fork")) {
			do_fork();
			continue;
		}
		int n = number_of(1);

		if (!strcmp(word[0], "get"))
			printf("ok %.*s\n", (int)value(3), open_files[n].map + value(2));
		else if (strstr("open create map close spin", word[0]))
			do_open(n);
		else if (!do_store(open_files[n].map))
			do_commit(n);
	}
	for (int i = 0; i < FILES; i++)
		zc_close(open_files[i].file);
	free(line);
	return 0;
}
