/* SPDX-License-Identifier: MIT */
/* cmd_create.c - zcctl create STORE */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/checked.h"
#include "zcctl.h"

struct args {
	const char *store;
	uint64_t size;
	mode_t mode;
	bool checksum;
};

/* "10G": a number and perhaps a suffix, in powers of 1024. */
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *found;
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || !value)
		return false;
	if (!*end) {
		*ret = value;
		return true;
	}
	found = strchr(suffixes, *end >= 'a' ? *end - 'a' + 'A' : *end);
	if (!found || (end[1] && strcmp(end + 1, "iB")))
		return false;
	return zu_mul_u64(value, 1024ull << (10 * (found - suffixes)), ret);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	unsigned long mode;
	char *end;

	switch (key) {
	case 's':
		if (!parse_size(arg, &a->size))
			argp_error(state,
				   "--size %s: not a size; give bytes or a number with K, M, G "
				   "or T",
				   arg);
		return 0;
	case 'm':
		mode = strtoul(arg, &end, 8);
		if (*end || !*arg || mode > 07777)
			argp_error(state, "--mode %s: not a mode in octal (0 to 7777)", arg);
		a->mode = (mode_t)mode;
		return 0;
	case 'c':
		a->checksum = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->store)
			argp_error(state, "one STORE only, not also %s", arg);
		a->store = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->store)
			argp_error(state, "the STORE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_create(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "size", 's', "SIZE", 0,
		  "Hold at most SIZE bytes of data (suffix K, M, G or T); without it, what the "
		  "host "
		  "filesystem has",
		  0 },
		{ "mode", 'm', "MODE", 0, "Permissions of the root directory, in octal (0755)", 0 },
		{ "checksum", 'c', NULL, 0,
		  "Keep a checksum of every page: reads verify it, and so does zcctl scrub; costs "
		  "the copy-free paths",
		  0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE",
		.doc = "Make the store STORE: a directory, new or empty. Its root directory "
		       "belongs "
		       "to the caller.",
	};
	struct args a = { .mode = 0755 };
	struct zu_err err = { 0 };
	struct store_create_options create;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	create = (struct store_create_options){
		.limit = a.size,
		.uid = geteuid(),
		.gid = getegid(),
		.mode = a.mode,
		.checksum = a.checksum,
	};
	if (store_create(a.store, &create, &err) < 0)
		return complain("%s", err.text);
	return EXIT_FINE;
}
