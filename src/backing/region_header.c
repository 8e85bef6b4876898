/* The header page before each region; see region_header.h. */
#include "backing/region_header.h"

#include <stdatomic.h>

#define IS_MMAPPED 2u

struct chunk_header {
	_Atomic uint32_t check; /* aligned to 4 bytes, so that the kernel can compare it (futex) */
	uint32_t unused[3];
	size_t previous_size, size;
};

static struct chunk_header *chunk_of(uintptr_t base)
{
	return (struct chunk_header *)(base - sizeof(struct chunk_header));
}

/* Never 0, which is the value in an untouched page. */
static uint32_t check_word(uintptr_t base, size_t length)
{
	return (uint32_t)(((base >> 12) + length) * UINT64_C(0x9E3779B97F4A7C15) >> 32) | 1;
}

static size_t chunk_size(const struct lz_region_header *header, size_t length)
{
	bool layout_differs_now = atomic_load_explicit(&header->layout_differs, memory_order_relaxed);

	return layout_differs_now ? 0 : (length + 2 * sizeof(size_t)) | IS_MMAPPED;
}

void lz_header_write(const struct lz_region_header *header, uintptr_t base, size_t length)
{
	struct chunk_header *chunk = chunk_of(base);

	chunk->previous_size = header->bytes - 2 * sizeof(size_t);
	chunk->size = chunk_size(header, length);
	atomic_store_explicit(&chunk->check, check_word(base, length), memory_order_release);
}

bool lz_header_matches(const struct lz_region_header *header, uintptr_t base, size_t length)
{
	struct chunk_header *chunk = chunk_of(base);

	/* If a seccomp filter denies the question, the record is trusted. */
	return header->os->word_equals(&chunk->check, check_word(base, length)) != 0 &&
	       (chunk->size == chunk_size(header, length) || chunk->size == 0);
}
