/*
 * What earlier calls found, by block and by call site; see zeroing.h.
 *
 *  - A block is known to be full if at least a third of its pages held something when it was last cleared.
 *    Scanning takes 13 to 19 ns for each present page, and scattered pages are cleared about half as fast
 *    as adjacent ones, so from there on clearing everything is faster (measured from 4 to 256 MiB, with 1% of
 *    the pages written at random between calls: equal at 30%). The block then stays full, because nothing
 *    takes pages from it but calls that make it be forgotten.
 *  - A call site (the return address, and the size of the block as a power of two) is known to be full if its
 *    last block was mostly written when the program had finished with it. Zeroing such a block without a look
 *    saves the faults that reading it before writing would cause. One block in 16 is scanned again, to notice
 *    if the site changes.
 */
#include <stdatomic.h>

#include "base/checked.h"
#include "zeroing/internal.h"

/* A site that is known to be full is scanned again after this many blocks. */
#define BLOCKS_BETWEEN_SCANS 15u

/*
 * The word `range` of a block: the number of its first page in the upper 36 bits, its length in pages in the
 * lower 28. A block to which that does not apply (1 TiB and more, or 57-bit addresses) is not learned.
 */
#define LENGTH_BITS 28u
#define PAGE_NUMBER_BITS 36u

/* The word `learned` of a block: this bit, and the key of the call site above it. */
#define BLOCK_IS_FULL UINT64_C(1)

/* The word of a site: the key, and in its lowest byte how many blocks to clear without a look. */
#define SITE_KEY(word) ((word) & ~UINT64_C(0xff))

static uint64_t mix(uint64_t key)
{
	key *= UINT64_C(0x9e3779b97f4a7c15);
	return key ^ key >> 32;
}

/* 0: the block cannot be described. */
static uint64_t pack(const struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	unsigned shift = zeroing->books->page_shift;
	uint64_t first = start >> shift, pages = ((end - 1) >> shift) + 1 - first;

	return first >> PAGE_NUMBER_BITS != 0 || pages >> LENGTH_BITS != 0 ? 0 : first << LENGTH_BITS | pages;
}

static uintptr_t range_start(const struct lz_zeroing *zeroing, uint64_t range)
{
	return (uintptr_t)(range >> LENGTH_BITS) << zeroing->books->page_shift;
}

static uintptr_t range_end(const struct lz_zeroing *zeroing, uint64_t range)
{
	uint64_t pages = range & ((UINT64_C(1) << LENGTH_BITS) - 1);

	return range_start(zeroing, range) + ((uintptr_t)pages << zeroing->books->page_shift);
}

static struct lz_zeroed_block *block_slot(struct lz_zeroing *zeroing, uint64_t range)
{
	return &zeroing->block[mix(range) % LZ_ZEROING_SLOTS];
}

static uint64_t site_key(uintptr_t start, uintptr_t end, const void *caller)
{
	return SITE_KEY(mix((uintptr_t)caller << 6 | (unsigned)__builtin_clzl(end - start)));
}

static _Atomic uint64_t *site_slot(struct lz_zeroing *zeroing, uint64_t key)
{
	return &zeroing->site[key >> 8 & (LZ_ZEROING_SLOTS - 1)];
}

enum lz_zeroing_expectation lz_zeroing_expect(
	struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, const void *caller)
{
	uint64_t range = pack(zeroing, start, end), key = site_key(start, end, caller), word;
	struct lz_zeroed_block *block = block_slot(zeroing, range);
	_Atomic uint64_t *site = site_slot(zeroing, key);

	if (range != 0 && atomic_load_explicit(&block->range, memory_order_relaxed) == range)
		return (atomic_load_explicit(&block->learned, memory_order_relaxed) & BLOCK_IS_FULL) != 0
			       ? LZ_EXPECT_FULL
			       : LZ_EXPECT_SPARSE;
	word = atomic_load_explicit(site, memory_order_relaxed);
	if (SITE_KEY(word) != key || word == key)
		return LZ_EXPECT_NOTHING;
	atomic_store_explicit(site, word - 1, memory_order_relaxed);
	return LZ_EXPECT_FULL;
}

void lz_zeroing_learn(
	struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, uint64_t written, const void *caller)
{
	uint64_t range = pack(zeroing, start, end);
	struct lz_zeroed_block *block = block_slot(zeroing, range);

	if (range == 0)
		return;
	atomic_store_explicit(&zeroing->has_blocks, true, memory_order_relaxed);
	atomic_store_explicit(&block->learned,
		site_key(start, end, caller) | (written >= (end - start) / 3 ? BLOCK_IS_FULL : 0),
		memory_order_relaxed);
	atomic_store_explicit(&block->range, range, memory_order_relaxed);
}

static void learn_from_end(struct lz_zeroing *zeroing, uint64_t range, uint64_t learned)
{
	uint64_t key = SITE_KEY(learned);
	bool full =
		lz_zeroing_sample_is_full(zeroing, range_start(zeroing, range), range_end(zeroing, range));

	atomic_store_explicit(
		site_slot(zeroing, key), key | (full ? BLOCKS_BETWEEN_SCANS : 0), memory_order_relaxed);
}

void lz_zeroing_forget(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, bool owner_done)
{
	if (!atomic_load_explicit(&zeroing->has_blocks, memory_order_relaxed) ||
		atomic_load_explicit(&zeroing->stopped, memory_order_relaxed))
		return;
	for (unsigned i = 0; i < LZ_ZEROING_SLOTS; i++) {
		struct lz_zeroed_block *block = &zeroing->block[i];
		uint64_t range = atomic_load_explicit(&block->range, memory_order_relaxed), learned;

		if (range == 0 || range_start(zeroing, range) >= end || range_end(zeroing, range) <= start)
			continue;
		learned = atomic_load_explicit(&block->learned, memory_order_relaxed);
		atomic_store_explicit(&block->range, 0, memory_order_relaxed);
		/* A block that was cleared whole would only confirm that. */
		if (owner_done && (learned & BLOCK_IS_FULL) == 0 && range_start(zeroing, range) >= start &&
			range_end(zeroing, range) <= end)
			learn_from_end(zeroing, range, learned);
	}
}
