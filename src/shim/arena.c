/* The bootstrap arena; see arena.h. */
#include "shim/arena.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/checked.h"

/*
 * 4 KiB even where pages are larger: it is the mask the fast path tests. glibc's dlsym makes one or two small
 * allocations; 64 pages of .bss that nobody touches cost nothing.
 */
#define BLOCK_ALIGNMENT 4096u
#define ARENA_UNITS 64u

static _Alignas(BLOCK_ALIGNMENT) unsigned char memory[ARENA_UNITS * BLOCK_ALIGNMENT];
static _Atomic uint32_t length_of[ARENA_UNITS]; /* bytes of the block that starts in this unit */
static _Atomic size_t used;                     /* units */

void *lz_arena_allocate(size_t size, size_t alignment)
{
	size_t start, first, units;
	uint64_t rounded;

	if (!lz_is_power_of_two(alignment) || alignment > sizeof memory / 2 || size > sizeof memory ||
		!lz_round_up(size > 0 ? size : 1, BLOCK_ALIGNMENT, &rounded))
		return NULL;
	units = (size_t)rounded / BLOCK_ALIGNMENT;
	start = atomic_load(&used);
	do {
		uintptr_t at = (uintptr_t)memory + start * BLOCK_ALIGNMENT;

		first = start;
		if (alignment > BLOCK_ALIGNMENT)
			first += (lz_round_down(at + alignment - 1, alignment) - at) / BLOCK_ALIGNMENT;
		if (first > ARENA_UNITS || units > ARENA_UNITS - first)
			return NULL;
	} while (!atomic_compare_exchange_weak(&used, &start, first + units));
	atomic_store(&length_of[first], (uint32_t)rounded);
	return memory + first * BLOCK_ALIGNMENT;
}

bool lz_arena_owns(const void *p)
{
	return (uintptr_t)p - (uintptr_t)memory < sizeof memory;
}

size_t lz_arena_usable_size(const void *p)
{
	size_t offset = (uintptr_t)p - (uintptr_t)memory;

	return lz_arena_owns(p) && offset % BLOCK_ALIGNMENT == 0
		       ? atomic_load(&length_of[offset / BLOCK_ALIGNMENT])
		       : 0;
}
