/* SPDX-License-Identifier: MIT */
/* options.c - the command line. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "util/cleanup.h"

/* What libfuse and the kernel take; those that end in "=" have a value. */
static const char *const passed[] = {
	"allow_other", "allow_root", "auto_unmount", "dev",	    "nodev",
	"suid",	       "nosuid",     "exec",	     "noexec",	    "atime",
	"noatime",     "diratime",   "nodiratime",   "sync",	    "async",
	"dirsync",     "context=",   "fscontext=",   "defcontext=", "rootcontext=",
};

/* Words of fstab, what is always so, and what FUSE has no use for. */
static const char *const ignored[] = {
	"defaults",
	"auto",
	"noauto",
	"user",
	"nouser",
	"users",
	"owner",
	"group",
	"nofail",
	"_netdev",
	"default_permissions",
	"nonempty",
	"relatime",
	"norelatime",
	"strictatime",
	"nostrictatime",
	"lazytime",
	"nolazytime",
	"silent",
	"loud",
	"subtype=",
	"max_read=", /* a read has at most 1 MiB */
	"comment=",
	"x-",
	"X-",
	"user=",
};

static bool in_table(const char *const *table, size_t n, const char *option)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(table[i]);
		char end = table[i][length - 1];

		if (end == '=' || end == '-' ? !strncmp(option, table[i], length)
					     : !strcmp(option, table[i]))
			return true;
	}
	return false;
}
#define IN(table, option) in_table(table, sizeof(table) / sizeof(table[0]), option)

static int set_number(const char *option, unsigned low, unsigned high, unsigned *ret,
		      struct zu_err *err)
{
	const char *text = strchr(option, '=') + 1;
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < low || value > high)
		return zu_err_set(err, EINVAL, "option %s: not a number from %u to %u", option, low,
				  high);
	*ret = (unsigned)value;
	return 0;
}

/* A number of bytes, with K, M, G or T. */
static int set_bytes(const char *option, uint64_t *ret, struct zu_err *err)
{
	static const char units[] = "KMGT";
	const char *text = strchr(option, '=') + 1, *unit;
	unsigned long long value;
	unsigned shift = 0;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (errno || end == text || *end || *text == '-' || value == 0 ||
	    value > UINT64_MAX >> shift)
		return zu_err_set(err, EINVAL,
				  "option %s: not a size like 512M (units: K, M, G, T)", option);
	*ret = (uint64_t)value << shift;
	return 0;
}

static int set_fsname(struct options *opt, const char *value, struct zu_err *err)
{
	free(opt->fsname);
	opt->fsname = strdup(value);
	return opt->fsname ? 0 : zu_err_set(err, ENOMEM, "no memory left");
}

static int pass(struct options *opt, const char *option, struct zu_err *err)
{
	if (!strcmp(option, "allow_root"))
		opt->allow_root = true;
	if (fuse_opt_add_opt_escaped(&opt->fuse, option) < 0)
		return zu_err_set(err, ENOMEM, "no memory left");
	return 0;
}

static int set_write(struct options *opt, const char *option, struct zu_err *err)
{
	static const char *const ways[] = {
		[WRITE_AUTO] = "auto", [WRITE_SPLICE] = "splice", [WRITE_COPY] = "copy"
	};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(option + 6, ways[i])) {
			opt->write = (enum write_way)i;
			return 0;
		}
	return zu_err_set(err, EINVAL, "option %s: data are written by auto, splice or copy",
			  option);
}

static int set_idle(struct options *opt, const char *option, struct zu_err *err)
{
	static const char *const ways[] = {
		[IDLE_AUTO] = "auto", [IDLE_POLL] = "poll", [IDLE_HALT] = "halt"
	};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(option + 5, ways[i])) {
			opt->idle = (enum idle_way)i;
			return 0;
		}
	return zu_err_set(err, EINVAL, "option %s: idle CPUs do auto, poll or halt", option);
}

/* Of a pipe: 2 pages to 1 GiB. */
static int set_pipe(struct options *opt, const char *option, struct zu_err *err)
{
	int r = set_bytes(option, &opt->pipe_size, err);

	if (r == 0 && (opt->pipe_size < 2 * FS_PAGE || opt->pipe_size > 1u << 30))
		return zu_err_set(err, EINVAL, "option %s: a pipe has from 8K to 1G", option);
	return r;
}

