/* SPDX-License-Identifier: MIT */
/*
 * cmd_top.c - zcctl top MNT: what a mount does now, over and over: on a terminal by ncurses, else page
 * after page as text.
 */
#include <curses.h>
#include <term.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stats.h"
#include "util/cleanup.h"
#include "zcctl.h"

enum { INTERVAL_MOST = 3600 };

struct args {
	const char *mnt;
	double interval;
	unsigned long count; /* 0: without end */
	bool batch;
};

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

/* ---- arguments ---------------------------------------------------------------------------- */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;
	char *rest;

	switch (key) {
	case 'i':
		a->interval = strtod(arg, &rest);
		if (*rest || rest == arg || !(a->interval >= 0.1 && a->interval <= INTERVAL_MOST))
			argp_error(state, "--interval %s: not a number from 0.1 to %d", arg,
				   INTERVAL_MOST);
		return 0;
	case 'n':
		errno = 0;
		a->count = strtoul(arg, &rest, 10);
		if (*rest || *arg < '0' || *arg > '9' || errno || a->count == 0)
			argp_error(state, "--count %s: not a number from 1 on", arg);
		return 0;
	case 'b':
		a->batch = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->mnt)
			argp_error(state, "one MNT only, not also %s", arg);
		a->mnt = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->mnt)
			argp_error(state, "MNT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- pages -------------------------------------------------------------------------------- */

struct view {
	struct stats_source source;
	cJSON *before, *now;
	struct zu_err err;
	SCREEN *screen;
};

static void view_clear(struct view *v)
{
	stats_close(&v->source);
	cJSON_Delete(v->before);
	cJSON_Delete(v->now);
}

/* A control character of a mount's name would confuse the terminal. */
static void show_line(int row, char *line)
{
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	mvaddnstr(row, 0, line, COLS);
}

static void show_page(const struct view *v)
{
	zu_cleanup_free char *page = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&page, &size);
	char *line, *rest = NULL;
	int row = 0;

	if (!out)
		return;
	stats_print_rates(v->before, v->now, out);
	if (fclose(out) != 0)
		return;
	erase();
	for (rest = page; row < LINES && (line = strsep(&rest, "\n")); row++)
		show_line(row, line);
	refresh();
}

static bool look_again(struct view *v)
{
	cJSON *json = NULL;

	if (stats_ask(&v->source, &json, &v->err) < 0)
		return false;
	cJSON_Delete(v->before);
	v->before = v->now;
	v->now = json;
	return true;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- as text ------------------------------------------------------------------------------ */

/* False: stdout is closed, or it is to end. */
static bool rest_for(double seconds)
{
	double until = seconds_now() + seconds;
	struct pollfd out = { .fd = STDOUT_FILENO };

	while (!ended) {
		double left = until - seconds_now();

		if (left <= 0)
			return true;
		if (poll(&out, 1, (int)ceil(left * 1000)) > 0)
			return false; /* whoever read has gone */
	}
	return false;
}

static int run_batch(struct view *v, const struct args *a)
{
	for (unsigned long n = 0; (!a->count || n < a->count) && rest_for(a->interval); n++) {
		if (!look_again(v))
			return complain("%s", v->err.text);
		if (n)
			putchar('\n');
		stats_print_rates(v->before, v->now, stdout);
		if (fflush(stdout) != 0)
			break;
	}
	return finish(EXIT_FINE);
}

/* ---- on a terminal ------------------------------------------------------------------------ */

/* Until the next look is due; false: it is to end. */
static bool take_keys(const struct view *v, double until)
{
	while (!ended) {
		double left = until - seconds_now();
		int key;

		if (left <= 0)
			return true;
		timeout((int)ceil(left * 1000));
		key = getch();
		if (key == 'q' || key == 'Q' || key == 3)
			return false;
		if (key == KEY_RESIZE || key == 12) /* ^L */
			clear();
		if (key != ERR)
			show_page(v);
		else if (seconds_now() < until && !ended && !isatty(STDIN_FILENO))
			return false;
	}
	return false;
}

static bool begin_screen(struct view *v)
{
	int answer;

	/* Asked before: newterm() loses memory when it fails. */
	if (setupterm(NULL, STDOUT_FILENO, &answer) != OK)
		return false;
	del_curterm(cur_term);
	v->screen = newterm(NULL, stdout, stdin);
	if (!v->screen)
		return false;
	set_term(v->screen);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	return true;
}

static int run_screen(struct view *v, const struct args *a)
{
	bool good = true;

	if (!begin_screen(v))
		return complain("terminal type %s: not known; use --batch",
				getenv("TERM") ? getenv("TERM") : "(none)");
	for (unsigned long n = 1;; n++) {
		double until = seconds_now() + a->interval;

		show_page(v);
		if ((a->count && n == a->count) || !take_keys(v, until))
			break;
		good = look_again(v);
		if (!good)
			break;
	}
	endwin();
	delscreen(v->screen);
	return good ? finish(EXIT_FINE) : complain("%s", v->err.text);
}

int cmd_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "interval", 'i', "SECONDS", 0, "Look so often (2)", 0 },
		{ "count", 'n', "N", 0, "End after so many looks", 0 },
		{ "batch", 'b', NULL, 0, "Plain text, as when the output is no terminal", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "MNT",
		.doc = "Watch what the daemon of the mount MNT does: bytes by path, requests and "
		       "how long they take, commits, fallbacks, errors, all per second. It "
		       "begins with the means since the mount; q ends it.",
	};
	zu_cleanup(view_clear) struct view view = { 0 };
	struct args a = { .interval = 2 };
	struct sigaction action = { .sa_handler = end };
	int code;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	code = stats_open(a.mnt, &view.source, &view.now);
	if (code != EXIT_FINE)
		return code;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (a.batch || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return run_batch(&view, &a);
	return run_screen(&view, &a);
}
