/* SPDX-License-Identifier: MIT */
/* Names and attributes of a world. */
#include <linux/fs.h>
#include <stdio.h>

#include "world.h"

int w_chmod(struct world *w, int f, mode_t mode)
{
	struct store_attr a = { .mode = mode };
	int r = store_setattr(w->s, w->files[f].ino, STORE_SET_MODE, &a, &a);

	if (r == 0)
		w->files[f].mode = a.mode;
	return w_after(w, f, r);
}

int w_link(struct world *w, int f, const char *name)
{
	struct wfile *p = &w->files[f];
	struct store_attr a;
	int r = store_link(w->s, p->ino, w->dir_ino, name, &a);

	if (r == 0) {
		store_forget(w->s, p->ino, 1);
		p->capture |= p->links == 0;
		p->links++;
		w_find_name(w, name, true)->file = f;
	}
	return w_after(w, f, r);
}

int w_rename(struct world *w, const char *from, const char *to, unsigned flags)
{
	struct wname *a = w_find_name(w, from, false), *b = w_find_name(w, to, false);
	int r = store_rename(w->s, w->dir_ino, from, w->dir_ino, to, flags), old;

	/* Between two names of one file it does nothing. */
	if (r == 0 && a != b && !(b && a->file == b->file)) {
		old = b ? b->file : -1;
		if (old >= 0)
			w->files[a->file].capture = true;
		b = b ? b : w_find_name(w, to, true);
		b->file = a->file;
		if (flags & RENAME_EXCHANGE) {
			a->file = old;
			w->files[old].capture = true;
		} else {
			a->file = -1;
			a->name[0] = '\0';
			if (old >= 0)
				w->files[old].links--;
		}
	}
	return w_after(w, -1, r);
}

int w_unlink(struct world *w, const char *name)
{
	struct wname *a = w_find_name(w, name, false);
	int r = store_unlink(w->s, w->dir_ino, name);

	if (r == 0) {
		w->files[a->file].links--;
		a->file = -1;
		a->name[0] = '\0';
	}
	return w_after(w, -1, r);
}
