/* SPDX-License-Identifier: MIT */
/* mounts.c - see mounts.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mounts.h"
#include "util/cleanup.h"

/* The kernel writes space, tab, newline and backslash as \ooo. */
static char *unescape(const char *text)
{
	char *copy = strdup(text), *out = copy;

	for (const char *p = copy; p && *p; out++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
		    p[3] >= '0' && p[3] <= '7') {
			*out = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*out = *p++;
		}
	}
	if (out)
		*out = '\0';
	return copy;
}

static bool has_option(const char *list, const char *option)
{
	size_t length = strlen(option);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, option, length) && (p[length] == ',' || !p[length]))
			return true;
	return false;
}

void mount_clear(struct mount *m)
{
	free(m->point);
	free(m->source);
	free(m->type);
	memset(m, 0, sizeof(*m));
}

/*
 * "36 35 98:0 /root /point rw,opts optional... - type source super-opts", proc_pid_mountinfo(5).
 * Gives false for a line of another form or without memory.
 */
static bool parse_line(char *line, struct mount *m)
{
	char *field[6], *save = NULL, *dash = strstr(line, " - "), *type, *source, *super, *user;

	if (!dash)
		return false;
	*dash = '\0';
	type = strtok_r(dash + 3, " \n", &save);
	source = type ? strtok_r(NULL, " \n", &save) : NULL;
	super = source ? strtok_r(NULL, " \n", &save) : NULL;
	if (!super)
		return false;
	for (int i = 0; i < 6; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	memset(m, 0, sizeof(*m));
	m->type = strdup(type);
	m->source = unescape(source);
	m->point = unescape(field[4]);
	snprintf(m->device, sizeof(m->device), "%s", field[2]);
	m->read_only = has_option(super, "ro") || has_option(field[5], "ro");
	user = strstr(super, "user_id=");
	m->uid = user ? (uid_t)strtoul(user + strlen("user_id="), NULL, 10) : 0;
	if (m->type && m->source && m->point)
		return true;
	mount_clear(m);
	return false;
}

/* Call `fn` for each mount until it says true; it may take the mount's parts. */
static int each_mount(bool (*fn)(void *arg, struct mount *m), void *arg)
{
	zu_cleanup_file FILE *file = fopen("/proc/self/mountinfo", "re");
	zu_cleanup_free char *line = NULL;
	size_t room = 0;

	if (!file)
		return -errno;
	while (getline(&line, &room, file) > 0) {
		struct mount m;
		bool stop;

		if (!parse_line(line, &m))
			continue;
		stop = fn(arg, &m);
		mount_clear(&m);
		if (stop)
			break;
	}
	return 0;
}

struct search {
	const char *path;
	struct mount found;
};

static bool keep_if_at(void *arg, struct mount *m)
{
	struct search *s = arg;

	if (!strcmp(m->point, s->path)) {
		/* A later one lies on top. */
		mount_clear(&s->found);
		s->found = *m;
		memset(m, 0, sizeof(*m));
	}
	return false;
}

static int find_at(const char *path, struct mount *ret)
{
	struct search s = { .path = path };
	int r = each_mount(keep_if_at, &s);

	if (r < 0 || !s.found.point)
		return r;
	*ret = s.found;
	return 1;
}

/* Absolute, without "//" and "/./" and a slash at the end; ".." stays. */
static char *lexical(const char *path)
{
	zu_cleanup_free char *cwd = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	zu_cleanup_free char *copy = strdup(path);
	char *out, *save = NULL;

	if (!cwd || !copy)
		return NULL;
	out = malloc(strlen(cwd) + strlen(path) + 3);
	if (!out)
		return NULL;
	strcpy(out, strcmp(cwd, "/") ? cwd : "");
	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save))
		if (strcmp(part, ".")) {
			strcat(out, "/");
			strcat(out, part);
		}
	if (!*out)
		strcpy(out, "/");
	return out;
}

/* The path as the kernel names it, without looking at its last part. */
static char *canonical(const char *path)
{
	zu_cleanup_free char *text = lexical(path);
	zu_cleanup_free char *parent = NULL;
	char *base, *whole = NULL;

	if (!text)
		return NULL;
	base = strrchr(text, '/');
	if (!strcmp(text, "/") || !strcmp(base, "/.."))
		return realpath(text, NULL);
	*base++ = '\0';
	parent = realpath(*text ? text : "/", NULL);
	if (!parent)
		return NULL;
	if (asprintf(&whole, "%s/%s", strcmp(parent, "/") ? parent : "", base) < 0)
		return NULL;
	return whole;
}

int mount_find(const char *path, struct mount *ret)
{
	zu_cleanup_free char *text = lexical(path);
	zu_cleanup_free char *name = NULL, *real = NULL;
	int r = text ? find_at(text, ret) : -ENOMEM;

	/* First the name as it is: it then needs no look at any directory. */
	if (r != 0)
		return r;
	name = canonical(path);
	if (!name)
		return errno == ENOMEM ? -ENOMEM : 0;
	r = strcmp(name, text) ? find_at(name, ret) : 0;
	if (r != 0)
		return r;
	/* A symbolic link to a mount point. */
	real = realpath(name, NULL);
	return real && strcmp(real, name) ? find_at(real, ret) : 0;
}

struct sibling {
	const struct mount *mount;
	const char *store;
	const char *inside;
	char *point;
};

static bool is_sibling(void *arg, struct mount *m)
{
	struct sibling *s = arg;
	size_t length = strlen(m->point);

	if (strcmp(m->type, MOUNT_TYPE))
		return false;
	/* The number of a device that went is given to the next mount of anybody. A source that is no
	 * path is a name that somebody chose (-o fsname). */
	if ((s->mount && !strcmp(m->source, s->mount->source) &&
	     (m->source[0] == '/' || !strcmp(m->device, s->mount->device))) ||
	    (s->store && !strcmp(m->source, s->store)) ||
	    (s->inside && !strncmp(m->point, s->inside, length) &&
	     (s->inside[length] == '/' || !s->inside[length]))) {
		s->point = m->point;
		m->point = NULL;
	}
	return s->point != NULL;
}

char *mount_sibling(const struct mount *mount)
{
	struct sibling s = { .mount = mount };

	each_mount(is_sibling, &s);
	return s.point;
}

char *mount_of_store(const char *path)
{
	struct sibling s = { .store = path };

	each_mount(is_sibling, &s);
	return s.point;
}

char *mount_around(const char *path)
{
	zu_cleanup_free char *text = lexical(path);
	struct sibling s = { .inside = text };

	if (text)
		each_mount(is_sibling, &s);
	return s.point;
}