static int set_read(struct options *opt, const char *option, struct zu_err *err)
{
	static const char *const ways[] = { [READ_AUTO] = "auto",
					    [READ_SPLICE] = "splice",
					    [READ_MAP] = "map",
					    [READ_COPY] = "copy" };

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(option + 5, ways[i]) == 0) {
			opt->read = (enum read_way)i;
			return 0;
		}
	}
	return zu_err_set(err, EINVAL, "option %s: reads go by auto, splice, map or copy", option);
}

static int set_word(struct options *opt, const char *option, struct zu_err *err)
{
	if (!strcmp(option, "ro") || !strcmp(option, "rw"))
		opt->read_only = option[1] == 'o';
	else if (!strcmp(option, "cache=writeback") || !strcmp(option, "cache=none"))
		opt->direct = option[6] == 'n', opt->writeback = !opt->direct;
	else if (!strcmp(option, "passthrough") || !strcmp(option, "passthrough=marked"))
		opt->passthrough = PASSTHROUGH_MARKED;
	else if (!strcmp(option, "passthrough=all"))
		opt->passthrough = PASSTHROUGH_ALL;
	else if (!strncmp(option, "passthrough=", 12))
		return zu_err_set(err, EINVAL, "option %s: passthrough is for marked files, or all",
				  option);
	else if (!strncmp(option, "write=", 6))
		return set_write(opt, option, err);
	else if (!strcmp(option, "direct_io=on") || !strcmp(option, "direct_io=off"))
		opt->no_direct_io = option[11] == 'f';
	else if (!strncmp(option, "cache=", 6))
		return zu_err_set(err, EINVAL, "option %s: the cache is writeback or none", option);
	else if (!strcmp(option, "policy=auto") || !strcmp(option, "policy=explicit"))
		opt->explicit_policy = option[7] == 'e';
	else if (!strcmp(option, "follow=on") || !strcmp(option, "follow=off"))
		opt->follow = option[8] == 'n';
	else if (!strncmp(option, "follow=", 7))
		return zu_err_set(err, EINVAL, "option %s: follow is on or off", option);
	else if (!strncmp(option, "idle=", 5))
		return set_idle(opt, option, err);
	else if (!strncmp(option, "policy=", 7))
		return zu_err_set(err, EINVAL, "option %s: the policy is auto or explicit", option);
	else if (!strncmp(option, "read=", 5))
		return set_read(opt, option, err);
	else if (!strcmp(option, "read_ahead=keep"))
		opt->read_ahead = READ_AHEAD_KEEP;
	else if (!strcmp(option, "map=off"))
		opt->no_map = true;
	else if (!strcmp(option, "splice=off"))
		opt->no_splice = true;
	else if (IN(passed, option))
		return pass(opt, option, err);
	else if (!IN(ignored, option))
		return zu_err_set(err, EINVAL, "option %s is not known; zcfs --help lists them",
				  option);
	return 0;
}

static int set(struct options *opt, const char *option, struct zu_err *err)
{
	int r;

	if (!strncmp(option, "commit=", 7))
		return set_number(option, 0, 86400, &opt->commit_seconds, err);
	if (!strncmp(option, "log=", 4))
		return set_number(option, 0, 1024, &opt->log_mib, err);
	if (!strncmp(option, "lock_wait=", 10))
		return set_number(option, 0, 86400, &opt->lock_seconds, err);
	if (!strncmp(option, "fsname=", 7))
		return set_fsname(opt, option + 7, err);
	if (!strncmp(option, "read_ahead=", 11) && option[11] != 'k')
		return set_number(option, 4, 1 << 20, &opt->read_ahead, err);
	if (!strncmp(option, "live_limit=", 11))
		return set_bytes(option, &opt->live_limit, err);
	if (!strncmp(option, "pipe_size=", 10))
		return set_pipe(opt, option, err);
	if (strncmp(option, "workers=", 8))
		return set_word(opt, option, err);
	r = set_number(option, 1, FS_MAX_WORKERS, &opt->workers, err);
	/* One alone could not take the pages that its own answer makes the kernel write back. */
	if (r == 0 && opt->workers < 2)
		opt->workers = 2;
	return r;
}

