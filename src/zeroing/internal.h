/* Declarations shared by the files of this folder. */
#ifndef LZ_ZEROING_INTERNAL_H
#define LZ_ZEROING_INTERNAL_H

#include <string.h>

#include "zeroing/zeroing.h"

/* Whether `length` bytes, at least 1, are 0. */
static inline bool lz_is_zero(const unsigned char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* --- verify.c --- */

/*
 * Whether all of [start, end), whole pages, is readable and writable memory whose untouched pages read as
 * zero. Asks the kernel about each mapping. False if that fails.
 */
bool lz_zeroing_untouched_reads_as_zero(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end);

/* --- sample.c --- */

/*
 * Whether all pages of a sample of [start, end), whole pages, are written: 4 pages at each place. Stops at
 * the first place where one is not.
 */
bool lz_zeroing_sample_is_full(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end);

/* --- learned.c --- */

enum lz_zeroing_expectation {
	LZ_EXPECT_NOTHING, /* nothing is known */
	LZ_EXPECT_SPARSE,  /* the block was sparse when it was last cleared */
	LZ_EXPECT_FULL     /* it is better cleared without a look */
};

/* What earlier calls say about a block that is about to be cleared. No system call. */
enum lz_zeroing_expectation lz_zeroing_expect(
	struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, const void *caller);

/* Records that `written` bytes of a block had to be cleared. */
void lz_zeroing_learn(
	struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, uint64_t written, const void *caller);

#endif
