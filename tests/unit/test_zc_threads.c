/* SPDX-License-Identifier: MIT */
/* test_zc_threads.c - libzc with threads, signals and fork. */
#include <sched.h>

#include "zc_fixture.h"

/* ---- threads -------------------------------------------------------------------------------- */

static void *told(void *shared)
{
	print_error("a thread: %s\n", zc_error());
	return shared;
}

static void *one_thread(void *shared)
{
	for (int i = 0; i < 100; i++) {
		struct zc_status s;
		zc_file *own = NULL, *both[2] = { shared };
		void *map = NULL;

		if (zc_open(path, ZC_RDWR, &own) < 0 || zc_map(own, 0, &map) < 0 ||
		    zc_map(shared, 0, &map) < 0 || zc_commit(shared) < 0 ||
		    zc_status(shared, &s) < 0 || s.size != fake.size ||
		    zc_resize(shared, 8192) < 0 || zc_msync(map, page, MS_SYNC) < 0)
			return told(shared);
		both[1] = own;
		if (zc_commit_many(both, 2) < 0 || zc_rollback(shared) < 0)
			return told(shared);
		zc_close(own);
	}
	return NULL;
}

static void threads(void **state)
{
	pthread_t thread[4];
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, one_thread, f), 0);
	for (int i = 0; i < 4; i++) {
		void *failed = NULL;

		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	zc_close(f);
	assert_true(fake_wait_detached());
	assert_int_equal(fake.asked[ZC_CTL_ATTACH], 401);
	assert_int_equal(fake.asked[ZC_CTL_DETACH], 401);
}

static void *sync_map(void *map)
{
	return zc_msync(map, page, MS_SYNC) < 0 ? map : NULL;
}

static bool closed;

static void *close_file(void *f)
{
	zc_close(f);
	__atomic_store_n(&closed, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As munmap(2) and msync(2) may: the one does not pull the file from under the other. */
static void closing_while_msync(void **state)
{
	pthread_t syncing, closing;
	void *failed = NULL;
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);

	fake.hold_type = ZC_CTL_LIVE_COMMIT;
	assert_int_equal(pthread_create(&syncing, NULL, sync_map, map), 0);
	wait_asked(ZC_CTL_LIVE_COMMIT, 1);
	assert_int_equal(pthread_create(&closing, NULL, close_file, f), 0);
	usleep(100000);
	assert_false(__atomic_load_n(&closed, __ATOMIC_SEQ_CST));
	let_go();
	pthread_join(syncing, &failed);
	pthread_join(closing, NULL);
	assert_null(failed);
	assert_true(fake_wait_detached());
}

static void on_signal(int number)
{
	(void)number;
}

static bool pester;

static void *send_signals(void *thread)
{
	while (__atomic_load_n(&pester, __ATOMIC_SEQ_CST)) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		usleep(500);
	}
	return NULL;
}

static void signals(void **state)
{
	const struct sigaction action = { .sa_handler = on_signal }; /* calls are not restarted */
	pthread_t self = pthread_self(), sender;
	char *map;

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	pester = true;
	assert_int_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
	for (int i = 0; i < 100; i++) {
		zc_file *f;

		fake.no_place = i % 10 == 0;
		f = mapped(ZC_RDWR, &map);
		assert_int_equal(zc_commit(f), 0);
		assert_int_equal(zc_commit_many(&f, 1), 0);
		zc_close(f);
	}
	__atomic_store_n(&pester, false, __ATOMIC_SEQ_CST);
	pthread_join(sender, NULL);
}

/* ---- fork ----------------------------------------------------------------------------------- */

static int store(zc_file *f, char *map)
{
	(void)f;
	map[0] = 1;
	return 0;
}

static int call_all(zc_file *f, char *map)
{
	struct zc_status s;
	void *address;

	(void)map;
	if (zc_map(f, 0, &address) != -EPERM || zc_commit(f) != -EPERM ||
	    zc_commit_many(&f, 1) != -EPERM || zc_rollback(f) != -EPERM ||
	    zc_resize(f, 1) != -EPERM || zc_status(f, &s) != -EPERM || zc_fd(f) != -EPERM ||
	    !strstr(zc_error(), "fork"))
		return 1;
	/* What is mapped there now is none of its business. */
	map = mmap(map, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0);
	zc_close(f);
	map[0] = 1;
	return 0;
}

static int open_again(zc_file *f, char *map)
{
	void *mine = NULL;
	zc_file *own = NULL;

	(void)f;
	(void)map;
	if (zc_open(path, ZC_RDWR, &own) < 0 || zc_map(own, 0, &mine) < 0)
		return 1;
	((char *)mine)[20] = 'c';
	if (zc_commit(own) < 0)
		return 1;
	zc_close(own);
	return 0;
}

static void forking(void **state)
{
	char *map;
	zc_file *f = mapped(ZC_RDWR, &map);
	int status, end[2];
	pid_t pid;

	assert_int_equal(in_child(store, f, map), 128 + SIGSEGV);
	assert_int_equal(in_child(call_all, f, map), 0);
	assert_int_equal(in_child(open_again, f, map), 0);
	assert_int_equal(map[20], 'c');
	assert_int_equal(zc_commit(f), 0);
	map[0] = 2;

	/* A child that lives on does not keep its parent attached. */
	assert_int_equal(pipe(end), 0);
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		_exit(read(end[0], &(char){ 0 }, 1) != 0);
	}
	close(end[0]);
	zc_close(f);
	assert_true(fake_wait_detached());
	close(end[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void *map_file(void *f)
{
	void *map = NULL;

	return zc_map(f, 0, &map) < 0 ? f : NULL;
}

/* Another thread forks in the middle of zc_map(). */
static void forking_while_mapping(void **state)
{
	zc_file *f = opened(ZC_RDWR);
	void *failed = NULL;
	int status, end[2];
	pthread_t thread;
	pid_t pid;

	fake.hold_type = ZC_CTL_ATTACH;
	assert_int_equal(pthread_create(&thread, NULL, map_file, f), 0);
	wait_asked(ZC_CTL_ATTACH, 1);
	assert_int_equal(pipe(end), 0);
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		_exit(read(end[0], &(char){ 0 }, 1) != 0);
	}
	close(end[0]);
	let_go();
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(zc_commit(f), 0);
	zc_close(f);
	assert_true(fake_wait_detached()); /* the child has no copy of the connection */
	close(end[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int commits_nothing(zc_file *f, char *map)
{
	(void)map;
	return getpid() != 1 ? 50 : zc_commit(f) == -EPERM && zc_fd(f) == -EPERM ? 0 : 1;
}

/* Process 1 of a namespace, and so is its child. */
static int in_namespaces(zc_file *unused, char *map)
{
	zc_file *f;

	(void)unused;
	if (getpid() != 1 || unshare(CLONE_NEWPID) < 0)
		return 50;
	f = mapped(ZC_RDWR, &map);
	return in_child(commits_nothing, f, map);
}

static int new_namespace(zc_file *f, char *map)
{
	if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return 50;
	return in_child(in_namespaces, f, map);
}

static void forking_with_the_same_pid(void **state)
{
	int r = in_child(new_namespace, NULL, NULL);

	if (r == 50) {
		print_message("no namespaces of processes here: not tested\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_true(fake_wait_detached());
}

/* ---- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(threads, each),
		cmocka_unit_test_setup(closing_while_msync, each),
		cmocka_unit_test_setup(signals, each),
		cmocka_unit_test_setup(forking, each),
		cmocka_unit_test_setup(forking_while_mapping, each),
		cmocka_unit_test_setup(forking_with_the_same_pid, each),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, all, end);
}
