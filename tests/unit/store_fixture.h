/* SPDX-License-Identifier: MIT */
/*
 * A fresh store in a temporary directory for a unit test; use after cmocka.h. The setup makes it,
 * the teardown removes it.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

static char fixture_dir[4096];
static char fixture_store[4200];

static inline const char *fixture_path(void)
{
	return fixture_store;
}

static inline void fixture_log(void *arg, int level, const char *text)
{
	(void)arg;
	fprintf(stderr, "log %d: %s\n", level, text);
}

static inline int fixture_make_with(const struct store_create_options *o)
{
	const char *tmp = getenv("TMPDIR");
	struct zu_err err = { 0 };

	snprintf(fixture_dir, sizeof(fixture_dir), "%s/zcfs-unit-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(fixture_dir))
		return -1;
	snprintf(fixture_store, sizeof(fixture_store), "%s/store", fixture_dir);
	if (store_create(fixture_store, o, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

static inline int fixture_make(uint64_t limit)
{
	const struct store_create_options o = { .mode = 0755, .limit = limit };

	return fixture_make_with(&o);
}

static inline int fixture_setup(void **state)
{
	(void)state;
	return fixture_make(0);
}

static inline int fixture_remove_one(const char *path, const struct stat *st, int type,
				     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int fixture_teardown(void **state)
{
	(void)state;
	return nftw(fixture_dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_finding(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", text);
}

static inline void fixture_check_sound(void)
{
	const struct store_check_options o = { .finding = fixture_finding };
	struct store_check_result result = { 0 };
	struct zu_err err = { 0 };

	if (store_check(fixture_store, &o, &result, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(result.findings, 0);
}

/*
 * What kill -9 leaves: the files as they are now. A copy of the store takes its place while the
 * old one, in this process, is closed and forgotten.
 */
static inline void fixture_crash(struct store *s)
{
	char command[4 * sizeof(fixture_store)];

	snprintf(command, sizeof(command), "rm -rf '%s.new' && cp -a --sparse=always '%s' '%s.new'",
		 fixture_store, fixture_store, fixture_store);
	assert_int_equal(system(command), 0);
	store_close(s);
	snprintf(command, sizeof(command), "rm -rf '%s' && mv '%s.new' '%s'", fixture_store,
		 fixture_store, fixture_store);
	assert_int_equal(system(command), 0);
}

#endif
