/* SPDX-License-Identifier: MIT */
/*
 * checked.h - arithmetic on offsets and lengths that says when it does not fit.
 *
 * Each call gives true and stores the result, or false and leaves `ret` as it was. Since
 * version 0.1.
 */
#ifndef ZU_CHECKED_H
#define ZU_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline __attribute__((warn_unused_result)) bool zu_add_u64(uint64_t a, uint64_t b,
								  uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

static inline __attribute__((warn_unused_result)) bool zu_sub_u64(uint64_t a, uint64_t b,
								  uint64_t *ret)
{
	uint64_t difference;

	if (__builtin_sub_overflow(a, b, &difference))
		return false;
	*ret = difference;
	return true;
}

static inline __attribute__((warn_unused_result)) bool zu_mul_u64(uint64_t a, uint64_t b,
								  uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* The end of `length` bytes at `offset`, if no byte of them lies at or beyond `limit`. */
static inline __attribute__((warn_unused_result)) bool
zu_range_end(uint64_t offset, uint64_t length, uint64_t limit, uint64_t *ret_end)
{
	uint64_t end;

	if (!zu_add_u64(offset, length, &end) || end > limit)
		return false;
	*ret_end = end;
	return true;
}

/* `value` rounded up to a multiple of `unit`, a power of two. */
static inline __attribute__((warn_unused_result)) bool zu_round_up_u64(uint64_t value,
								       uint64_t unit, uint64_t *ret)
{
	uint64_t sum;

	if (!zu_add_u64(value, unit - 1, &sum))
		return false;
	*ret = sum & ~(unit - 1);
	return true;
}

#endif
