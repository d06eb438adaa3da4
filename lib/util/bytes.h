/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - integers in buffers, at any alignment: little-endian for values on disk, big-endian
 * for keys, which must sort as bytes. Since version 0.1.
 */
#ifndef ZU_BYTES_H
#define ZU_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t zu_get_le16(const void *from)
{
	uint16_t raw;

	memcpy(&raw, from, sizeof(raw));
	return le16toh(raw);
}

static inline void zu_put_le16(void *to, uint16_t value)
{
	uint16_t raw = htole16(value);

	memcpy(to, &raw, sizeof(raw));
}

static inline uint32_t zu_get_le32(const void *from)
{
	uint32_t raw;

	memcpy(&raw, from, sizeof(raw));
	return le32toh(raw);
}

static inline void zu_put_le32(void *to, uint32_t value)
{
	uint32_t raw = htole32(value);

	memcpy(to, &raw, sizeof(raw));
}

static inline uint64_t zu_get_le64(const void *from)
{
	uint64_t raw;

	memcpy(&raw, from, sizeof(raw));
	return le64toh(raw);
}

static inline void zu_put_le64(void *to, uint64_t value)
{
	uint64_t raw = htole64(value);

	memcpy(to, &raw, sizeof(raw));
}

static inline uint16_t zu_get_be16(const void *from)
{
	uint16_t raw;

	memcpy(&raw, from, sizeof(raw));
	return be16toh(raw);
}

static inline void zu_put_be16(void *to, uint16_t value)
{
	uint16_t raw = htobe16(value);

	memcpy(to, &raw, sizeof(raw));
}

static inline uint32_t zu_get_be32(const void *from)
{
	uint32_t raw;

	memcpy(&raw, from, sizeof(raw));
	return be32toh(raw);
}

static inline void zu_put_be32(void *to, uint32_t value)
{
	uint32_t raw = htobe32(value);

	memcpy(to, &raw, sizeof(raw));
}

static inline uint64_t zu_get_be64(const void *from)
{
	uint64_t raw;

	memcpy(&raw, from, sizeof(raw));
	return be64toh(raw);
}

static inline void zu_put_be64(void *to, uint64_t value)
{
	uint64_t raw = htobe64(value);

	memcpy(to, &raw, sizeof(raw));
}

#endif
