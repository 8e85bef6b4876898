/* Samples written pages; see zero_sample.h. */
#include "pagetables/zero_sample.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "os/scratch.h"

static uint64_t hash(uint64_t value)
{
	value *= UINT64_C(0x9E3779B97F4A7C15);
	value ^= value >> 32;
	value *= UINT64_C(0x9E3779B97F4A7C15);
	return value >> 32;
}

void lz_zero_sample_init(
	struct lz_zero_sample *sample, uint64_t start, unsigned page_shift, unsigned limit, uint64_t seed)
{
	sample->start = start;
	sample->pages = 0;
	sample->stride = 1;
	sample->page_shift = page_shift;
	sample->limit = (unsigned)lz_min_u64(limit, LZ_ZERO_SAMPLE_MAX) & ~1u;
	sample->count = 0;
	sample->seed = hash(seed) << 32;
}

static void double_stride(struct lz_zero_sample *sample)
{
	for (unsigned i = 0; i < sample->count / 2; i++)
		sample->page[i] = sample->page[2 * i + (hash(sample->seed ^ (sample->stride + i)) & 1)];
	sample->count /= 2;
	sample->stride *= 2;
}

void lz_zero_sample_offer(struct lz_zero_sample *sample, uint64_t start, uint64_t end)
{
	uint64_t first = (start - sample->start) >> sample->page_shift;
	uint64_t done = sample->pages, next = done + ((end - start) >> sample->page_shift);

	/* Pick number `count` is the page of its stride that the hash names. */
	for (;;) {
		uint64_t pick = sample->count * sample->stride +
				hash(sample->seed ^ (sample->stride + sample->count)) % sample->stride;

		/* After doubling, the pick may be among the pages that were offered before. */
		if (pick < done)
			pick = done;
		if (pick >= next)
			break;
		if (sample->count == sample->limit) {
			double_stride(sample);
			continue;
		}
		sample->page[sample->count++] = (uint32_t)(first + (pick - done));
	}
	sample->pages = next;
}

int lz_memory_is_zero(const struct lz_os *os, uint64_t start, uint64_t end)
{
	const size_t most = LZ_SCRATCH_BYTES;
	char *bytes = lz_scratch_take(os);
	int zero = 1;

	if (bytes == NULL)
		return -ENOMEM;
	for (; zero == 1 && start < end; start += most) {
		ssize_t got = os->read_memory((const void *)(uintptr_t)start, bytes, most);

		if (got != (ssize_t)most)
			zero = got < 0 ? (int)got : -EFAULT;
		else
			zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, most - 1) == 0;
	}
	lz_scratch_release(os, bytes);
	return zero;
}

uint64_t lz_zero_sample_estimate(
	const struct lz_zero_sample *sample, const struct lz_os *os, uint64_t *estimated)
{
	uint64_t page = UINT64_C(1) << sample->page_shift, zero = 0, known = 0;

	for (unsigned i = 0; i < sample->count; i++) {
		uint64_t at = sample->start + ((uint64_t)sample->page[i] << sample->page_shift);
		int is_zero = lz_memory_is_zero(os, at, at + page);

		known += is_zero >= 0;
		zero += is_zero > 0;
	}
	*estimated = known != 0 ? sample->pages << sample->page_shift : 0;
	return known != 0 ? (uint64_t)((unsigned __int128)*estimated * zero / known) : 0;
}
