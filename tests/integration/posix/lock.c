/* SPDX-License-Identifier: MIT */
/* lock.c - flock() and the two kinds of fcntl() locks, between processes and descriptors. */
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "posix.h"

static int open_file(void)
{
	return (int)OK(open("f", O_RDWR | O_CREAT, 0644));
}

static int lock_range(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock l = {
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	return fcntl(fd, cmd, &l);
}

static struct flock asked(int fd, int type, off_t start, off_t len)
{
	struct flock l = {
		.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	OK(fcntl(fd, F_GETLK, &l));
	return l;
}

/* The block in another process, which inherits nothing that matters: it opens the file itself. */
static bool child_begin(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)OK(fork());
	if (!pid)
		return true;
	OK(waitpid(pid, &status, 0));
	TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	return false;
}

#define IN_CHILD for (bool in_ = child_begin(); in_; in_ = user_end())

static void flock_exclusive(void)
{
	int fd = open_file();

	OK(flock(fd, LOCK_EX));
	IN_CHILD
	{
		int own = open_file();

		FAILS(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		FAILS(flock(own, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	}
	OK(flock(fd, LOCK_UN));
	IN_CHILD
	{
		OK(flock(open_file(), LOCK_EX | LOCK_NB));
	}
	OK(flock(fd, LOCK_EX | LOCK_NB)); /* the child's ended with it */
	FAILS(flock(fd, 77), EINVAL);
	FAILS(flock(99, LOCK_SH), EBADF);
}

static void flock_shared(void)
{
	int fd = open_file();

	OK(flock(fd, LOCK_SH));
	IN_CHILD
	{
		int own = open_file();

		OK(flock(own, LOCK_SH | LOCK_NB));
		FAILS(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	}
	OK(flock(fd, LOCK_EX | LOCK_NB)); /* converted */
	IN_CHILD
	{
		FAILS(flock(open_file(), LOCK_SH | LOCK_NB), EWOULDBLOCK);
	}
}

/* The lock belongs to the open file description. */
static void flock_descriptions(void)
{
	int one = open_file(), same = (int)OK(dup(one)), two = open_file();

	OK(flock(one, LOCK_EX));
	OK(flock(same, LOCK_EX | LOCK_NB));
	FAILS(flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(close(one));
	FAILS(flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(close(same));
	OK(flock(two, LOCK_EX | LOCK_NB));
}

/* A child that waits until `what` gives it the lock; a byte through the pipe when it has it. */
static pid_t waiter(int what(int fd), int ends[2])
{
	pid_t pid;

	OK(pipe(ends));
	pid = (pid_t)OK(fork());
	if (pid)
		return pid;
	EQUAL(write(ends[1], "w", 1), 1);
	OK(what(open_file()));
	EQUAL(write(ends[1], "h", 1), 1);
	_exit(0);
}

static void expect_wait(pid_t pid, int ends[2], int release(int fd), int fd)
{
	char got[2];
	int status;

	EQUAL(read(ends[0], got, 1), 1);
	usleep(200000);
	OK(fcntl(ends[0], F_SETFL, O_NONBLOCK));
	FAILS(read(ends[0], got, 1), EAGAIN); /* still waiting */
	OK(fcntl(ends[0], F_SETFL, 0));
	OK(release(fd));
	EQUAL(read(ends[0], got, 1), 1);
	EQUAL(got[0], 'h');
	OK(waitpid(pid, &status, 0));
	EQUAL(status, 0);
}

static int do_flock(int fd)
{
	return flock(fd, LOCK_EX);
}

static int do_unflock(int fd)
{
	return flock(fd, LOCK_UN);
}

static int do_setlkw(int fd)
{
	return lock_range(fd, F_SETLKW, F_WRLCK, 0, 0);
}

static int do_unlock(int fd)
{
	return lock_range(fd, F_SETLK, F_UNLCK, 0, 0);
}

static void flock_waits(void)
{
	int fd = open_file(), ends[2];

	OK(flock(fd, LOCK_EX));
	expect_wait(waiter(do_flock, ends), ends, do_unflock, fd);
}

static void posix_waits(void)
{
	int fd = open_file(), ends[2];

	OK(lock_range(fd, F_SETLK, F_WRLCK, 0, 0));
	expect_wait(waiter(do_setlkw, ends), ends, do_unlock, fd);
}

static void posix_ranges(void)
{
	int fd = open_file();
	pid_t me = getpid();

	OK(lock_range(fd, F_SETLK, F_WRLCK, 100, 50));
	IN_CHILD
	{
		int own = open_file();
		struct flock l;

		OK(lock_range(own, F_SETLK, F_WRLCK, 0, 100));
		OK(lock_range(own, F_SETLK, F_WRLCK, 150, 10));
		FAILS(lock_range(own, F_SETLK, F_WRLCK, 149, 1), EAGAIN);
		FAILS(lock_range(own, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
		l = asked(own, F_RDLCK, 120, 1);
		EQUAL(l.l_type, F_WRLCK);
		EQUAL(l.l_pid, me);
		EQUAL(l.l_start, 100);
		EQUAL(l.l_len, 50);
		EQUAL(asked(own, F_WRLCK, 0, 100).l_type, F_UNLCK);
	}
}

/* Unlocking the middle leaves two locks. */
static void posix_split(void)
{
	int fd = open_file();

	OK(lock_range(fd, F_SETLK, F_WRLCK, 0, 300));
	OK(lock_range(fd, F_SETLK, F_UNLCK, 100, 100));
	OK(lock_range(fd, F_SETLK, F_RDLCK, 200, 50));
	IN_CHILD
	{
		int own = open_file();

		OK(lock_range(own, F_SETLK, F_WRLCK, 100, 100));
		FAILS(lock_range(own, F_SETLK, F_WRLCK, 99, 1), EAGAIN);
		FAILS(lock_range(own, F_SETLK, F_WRLCK, 200, 1), EAGAIN);
		OK(lock_range(own, F_SETLK, F_RDLCK, 200, 50));
		FAILS(lock_range(own, F_SETLK, F_RDLCK, 250, 1), EAGAIN);
	}
}

static void posix_belongs_to_process(void)
{
	int one = open_file(), two = open_file();

	OK(lock_range(one, F_SETLK, F_WRLCK, 0, 0));
	OK(lock_range(two, F_SETLK, F_WRLCK, 0, 0)); /* its own: no conflict */
	IN_CHILD
	{ /* not inherited, not even through the same descriptor */
		FAILS(lock_range(one, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
	}
	OK(close(two)); /* any close of the file ends them all */
	IN_CHILD
	{
		OK(lock_range(open_file(), F_SETLK, F_WRLCK, 0, 0));
	}
}

static void posix_errors(void)
{
	int fd = open_file(), ro = (int)OK(open("f", O_RDONLY)), wo = (int)OK(open("f", O_WRONLY));

	FAILS(lock_range(ro, F_SETLK, F_WRLCK, 0, 1), EBADF);
	FAILS(lock_range(wo, F_SETLK, F_RDLCK, 0, 1), EBADF);
	FAILS(lock_range(fd, F_SETLK, 77, 0, 1), EINVAL);
	FAILS(lock_range(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	FAILS(lock_range(99, F_SETLK, F_WRLCK, 0, 1), EBADF);
	OK(lock_range(ro, F_SETLK, F_RDLCK, 0, 1));
	OK(lock_range(fd, F_SETLK, F_WRLCK, LONG_MAX - 1, 0)); /* far beyond the end */
	OK(lock_range(fd, F_SETLK, F_WRLCK, 10, -5));	       /* backwards: 5 to 9 */
	IN_CHILD
	{
		int own = open_file();

		FAILS(lock_range(own, F_SETLK, F_WRLCK, 5, 1), EAGAIN);
		OK(lock_range(own, F_SETLK, F_WRLCK, 10, 1));
	}
}

/* Whoever comes second is told; on a busy machine that may be the child. */
static void posix_deadlock(void)
{
	enum { TOLD = 3 };
	int fd = open_file(), ends[2], status, r;
	char got;
	pid_t pid;

	OK(pipe(ends));
	OK(lock_range(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = (pid_t)OK(fork());
	if (!pid) {
		OK(lock_range(fd, F_SETLK, F_WRLCK, 1, 1));
		EQUAL(write(ends[1], "x", 1), 1);
		r = lock_range(fd, F_SETLKW, F_WRLCK, 0, 1);
		_exit(r == 0 ? 0 : errno == EDEADLK ? TOLD : 1);
	}
	EQUAL(read(ends[0], &got, 1), 1);
	usleep(100000);
	r = lock_range(fd, F_SETLKW, F_WRLCK, 1, 1);
	if (r < 0)
		EQUAL(errno, EDEADLK);
	OK(lock_range(fd, F_SETLK, F_UNLCK, 0, 1));
	OK(waitpid(pid, &status, 0));
	TRUE(WIFEXITED(status));
	EQUAL(WEXITSTATUS(status), r < 0 ? 0 : TOLD);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void waiting_is_interrupted(void)
{
	struct sigaction act = { .sa_handler = on_signal }; /* no SA_RESTART */
	struct itimerval every = { { 0, 200000 }, { 0, 200000 } };
	int fd = open_file();

	OK(lock_range(fd, F_SETLK, F_WRLCK, 0, 1));
	OK(flock(fd, LOCK_EX));
	IN_CHILD
	{
		int own = open_file();

		OK(sigaction(SIGALRM, &act, NULL));
		OK(setitimer(ITIMER_REAL, &every, NULL));
		FAILS(lock_range(own, F_SETLKW, F_WRLCK, 0, 1), EINTR);
		FAILS(flock(own, LOCK_EX), EINTR);
	}
}

static void ofd_descriptions(void)
{
	int one = open_file(), same = (int)OK(dup(one)), two = open_file();

	OK(lock_range(one, F_OFD_SETLK, F_WRLCK, 0, 10));
	OK(lock_range(same, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(lock_range(two, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	OK(lock_range(two, F_OFD_SETLK, F_WRLCK, 10, 1));
	IN_CHILD
	{ /* inherited */
		OK(lock_range(one, F_OFD_SETLK, F_WRLCK, 0, 10));
		FAILS(lock_range(open_file(), F_OFD_SETLK, F_RDLCK, 0, 10), EAGAIN);
	}
	OK(close(one));
	FAILS(lock_range(two, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	OK(close(same));
	OK(lock_range(two, F_OFD_SETLK, F_WRLCK, 5, 1));
}

/* Both kinds of fcntl() locks exclude each other; flock() is another thing. */
static void kinds_together(void)
{
	int one = open_file(), two = open_file();

	OK(lock_range(one, F_SETLK, F_WRLCK, 0, 10));
	FAILS(lock_range(two, F_OFD_SETLK, F_WRLCK, 0, 10), EAGAIN);
	EQUAL(flock(two, LOCK_EX | LOCK_NB), 0);
	IN_CHILD
	{
		FAILS(lock_range(open_file(), F_OFD_SETLK, F_RDLCK, 9, 1), EAGAIN);
	}
	OK(lock_range(one, F_SETLK, F_UNLCK, 0, 10));
	OK(lock_range(two, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(lock_range(one, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
	EQUAL(asked(one, F_WRLCK, 0, 10).l_pid, -1);
}

static void unlinked_and_renamed(void)
{
	int fd = open_file(), new;

	OK(flock(fd, LOCK_EX));
	OK(lock_range(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(rename("f", "g"));
	IN_CHILD
	{
		int own = (int)OK(open("g", O_RDWR));

		FAILS(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		FAILS(lock_range(own, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
	}
	OK(unlink("g"));
	new = open_file(); /* another file: no lock on it */
	OK(flock(new, LOCK_EX | LOCK_NB));
	OK(lock_range(fd, F_SETLK, F_UNLCK, 0, 0));
}

const struct test_case lock_cases[] = {
	{ "flock_exclusive", flock_exclusive, false },
	{ "flock_shared", flock_shared, false },
	{ "flock_descriptions", flock_descriptions, false },
	{ "flock_waits", flock_waits, false },
	{ "posix_waits", posix_waits, false },
	{ "posix_ranges", posix_ranges, false },
	{ "posix_split", posix_split, false },
	{ "posix_belongs_to_process", posix_belongs_to_process, false },
	{ "posix_errors", posix_errors, false },
	{ "posix_deadlock", posix_deadlock, false },
	{ "waiting_is_interrupted", waiting_is_interrupted, false },
	{ "ofd_descriptions", ofd_descriptions, false },
	{ "kinds_together", kinds_together, false },
	{ "unlinked_and_renamed", unlinked_and_renamed, false },
	{ 0 },
};
