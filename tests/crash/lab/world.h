/* SPDX-License-Identifier: MIT */
/*
 * A world: one directory of a store, changed by one thread, and the model of it. The model knows
 * for every file its bytes now and as captured last, and tells by markers in the record:
 *
 *	B <world>\n<listing>	a commit begins; when it is done the world looks like that
 *	E <world>		it was acknowledged
 *	L <world>\n<listing>	"loose" worlds: a commit that nobody asked for would show that
 */
#ifndef LAB_WORLD_H
#define LAB_WORLD_H

#include "listing.h"

#define WORLD_FILES 24
#define WORLD_POSSIBLE 512

struct wfile {
	uint64_t ino;
	uint32_t id, version;
	unsigned links;
	mode_t mode;
	bool is_explicit, capture, used;
	uint8_t *now, *kept;
	uint64_t size, kept_size;
	struct timespec mtime, kept_mtime;
};

struct wname {
	char name[24];
	int file; /* -1: no entry */
};

struct world {
	struct store *s;
	char dir[16];
	uint64_t dir_ino;
	unsigned number;
	uint64_t span;
	bool loose, alone; /* alone: nobody else commits */
	bool may_fail;	   /* errors are part of the game */
	bool failed;	   /* a commit was not acknowledged */
	uint64_t state;	   /* of the random numbers */
	uint64_t last_commit;
	struct wfile files[WORLD_FILES];
	struct wname names[WORLD_FILES];
	char *acked, *flight;
	char *possible[WORLD_POSSIBLE]; /* loose ones: since `acked` */
	unsigned npossible;
	unsigned ops, errors;
};

uint64_t w_rnd(struct world *w, uint64_t below);
/* The directory is made if `make`; else it is there and empty. */
void w_open(struct world *w, struct store *s, unsigned number, uint64_t seed);
void w_make_directory(struct store *s, unsigned number);
void w_free(struct world *w);

/* Files are named by their place in `files`. -1 or -errno on an error that may be. */
int w_create(struct world *w, const char *name, bool is_explicit);
int w_tmpfile(struct world *w, bool is_explicit);
int w_write(struct world *w, int f, uint64_t offset, uint64_t length, bool from_pipe);
/* `n` scattered pages of the first `span` bytes, written ahead and placed in one step. */
int w_ahead(struct world *w, int f, uint64_t span, unsigned n);
int w_truncate(struct world *w, int f, uint64_t size);
int w_fallocate(struct world *w, int f, int mode, uint64_t offset, uint64_t length);
int w_copy(struct world *w, int f, uint64_t from, int g, uint64_t to, uint64_t length);
int w_utimes(struct world *w, int f, time_t seconds);
int w_rollback(struct world *w, int f);
int w_chmod(struct world *w, int f, mode_t mode);
int w_link(struct world *w, int f, const char *name);
int w_rename(struct world *w, const char *from, const char *to, unsigned flags);
int w_unlink(struct world *w, const char *name);
void w_forget(struct world *w, int f); /* of a file without a name */
int w_commit(struct world *w, const int *files, size_t n, unsigned flags);
/* Close the store, and say what that commits. */
int w_close(struct world *w);

/* For the parts of the world themselves. */
int w_after(struct world *w, int f, int r);
struct wname *w_find_name(struct world *w, const char *name, bool make);

void w_listing(struct world *w, bool now, struct listing *l);
/* What the store shows just now is what the model says. */
void w_compare(struct world *w);

#endif
