/* SPDX-License-Identifier: MIT */
/* cmd_umount.c - zcctl umount MNT */
#include <stdlib.h>

#include "umount.h"
#include "zcctl.h"

struct args {
	const char *mnt;
	struct umount_options umount;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	unsigned long seconds;
	char *end;

	switch (key) {
	case 't':
		seconds = strtoul(arg, &end, 10);
		if (*end || *arg < '0' || *arg > '9' || seconds > 1000000)
			argp_error(state, "--timeout %s: not a number of seconds (0 to 1000000)",
				   arg);
		a->umount.seconds = (unsigned)seconds;
		return 0;
	case 'l':
		a->umount.lazy = true;
		return 0;
	case 'f':
		a->umount.force = true;
		return 0;
	case 'q':
		a->umount.quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->mnt)
			argp_error(state, "one MNT only, not also %s", arg);
		a->mnt = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->mnt)
			argp_error(state, "the mount point MNT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_umount(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "timeout", 't', "SECONDS", 0, "Wait so long for the last commit (300)", 0 },
		{ "lazy", 'l', NULL, 0,
		  "Detach it now and do not wait; the daemon ends with its last open file", 0 },
		{ "force", 'f', NULL, 0, "Abort a daemon that hangs: what is not committed is lost",
		  0 },
		{ "quiet", 'q', NULL, 0, "Show no progress", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "MNT",
		.doc = "Unmount the zcfs at MNT and wait until its daemon has committed "
		       "everything.",
	};
	struct args a = { .umount = { .program = "zcctl", .seconds = 300 } };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return umount_and_wait(a.mnt, &a.umount);
}
