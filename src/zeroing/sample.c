/* A sample of the pages of a range; see internal.h. */
#include "base/checked.h"
#include "os/pagemap.h"
#include "zeroing/internal.h"

/*
 * The sample: one place for each 4 MiB, from 16 MiB on 4 places, from 64 MiB on one for each 16 MiB. Each
 * place is 5/8 into its part of the range, because the ends and the middle are what programs write first. A
 * place takes 2 to 3 us, and clearing 1 MiB in the cache 15 to 35 us: 4 MiB take 1.1 of plain memset, 16
 * MiB 1.02.
 */
#define SAMPLE_PAGES 4u
#define NEAR_DISTANCE ((size_t)4 << 20)
#define NEAR_PLACES 4u
#define FAR_DISTANCE ((size_t)16 << 20)
#define MOST_PLACES 64u

/* Bytes of a huge page that are read to tell it from the huge zero page. */
#define HUGE_PAGE_BYTES_READ 256u

/*
 * Whether a sampled run, which the kernel reports as written, is not the huge zero page. Read by a system
 * call, because the program may have made the pages inaccessible since (mprotect before munmap).
 */
static bool holds_something(struct lz_zeroing *zeroing, const struct lz_written_run *run)
{
	unsigned char bytes[HUGE_PAGE_BYTES_READ];
	ssize_t got =
		run->is_huge ? zeroing->os->read_memory((const void *)run->start, bytes, sizeof bytes) : 0;

	return got <= 0 || !lz_is_zero(bytes, (size_t)got);
}

bool lz_zeroing_sample_is_full(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	size_t page = zeroing->books->page, bytes = SAMPLE_PAGES * page;
	uint64_t length = lz_sub_clamped(end, start);
	uint64_t near = lz_min_u64(length / NEAR_DISTANCE, NEAR_PLACES);
	uint64_t far = lz_min_u64(length / FAR_DISTANCE, MOST_PLACES);
	uint64_t places = lz_max_u64(1, lz_max_u64(near, far)), step = length / places;
	struct lz_written_run run;
	struct lz_scan scan;
	bool full = true;

	if (step < 4 * bytes || lz_scan_begin(&scan, zeroing->os) != 0)
		return false;
	for (uint64_t place = 0; place < places && full; place++) {
		uint64_t from = lz_round_down(start + place * step + step / 8 * 5, page), at = from;

		full = lz_scan_written(&scan, &at, from + bytes, &run, 1, SAMPLE_PAGES) == 1 &&
		       run.end - run.start == bytes && holds_something(zeroing, &run);
	}
	lz_scan_end(&scan);
	return full;
}
