/* SPDX-License-Identifier: MIT */
/* common.c - printing for people and for programs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "util/cleanup.h"
#include "zcctl.h"

int complain(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("zcctl: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_CANNOT;
}

int finish(int code)
{
	bool failed = ferror(stdout);

	/* The reason of an earlier failure is gone: it comes again. */
	if (failed)
		putchar('\n');
	if (fflush(stdout) == 0 && !failed)
		return code;
	fprintf(stderr, "zcctl: cannot write the output: %s\n", strerror(errno));
	return EXIT_CANNOT;
}

cJSON *json_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cJSON_AddRawToObject(object, name, text);
}

/* Length of the UTF-8 sequence at `s`, 0 if it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (n == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void json_bytes(cJSON *object, const char *name, const char *text, size_t length)
{
	zu_cleanup_free char *good = malloc(length * 3 + 1);
	zu_cleanup_free char *hex = malloc(length * 2 + 1);
	char key[64];
	size_t out = 0;
	bool bad = false;

	if (!good || !hex)
		return;
	for (size_t i = 0; i < length;) {
		size_t n = utf8_length((const unsigned char *)text + i, length - i);

		memcpy(good + out, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
		out += n ? n : 3;
		i += n ? n : 1;
		bad |= !n;
	}
	good[out] = '\0';
	cJSON_AddStringToObject(object, name, good);
	if (!bad)
		return;
	for (size_t i = 0; i < length; i++)
		sprintf(hex + 2 * i, "%02x", (unsigned char)text[i]);
	snprintf(key, sizeof(key), "%s_hex", name);
	cJSON_AddStringToObject(object, key, hex);
}

void format_time(const struct timespec *time, char buf[64])
{
	struct tm tm;
	char zone[8];
	size_t n;

	if (!localtime_r(&time->tv_sec, &tm)) {
		snprintf(buf, 64, "%lld.%09ld", (long long)time->tv_sec, time->tv_nsec);
		return;
	}
	n = strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(buf + n, 64 - n, ".%09ld %s", time->tv_nsec, zone);
}

void json_time(cJSON *object, const char *name, const struct timespec *time)
{
	char text[64];

	/* Seconds with all nine digits: more than a double holds, but it is a JSON number. Before
	 * 1970 the nanoseconds count towards zero. */
	if (time->tv_sec < 0 && time->tv_nsec)
		snprintf(text, sizeof(text), "-%lld.%09ld", -(long long)(time->tv_sec + 1),
			 1000000000L - time->tv_nsec);
	else
		snprintf(text, sizeof(text), "%lld.%09ld", (long long)time->tv_sec, time->tv_nsec);
	cJSON_AddRawToObject(object, name, text);
}

void json_print(const cJSON *json)
{
	zu_cleanup_free char *text = cJSON_Print(json);

	if (text)
		puts(text);
}

const char *human(uint64_t bytes, char buf[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit < 6) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

void print_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x20 || c == 0x7f || c == '\\')
			printf("\\%03o", c);
		else
			putchar(c);
	}
}

void uuid_text(const uint8_t uuid[16], char text[37])
{
	for (int i = 0; i < 16; i++)
		text += sprintf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
				uuid[i]);
}
