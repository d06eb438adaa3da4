/* SPDX-License-Identifier: MIT */
/*
 * ctl_serve.c - a control server without a daemon around it:
 *
 *	ctl_serve STORE [info-size]
 *
 * prints its address, then serves until its standard input ends. INFO has a member "facts" of
 * info-size bytes (10). Exit status 1 with the error's text if it cannot start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl_server.h"

static int info(void *arg, cJSON *into)
{
	cJSON_AddStringToObject(into, "facts", arg);
	return 0;
}

int main(int argc, char **argv)
{
	static const uint8_t uuid[16] = { 0xc7, 0x1, 0x5e, 0x47, [15] = 0x42 };
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;
	char *facts = malloc(size + 1), byte;
	struct ctl_hooks hooks = { .arg = facts, .info = info };
	struct ctl_server *server;
	struct zu_err err = { 0 };

	if (argc < 2 || !facts)
		return 2;
	memset(facts, 'x', size);
	facts[size] = '\0';
	if (ctl_server_start(argv[1], uuid, &hooks, &server, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		free(facts);
		return 1;
	}
	puts(ctl_server_address(server));
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	ctl_server_stop(server);
	free(facts);
	return 0;
}
