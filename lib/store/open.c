/* SPDX-License-Identifier: MIT */
/* Opening a store, which takes the same time whatever its size, and closing it. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_i.h"
#include "util/cleanup.h"

static void unmake(struct store *s)
{
	if (!s)
		return;
	layer_free(s->active);
	layer_free(s->frozen);
	inode_free_all(s);
	buffer_free_all(s);
	pin_free_all(s);
	alloc_close(s);
	intent_close(s);
	kv_cursor_close(s->dent_cursor);
	kv_abort(s->rtxn);
	if (s->kv)
		kv_close(s->kv);
	pagefile_close(s);
	/* The lock goes last: whoever waits for it finds everything written. */
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->path);
	free(s);
}

static void unmake_cleanup(struct store **s)
{
	unmake(*s);
}

static struct store *make(const char *path, const struct store_options *o)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_mutexattr_t mutex;
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->dir_fd = s->lock_fd = s->page_fd = s->direct_fd = s->intent.fd = -1;
	s->options = *o;
	s->read_only = o->read_only;
	s->queue_tail = &s->queue;
	/* It is held for microseconds: to wait for it in the kernel takes longer, also for its holder,
	 * who has to wake the waiter. */
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&s->lock, &mutex);
	pthread_mutexattr_destroy(&mutex);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_cond_init(&s->finished, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INIT(&s->idle);
	s->idle_most = IDLE_MOST;
	s->path = strdup(path);
	s->active = layer_new();
	if (!s->path || !s->active) {
		unmake(s);
		return NULL;
	}
	return s;
}

static int read_super(struct store *s, const uint8_t uuid[16], struct zu_err *err)
{
	struct kv_val v;
	int r = kv_get(s->rtxn, ZCF_DB_META, KEY_SUPER, strlen(KEY_SUPER), &v);

	if (r == 0)
		r = rec_get_super(v, &s->super);
	if (r < 0)
		return zu_err_set(err, EBADMSG,
				  "store %s: its metadata is damaged (no valid super record); run "
				  "zcctl check, restore it from a backup",
				  s->path);
	if (memcmp(uuid, s->super.uuid, 16) != 0)
		return zu_err_set(err, EBADMSG,
				  "store %s: its file format and its metadata are of two different "
				  "stores; restore it from a backup",
				  s->path);
	s->next_ino = s->super.next_ino;
	s->inodes_now = s->super.inodes;
	s->checksum = s->super.ro_compat & ZCF_RO_COMPAT_CHECKSUM;
	return format_features(s->path, &s->super, s->read_only, err);
}

/* The root must be there; it stays in memory. */
static int read_root(struct store *s, struct zu_err *err)
{
	struct inode *root;
	int r = inode_get(s, ZCF_ROOT_INO, &root);

	if (r < 0 || !S_ISDIR(root->mode))
		return zu_err_set(
			err, EBADMSG,
			"store %s: its metadata is damaged (no valid root directory); run "
			"zcctl check, restore it from a backup",
			s->path);
	root->refs = 1;
	return 0;
}

static int open_metadata(struct store *s, struct zu_err *err)
{
	zu_cleanup_free char *dir = NULL;
	uint8_t uuid[16];
	int r = format_read(s->dir_fd, s->path, uuid, err);

	if (r == 0)
		r = format_lock(s->path, s->dir_fd, s->read_only, s->options.lock_seconds,
				&s->options, &s->lock_fd, err);
	if (r < 0)
		return r;
	if (asprintf(&dir, "%s/meta", s->path) < 0)
		return zu_err_set(err, ENOMEM, "store %s: out of memory", s->path);
	r = try_metadata(s->path, dir, err);
	if (r < 0)
		return r;
	r = kv_open(dir, s->read_only ? KV_READ : KV_WRITE, &s->kv, err);
	if (r < 0)
		return r;
	r = kv_begin(s->kv, false, &s->rtxn);
	if (r == 0)
		r = kv_cursor_open(s->rtxn, ZCF_DB_DIRENT, &s->dent_cursor);
	if (r < 0)
		return zu_err_set(err, -r, "store %s: cannot read its metadata: %s", s->path,
				  strerror(-r));
	r = read_super(s, uuid, err);
	return r < 0 ? r : read_root(s, err);
}

static int start(struct store *s, bool logged, struct zu_err *err)
{
	int r;

	/* What another process wrote before it was killed may not be on disk yet. */
	atomic_store(&s->page_dirty, true);
	s->intent.replayed = logged;
	meta_reserve(s);
	alloc_update_low(s);
	r = commit_start_thread(s);
	if (r < 0)
		return zu_err_set(err, -r, "store %s: cannot start a thread: %s", s->path,
				  strerror(-r));
	r = logged ? store_commit(s, NULL, 0, STORE_COMMIT_EVERYTHING) : 0;
	if (r < 0) {
		zu_err_set(err, -r, "store %s: %s", s->path, s->failure);
		commit_stop_thread(s);
	}
	return r;
}

int store_open(const char *path, const struct store_options *options, struct store **ret_store,
	       struct zu_err *err)
{
	__attribute__((cleanup(unmake_cleanup))) struct store *s = NULL;
	int r, logged = 0;

	if (sodium_init() < 0)
		return zu_err_set(err, EIO, "store %s: cannot initialise libsodium", path);
	s = make(path, options);
	if (!s)
		return zu_err_set(err, ENOMEM, "store %s: out of memory", path);
	s->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return zu_err_set(err, errno, "store %s: cannot open it: %s%s", path,
				  strerror(errno),
				  errno == ENOENT ? "; make one with zcctl create" : "");
	r = open_metadata(s, err);
	if (r == 0)
		r = pagefile_open(s, err);
	if (r == 0 && alloc_open(s) < 0)
		r = zu_err_set(err, ENOMEM, "store %s: out of memory", path);
	if (r == 0)
		r = logged = intent_replay(s, err);
	if (r >= 0 && !s->read_only)
		r = start(s, logged, err);
	if (r < 0)
		return r;
	*ret_store = TAKE_PTR(s);
	return 0;
}

int store_close(struct store *s)
{
	int r;

	if (!s)
		return 0;
	commit_stop_thread(s);
	r = s->failed ? -EIO : 0;
	unmake(s);
	return r;
}
