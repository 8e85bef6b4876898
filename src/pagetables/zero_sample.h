/*
 * A sample of the pages of a range that were written, to estimate how many of them hold only zeros: memory
 * that the program cleared with stores (R's matrix(0, ...), np.full, loops), which no call shows.
 *
 * Stratified: the written pages, in the order of their addresses, are cut into strides of equal length, and
 * one page of each stride is picked by a hash, so that no pattern of the program's agrees with it. When the
 * sample is full, the stride doubles and one pick of each two is dropped. So one walk suffices, although the
 * number of pages is known only at its end, and the sample holds more than half of its limit.
 *
 * Allocates nothing, takes no lock. A struct lz_zero_sample must not be shared between threads.
 */
#ifndef LZ_PAGETABLES_ZERO_SAMPLE_H
#define LZ_PAGETABLES_ZERO_SAMPLE_H

#include <stdint.h>

#include "os/os.h"

#define LZ_ZERO_SAMPLE_MAX 512u

struct lz_zero_sample {
	uint64_t start; /* of the range; pages are counted from there */
	uint64_t pages; /* pages offered so far */
	uint64_t stride;
	uint64_t seed;
	unsigned page_shift, limit, count;
	uint32_t page[LZ_ZERO_SAMPLE_MAX];
};

/*
 * `limit` is the largest number of pages to be read, from 2 to LZ_ZERO_SAMPLE_MAX; it is rounded down to an
 * even number. The seed differs between samples whose estimates are added.
 */
void lz_zero_sample_init(
	struct lz_zero_sample *sample, uint64_t start, unsigned page_shift, unsigned limit, uint64_t seed);

/* Offers the written, present pages [start, end). Called in ascending order of addresses. */
void lz_zero_sample_offer(struct lz_zero_sample *sample, uint64_t start, uint64_t end);

/*
 * Reads the sampled pages. *estimated gets the bytes of all offered pages for which the sample stands: 0 if
 * none could be read, else all. Returns the bytes of these that hold only zeros, estimated. Pages that the
 * program may not read (PROT_NONE), or unmaps meanwhile, are left out. About 1 us a page.
 */
uint64_t lz_zero_sample_estimate(
	const struct lz_zero_sample *sample, const struct lz_os *os, uint64_t *estimated);

/*
 * Whether [start, end) holds only zeros; 0, 1, or -errno if it cannot be read. The kernel reads the memory,
 * because another thread may be unmapping it. Both must be multiples of LZ_SCRATCH_BYTES.
 */
int lz_memory_is_zero(const struct lz_os *os, uint64_t start, uint64_t end);

#endif
