/* SPDX-License-Identifier: MIT */
/* child.h - doing in a child process what may wait for a mount that hangs. */
#ifndef CHILD_H
#define CHILD_H

/* Run `fn` in a child, which prints for itself; its result is the exit code. After `seconds` the child
 * is killed and left, with a line about `what`: EXIT_CANNOT. */
int child_run(int (*fn)(void *arg), void *arg, unsigned seconds, const char *what);

/* A number of seconds from 1 to 1000000 for argp, which ends the program if it is none. */
struct argp_state;
unsigned parse_seconds(struct argp_state *state, const char *text);

#endif
