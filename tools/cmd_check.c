/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c - zcctl check STORE.
 *
 * A child does the work, since LMDB may crash on damaged metadata: the parent then has one finding
 * more. The child writes lines to a pipe, the first character says what they are:
 *
 *	F text			a finding
 *	P done total what	progress
 *	E errno text		it could not be checked
 *	R numbers		the result, last
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mounts.h"
#include "util/cleanup.h"
#include "zcctl.h"

struct args {
	const char *store;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
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

/* ---- the child --------------------------------------------------------------------------- */

struct teller {
	FILE *out;
	time_t last;
	bool progress;
};

static void tell(FILE *out, char kind, const char *text)
{
	fputc(kind, out);
	for (; *text; text++)
		fputc(*text == '\n' ? ' ' : *text, out);
	fputc('\n', out);
	/* What is found is told before it crashes. */
	fflush(out);
}

static void on_finding(void *arg, const char *text)
{
	struct teller *t = arg;

	tell(t->out, 'F', text);
}

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct teller *t = arg;
	struct timespec now;
	char text[256];

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!t->progress || now.tv_sec == t->last)
		return;
	t->last = now.tv_sec;
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %s", done, total, what);
	tell(t->out, 'P', text);
}

static void __attribute__((noreturn)) child(const char *store, int fd, bool progress)
{
	struct teller t = { .out = fdopen(fd, "w"), .progress = progress };
	struct store_check_options options = { on_finding, on_progress, &t };
	struct store_check_result n = { 0 };
	struct rlimit no_core = { 0 };
	struct zu_err err = { 0 };
	char text[600];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	/* What LMDB says when an assertion fails is no use to people. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	if (!t.out)
		_exit(1);
	if (store_check(store, &options, &n, &err) < 0) {
		snprintf(text, sizeof(text), "%d %s", err.code, err.text);
		tell(t.out, 'E', text);
	} else {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
			 n.findings, n.inodes, n.directories, n.files, n.entries, n.pages_used,
			 n.pages_free, n.pages_shared, n.orphans, n.logged);
		tell(t.out, 'R', text);
	}
	_exit(0);
}

/* ---- the parent -------------------------------------------------------------------------- */

struct outcome {
	const struct args *args;
	struct store_check_result result;
	uint64_t told; /* findings */
	int error;     /* errno when it could not be checked */
	char *why;
	bool finished; /* a result came */
	bool on_line;  /* progress stands on the terminal */
	cJSON *findings;
};

static void clear_progress(struct outcome *o)
{
	if (o->on_line)
		fputs("\r\033[K", stderr);
	o->on_line = false;
}

static void finding(struct outcome *o, const char *text)
{
	clear_progress(o);
	o->told++;
	if (o->args->json)
		cJSON_AddItemToArray(o->findings, cJSON_CreateString(text));
	else
		printf("%s: %s\n", o->args->store, text);
}

static void progress(struct outcome *o, const char *text)
{
	uint64_t done, total;
	int at = 0;

	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %n", &done, &total, &at) < 2)
		return;
	clear_progress(o);
	if (total)
		fprintf(stderr, "%s: %s %" PRIu64 "%%", o->args->store, text + at,
			done >= total ? 100 : (uint64_t)((double)done * 100 / (double)total));
	else
		fprintf(stderr, "%s: %s %" PRIu64, o->args->store, text + at, done);
	o->on_line = true;
}

static void take_line(struct outcome *o, const char *line)
{
	struct store_check_result *n = &o->result;
	char *end;

	switch (*line) {
	case 'F':
		finding(o, line + 1);
		break;
	case 'P':
		progress(o, line + 1);
		break;
	case 'E':
		o->error = (int)strtol(line + 1, &end, 10);
		o->why = strdup(*end == ' ' ? end + 1 : end);
		o->finished = true;
		break;
	case 'R':
		o->finished = sscanf(line + 1,
				     "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
				     " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
				     &n->findings, &n->inodes, &n->directories, &n->files,
				     &n->entries, &n->pages_used, &n->pages_free, &n->pages_shared,
				     &n->orphans, &n->logged) == 10;
		break;
	default:
		break;
	}
}

static void read_lines(struct outcome *o, int fd)
{
	zu_cleanup_file FILE *in = fdopen(fd, "r");
	zu_cleanup_free char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!in) {
		close(fd);
		return;
	}
	while ((n = getline(&line, &room, in)) > 0) {
		line[n - 1] = '\0';
		take_line(o, line);
	}
	clear_progress(o);
}

