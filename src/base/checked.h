/*
 * Arithmetic on sizes and addresses that reports overflow, and rounding to powers of two.
 *
 * Pure functions: no state, no system calls. Thread-safe and async-signal-safe.
 */
#ifndef LZ_BASE_CHECKED_H
#define LZ_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether n is a power of two. False for 0. */
static inline bool lz_is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Rounds n down to a multiple of unit. unit must be a power of two. */
static inline uint64_t lz_round_down(uint64_t n, uint64_t unit)
{
	return n & ~(unit - 1);
}

/*
 * Rounds n up to a multiple of unit, which must be a power of two. Returns false if the result exceeds 64
 * bits.
 */
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

/*
 * Returns now, or 1 if now is 0. For time stamps in which 0 means "never". Ages are unsigned differences, so
 * a time stamp must not lie after the present: do not set its lowest bit instead.
 */
static inline uint64_t lz_nonzero_time(uint64_t now)
{
	return now != 0 ? now : 1;
}

/* Returns a - b, or 0 if b is larger than a. */
static inline uint64_t lz_sub_clamped(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
