/* SPDX-License-Identifier: MIT */
/*
 * err.h - an error with a text for people.
 *
 * Functions return negative errno; the few whose failure a person has to understand (opening a
 * store, mounting it) also fill a `struct zu_err`. The text is one line: lower case, the object,
 * the cause, the limit, the remedy. Since version 0.1.
 */
#ifndef ZU_ERR_H
#define ZU_ERR_H

struct zu_err {
	int code;	/* positive errno; 0: nothing was set */
	char text[512]; /* ends in "..." where it had to be cut */
};

/* Store `code` (a positive errno) and the text, replacing what was there; gives -code. `err` may
 * be NULL; arguments may point into err->text. errno is kept. */
int zu_err_set(struct zu_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put a text before the one that is stored, as in "store /x: " + text; the code stays. Gives
 * -err->code, or 0 if `err` is NULL or holds no error, which then stays so. errno is kept. */
int zu_err_prefix(struct zu_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
