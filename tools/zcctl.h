/* SPDX-License-Identifier: MIT */
/* zcctl.h - what the verbs of zcctl share. */
#ifndef ZCCTL_H
#define ZCCTL_H

#include <argp.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* Exit codes of every verb. */
enum { EXIT_FINE = 0, EXIT_FINDING = 1, EXIT_CANNOT = 2 };

/* argv[0] is "zcctl VERB". */
int cmd_check(int argc, char **argv);
int cmd_commit(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_live(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_rollback(int argc, char **argv);
int cmd_scrub(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_umount(int argc, char **argv);

/* A verb that shows or sets a flag of files (cmd_policy.c). */
struct flag_verb {
	const char *what; /* the flag's name */
	const char *xattr;
	const char *words[2];
	const char *args_doc, *doc;
};
int flag_verb(int argc, char **argv, const struct flag_verb *verb);

/* ---- common.c ---------------------------------------------------------------------------- */

/* One line on stderr, "zcctl: " before it; gives EXIT_CANNOT. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Flush stdout; a full disk or a closed pipe there is a failure, too. */
int finish(int code);

/* Numbers of 64 bits, which a double could not hold. */
cJSON *json_u64(cJSON *object, const char *name, uint64_t value);
/* A text that need not be UTF-8: what is not becomes U+FFFD, and NAME_hex has the bytes. */
void json_bytes(cJSON *object, const char *name, const char *text, size_t length);
void json_time(cJSON *object, const char *name, const struct timespec *time);
void json_print(const cJSON *json);

/* "12.5 GiB" in `buf`. */
const char *human(uint64_t bytes, char buf[32]);
/* Print a name with what would confuse a terminal as \ooo. */
void print_name(const char *name, size_t length);
void format_time(const struct timespec *time, char buf[64]);
void uuid_text(const uint8_t uuid[16], char text[37]);

/* ---- a store that is not mounted (offline.c) --------------------------------------------- */

/* From here on a crash, which damaged metadata may cause in LMDB, is EXIT_CANNOT with a line that
 * says so. */
void guard_reader(void);
/* Open STORE[:PATH] read-only and find PATH in it: `ret_ino` is referenced, `ret_path` to be
 * freed. Complains and gives EXIT_CANNOT on failure. */
int offline_open(const char *arg, struct store **ret_store, char **ret_path,
		 struct store_attr *ret_attr);
cJSON *attr_json(const char *path, size_t length, const struct store_attr *attr);
const char *type_name(mode_t mode);
/* "drwxr-xr-x" */
void mode_text(mode_t mode, char text[11]);

#endif
