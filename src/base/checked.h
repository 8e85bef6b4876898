/*
 * Arithmetic on sizes and addresses that says when it overflows, and rounding to powers of two.
 * Pure functions; no state, no system calls.
 */
#ifndef LZ_BASE_CHECKED_H
#define LZ_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True for 1, 2, 4, ...; false for 0. */
static inline bool lz_is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Rounds n down to a multiple of unit, a power of two. */
static inline uint64_t lz_round_down(uint64_t n, uint64_t unit)
{
	return n & ~(unit - 1);
}

/* Rounds n up to a multiple of unit, a power of two. False when the result does not fit. */
static inline bool lz_round_up(uint64_t n, uint64_t unit, uint64_t *out)
{
	uint64_t sum;

	if (__builtin_add_overflow(n, unit - 1, &sum))
		return false;
	*out = lz_round_down(sum, unit);
	return true;
}

static inline uint64_t lz_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t lz_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A time that is not 0, which stands for "never"; and no later than it is, so that its age is not below 0. */
static inline uint64_t lz_nonzero_time(uint64_t now)
{
	return now != 0 ? now : 1;
}

/* a - b, or 0 where b is the larger. */
static inline uint64_t lz_sub_clamped(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
