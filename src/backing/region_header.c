/* The page before each region; see header.h. */
#include "backing/region_header.h"

#include <stdatomic.h>

#include "core/inside.h"

#define IS_MMAPPED 2u

struct header {
	_Atomic uint32_t check; /* the address must be a multiple of 4 for the kernel to compare it */
	uint32_t unused[3];
	size_t previous_size, size;
};

static struct header *header_of(uintptr_t base)
{
	return (struct header *)(base - sizeof(struct header));
}

size_t lz_header_bytes(const struct lz_core *core)
{
	return core->page;
}

/* Never 0, which an untouched page holds. */
static uint32_t check_of(uintptr_t base, size_t length)
{
	return (uint32_t)(((base >> 12) + length) * UINT64_C(0x9E3779B97F4A7C15) >> 32) | 1;
}

static size_t chunk_size(const struct lz_core *core, size_t length)
{
	bool unlike = atomic_load_explicit(&core->unlike_glibc, memory_order_relaxed);

	return unlike ? 0 : (length + 2 * sizeof(size_t)) | IS_MMAPPED;
}

void lz_header_write(struct lz_core *core, uintptr_t base, size_t length)
{
	struct header *header = header_of(base);

	header->previous_size = core->page - 2 * sizeof(size_t);
	header->size = chunk_size(core, length);
	atomic_store_explicit(&header->check, check_of(base, length), memory_order_release);
}

bool lz_header_matches(struct lz_core *core, uintptr_t base, size_t length)
{
	struct header *header = header_of(base);

	/* Where a filter denies the question the record has to be believed. */
	return core->os->holds(&header->check, check_of(base, length)) != 0 &&
	       (header->size == chunk_size(core, length) || header->size == 0);
}