int options_add(struct options *opt, const char *list, struct zu_err *err)
{
	zu_cleanup_free char *copy = strdup(list);
	char *from = copy, *to = copy, *start = copy;
	int r = copy ? 0 : zu_err_set(err, ENOMEM, "no memory left");

	/* A comma in a value is written "\,", a backslash "\\". */
	for (; r == 0 && from; from++) {
		bool end = *from == ',' || !*from;
		bool last = !*from;

		if (*from == '\\' && from[1])
			from++;
		if (!end) {
			*to++ = *from;
			continue;
		}
		*to++ = '\0';
		if (*start)
			r = set(opt, start, err);
		start = to;
		if (last)
			break;
	}
	return r;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *opt = state->input;
	struct zu_err err = { 0 };

	switch (key) {
	case 'o':
		if (options_add(opt, arg, &err) < 0)
			argp_failure(state, 2, 0, "%s", err.text);
		return 0;
	case 'd':
		opt->debug = true;
		opt->foreground = true;
		return 0;
	case 'f':
		opt->foreground = true;
		return 0;
	case ARGP_KEY_ARG:
		if (opt->mnt)
			argp_error(state, "one STORE and one MNT only, not also %s", arg);
		*(opt->store ? &opt->mnt : &opt->store) = strdup(arg);
		return 0;
	case ARGP_KEY_END:
		if (!opt->mnt)
			argp_error(state, "STORE and MNT are needed");
		if (opt->passthrough && opt->writeback)
			argp_error(state, "cache=writeback and passthrough exclude each other");
		opt->writeback = !opt->direct && !opt->passthrough;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char doc[] =
	"Mount the store STORE on the directory MNT, and serve it in the background. Returns when "
	"the mount is ready to use.\v"
	"Options for -o, separated by commas:\n\n"
	"  ro                       change nothing\n"
	"  commit=SECONDS           commit so often (default 5, 0: when asked)\n"
	"  log=MIB                  size of the intent log of a store without one (default 16, 0:\n"
	"                           none; small commits are slower then)\n"
	"  cache=writeback|none     use the kernel's cache (default), or not\n"
	"  passthrough[=all]        root only: files marked live, or all, are memory\n"
	"                           that programs read, write and map without the\n"
	"                           daemon. WARNING: msync(2) of a mapping of such a\n"
	"                           file returns success and makes nothing durable;\n"
	"                           fsync(2) does\n"
	"  policy=auto|explicit     new files are committed by every commit\n"
	"                           (default), or only when asked for\n"
	"  live_limit=SIZE          memory for live files: the sum of what their\n"
	"                           images may grow to (default: a quarter of all)\n"
	"  read=auto|splice|map|copy\n"
	"                           how bytes go to the kernel (default auto)\n"
	"  read_ahead=KIB|keep      what the kernel reads ahead (default 2048, if\n"
	"                           root; keep: what FUSE mounts have, 128)\n"
	"  workers=N                threads that serve (default 4, at least 2)\n"
	"  write=auto|splice|copy   large writes go from the kernel's cache to the disk\n"
	"                           by splice(2) while many come (default), always, or\n"
	"                           never\n"
	"  follow=on|off            let them run on the CPU of a client that sends small\n"
	"                           requests one after another (default: on)\n"
	"  idle=auto|poll|halt      root only: idle CPUs poll while requests come in close\n"
	"                           to each other (default: auto, where halting is slow)\n"
	"  lock_wait=SECONDS        wait for a store in use (default 30)\n"
	"  allow_other, allow_root  let other users, or root, in as well\n"
	"  fsname=NAME              source in the table of mounts (default: STORE)\n"
	"  nosuid, nodev, noexec, noatime, sync, dirsync, max_read=N, ...\n"
	"                           as for every mount\n\n"
	"The mount is ended by zcctl umount MNT, umount(8), fusermount3 -u, or SIGTERM; everything "
	"is committed then.";

static void print_version(FILE *stream, struct argp_state *state)
{
	fprintf(stream, "zcfs %s\n", ZC_VERSION);
}

void options_parse(struct options *opt, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ NULL, 'o', "OPTION,...", 0, "Mount options, see below", 0 },
		{ NULL, 'f', NULL, 0, "Stay in the foreground", 0 },
		{ NULL, 'd', NULL, 0, "Foreground, with a trace of every request", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE MNT",
		.doc = doc,
	};

	*opt = (struct options){
		.commit_seconds = 5,
		.log_mib = 16,
		.lock_seconds = 30,
		.workers = 4,
		.follow = true,
	};
	argp_program_version_hook = print_version;
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, opt);
}

void options_clear(struct options *opt)
{
	free(opt->store);
	free(opt->mnt);
	free(opt->fuse);
	free(opt->fsname);
	*opt = (struct options){ 0 };
}