static int run_child(struct outcome *o)
{
	int pipe_fds[2], status = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return complain("cannot make a pipe: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return complain("cannot start a process: %s", strerror(errno));
	if (pid == 0) {
		close(pipe_fds[0]);
		child(o->args->store, pipe_fds[1], isatty(STDERR_FILENO));
	}
	close(pipe_fds[1]);
	read_lines(o, pipe_fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGINT ||
				    WTERMSIG(status) == SIGTERM))
		return complain("the check was killed (signal %d); run it again", WTERMSIG(status));
	if (!o->finished)
		finding(o, "metadata so damaged that it crashes the reader");
	return EXIT_FINE;
}

static void print_json(const struct outcome *o)
{
	const struct store_check_result *n = &o->result;
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "store", o->args->store);
	cJSON_AddBoolToObject(json, "sound", !o->told);
	cJSON_AddItemReferenceToObject(json, "findings", o->findings);
	json_u64(json, "inodes", n->inodes);
	json_u64(json, "directories", n->directories);
	json_u64(json, "files", n->files);
	json_u64(json, "entries", n->entries);
	json_u64(json, "pages_used", n->pages_used);
	json_u64(json, "pages_free", n->pages_free);
	json_u64(json, "pages_shared", n->pages_shared);
	json_u64(json, "orphans", n->orphans);
	json_u64(json, "logged_commits", n->logged);
	json_print(json);
	cJSON_Delete(json);
}

static void print_text(const struct outcome *o)
{
	const struct store_check_result *n = &o->result;
	char used[32];

	/* The findings are facts, on stdout; that there are any is the reason of the failure. */
	if (o->told)
		complain("%s: damaged: %" PRIu64 " finding%s; nothing was changed", o->args->store,
			 o->told, o->told == 1 ? "" : "s");
	else
		printf("%s: sound: %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64
		       " names, %s in use, %" PRIu64 " pages shared, %" PRIu64 " orphans\n",
		       o->args->store, n->files, n->directories, n->entries,
		       human(n->pages_used * 4096, used), n->pages_shared, n->orphans);
	if (!o->told && n->logged)
		printf("%" PRIu64 " commits in its intent log, which the next mount takes over\n",
		       n->logged);
}

static int judge(struct outcome *o)
{
	/* What cannot be read because it is damaged is a finding, not a failure of the check. */
	if (o->error == EBADMSG || o->error == EIO)
		finding(o, o->why ? o->why : "damaged");
	else if (o->error)
		return complain("%s", o->why ? o->why : strerror(o->error));
	else if (o->result.findings && !o->told)
		finding(o, "damaged, but the reader could not say how");
	(o->args->json ? print_json : print_text)(o);
	return o->told ? EXIT_FINDING : EXIT_FINE;
}

int cmd_check(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "STORE",
		.doc = "Check every invariant of a store that is not mounted; changes nothing. "
		       "Exit "
		       "codes: 0 sound, 1 damaged, 2 could not check.",
	};
	zu_cleanup(mount_clear) struct mount mount = { 0 };
	struct args a = { 0 };
	struct outcome o = { .args = &a };
	int code;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (mount_find(a.store, &mount) == 1 && !strcmp(mount.type, MOUNT_TYPE))
		return complain("%s: a mount of the store %s; unmount it and check that", a.store,
				mount.source);
	o.findings = cJSON_CreateArray();
	code = run_child(&o);
	if (code == EXIT_FINE)
		code = judge(&o);
	cJSON_Delete(o.findings);
	free(o.why);
	return finish(code);
}
