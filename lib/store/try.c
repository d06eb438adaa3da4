/* SPDX-License-Identifier: MIT */
/*
 * A look at the metadata in a child process. LMDB does not check what it reads: a damaged file can
 * make it crash or loop, and then it is the child that dies, and opening the store is refused.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_i.h"

enum { TRY_SECONDS = 60 };

static void look(struct kv_txn *txn, enum zcf_db db)
{
	struct kv_cursor *cursor;
	struct kv_val k, v;
	volatile uint8_t sink;

	if (kv_cursor_open(txn, db, &cursor) < 0)
		return;
	if (kv_first(cursor, &k, &v) == 0 && k.size && v.size)
		sink = *(const uint8_t *)k.data ^ *(const uint8_t *)v.data;
	if (kv_last(cursor, &k, &v) == 0 && k.size && v.size)
		sink = *(const uint8_t *)k.data ^ *(const uint8_t *)v.data;
	(void)sink;
	kv_cursor_close(cursor);
}

static void child(const char *dir)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM };
	uint8_t key[KEY_MAX];
	struct kv_txn *txn;
	struct kv_val v;
	struct kv *kv;

	for (size_t n = 0; n < sizeof(deadly) / sizeof(*deadly); n++)
		signal(deadly[n], SIG_DFL);
	alarm(TRY_SECONDS);
	/* LMDB says what fails in it on stderr; the parent says it better. */
	close(STDERR_FILENO);
	if (kv_open(dir, KV_READ, &kv, NULL) < 0 || kv_begin(kv, false, &txn) < 0)
		_exit(0); /* the parent will see it, too, and say why */
	for (int db = 0; db < ZCF_DB_COUNT; db++)
		look(txn, (enum zcf_db)db);
	kv_get(txn, ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &v);
	kv_get(txn, ZCF_DB_INODE, key, key_inode(key, ZCF_ROOT_INO), &v);
	_exit(0);
}

int try_metadata(const char *path, const char *dir, struct zu_err *err)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return 0; /* it was only a precaution */
	if (pid == 0)
		child(dir);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	if (!WIFSIGNALED(status))
		return 0;
	return zu_err_set(err, EBADMSG,
			  "store %s: its metadata is so damaged that reading it crashes (%s); run "
			  "zcctl check, restore it from a backup",
			  path, strsignal(WTERMSIG(status)));
}
