/* Clearing only what holds something; see zeroing.h. */
#include "zeroing/zeroing.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "backing/backings.h"
#include "base/checked.h"
#include "os/pagemap.h"
#include "os/plain_memset.h"
#include "os/procfs.h"
#include "os/vma.h"

/* Runs that one scan returns: 24 bytes each, on the stack of the program's thread. */
#define RUNS 24u

/* Pages after which a scan stops, so that a full block shows after 1 us. */
#define PAGES 64u

/*
 * Address space that one scan walks at most, because it holds the lock of the address space: 1 ms if the
 * range was read in 4 KiB pages.
 */
#define SCAN_BYTES (UINT64_C(1) << 28)

/*
 * Where the last scan found at least half of the pages written, this much is cleared without a look, twice as
 * much after each further such scan. So at most as much is written in vain as was written with reason, and a
 * full block of 64 MiB takes 6 scans.
 */
#define FIRST_UNSEEN_BYTES (UINT64_C(2) << 20)

struct clearing {
	struct lz_zeroing *zeroing;
	uintptr_t end;    /* of the whole pages */
	uint64_t written; /* bytes that were cleared */
	uint64_t unseen;  /* bytes that were last cleared without a look; 0: the last scan found gaps */
	bool may_skip;    /* untouched pages of the range are known to read as zero */
};

static void clear(struct clearing *clearing, uintptr_t start, uintptr_t end)
{
	lz_plain_memset((void *)start, 0, end - start);
	clearing->written += end - start;
}

/* The whole pages of a range. */

static uintptr_t first_page(const struct lz_zeroing *zeroing, uintptr_t start)
{
	return start + (-start & (zeroing->books->page - 1));
}

static uintptr_t last_page(const struct lz_zeroing *zeroing, uintptr_t end)
{
	return lz_round_down(end, zeroing->books->page);
}

static bool is_zero(const unsigned char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* --- whether untouched pages read as zero --- */

/* Whether all of [start, end) is on a zero window. */
static bool is_on_window(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	struct lz_backed_part part;

	while (start < end) {
		if (!lz_backings_next_part(zeroing->backings, start, end, &part) || part.where.start != start)
			return false;
		start = part.where.end;
	}
	return true;
}

/* What the kernel says about one mapping in [start, end). */
static bool mapping_reads_as_zero(
	struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, const struct lz_mapping *mapping)
{
	if (!mapping->readable || !mapping->writable || mapping->shared)
		return false;
	return mapping->inode == 0 ||
	       is_on_window(zeroing, lz_max_u64(start, mapping->start), lz_min_u64(end, mapping->end));
}

static bool reads_as_zero_by_maps(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	uintptr_t at = start;
	char *line;

	if (lz_line_reader_open(&lines, zeroing->os, LZ_MAPS) != 0)
		return false;
	while (at < end && (line = lz_line_reader_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= at)
			continue;
		if (mapping.start > at || !mapping_reads_as_zero(zeroing, start, end, &mapping))
			break;
		at = mapping.end;
	}
	lz_line_reader_close(&lines);
	return at >= end;
}

static bool untouched_reads_as_zero(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	struct lz_vma_queries queries;
	struct lz_vma vma;
	uintptr_t at = start;
	int error = lz_vma_begin(&queries, zeroing->os);

	while (error == 0 && at < end) {
		error = lz_vma_query_next(&queries, at, &vma, NULL, 0);
		if (error == 0 && !mapping_reads_as_zero(zeroing, start, end,
					  &(struct lz_mapping){.start = vma.start,
						  .end = vma.end,
						  .inode = vma.inode,
						  .readable = vma.readable,
						  .writable = vma.writable,
						  .shared = vma.shared}))
			error = -EPERM;
		at = vma.end;
	}
	lz_vma_end(&queries);
	if (error == -ENOTTY)
		return reads_as_zero_by_maps(zeroing, start, end);
	return error == 0;
}

/* --- clearing --- */

/*
 * The bytes that have to be cleared. Empties the runs of huge pages that read as zero: they may be the huge
 * zero page, which early kernels with PAGEMAP_SCAN report as written.
 */
static uint64_t bytes_to_clear(struct lz_written_run *runs, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++) {
		if (runs[i].is_huge &&
			is_zero((const unsigned char *)runs[i].start, runs[i].end - runs[i].start))
			runs[i].end = runs[i].start;
		bytes += runs[i].end - runs[i].start;
	}
	return bytes;
}

/*
 * The sample: pages at each place, the distance of places, and their greatest number. Each place is 5/8 into
 * its part of the range, because the ends and the middle are what programs write first.
 */
#define SAMPLE_PAGES 4u
#define SAMPLE_DISTANCE ((size_t)16 << 20)
#define MOST_PLACES 64u

bool lz_zeroing_sample_is_full(
	struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, unsigned least_places)
{
	size_t page = zeroing->books->page, bytes = SAMPLE_PAGES * page;
	uint64_t places = lz_max_u64(least_places, lz_min_u64((end - start) / SAMPLE_DISTANCE, MOST_PLACES));
	uintptr_t step = (end - start) / places;
	struct lz_written_run run;
	struct lz_scan scan;
	bool full = true;

	if (end < start || step < 4 * bytes)
		return false;
	if (lz_scan_begin(&scan, zeroing->os) != 0)
		return false;
	for (uint64_t place = 0; place < places && full; place++) {
		uint64_t from = lz_round_down(start + place * step + step / 8 * 5, page), at = from;

		full = lz_scan_written(&scan, &at, from + bytes, &run, 1, SAMPLE_PAGES) == 1 &&
		       bytes_to_clear(&run, 1) == bytes;
	}
	lz_scan_end(&scan);
	return full;
}

/* Scans once from *at and clears what was found. Returns 0 or -errno; then nothing was cleared from *at on.
 */
static int clear_next(struct clearing *clearing, uint64_t *at)
{
	const struct lz_os *os = clearing->zeroing->os;
	struct lz_written_run runs[RUNS];
	uint64_t from = *at, to = from, bytes, end = lz_min_u64(clearing->end, from + SCAN_BYTES);
	struct lz_scan scan;
	int found = lz_scan_begin(&scan, os);

	if (found == 0)
		found = lz_scan_written(&scan, &to, end, runs, RUNS, PAGES);
	lz_scan_end(&scan);
	if (found < 0)
		return found;
	bytes = bytes_to_clear(runs, found);
	if (!clearing->may_skip && bytes < to - from) {
		if (!untouched_reads_as_zero(clearing->zeroing, from, clearing->end))
			return -EPERM;
		clearing->may_skip = true;
	}
	for (int i = 0; i < found; i++)
		clear(clearing, runs[i].start, runs[i].end);
	*at = to;
	if (bytes < (to - from) / 2) {
		clearing->unseen = 0;
		return 0;
	}
	clearing->unseen = clearing->unseen == 0 ? FIRST_UNSEEN_BYTES : 2 * clearing->unseen;
	*at = lz_min_u64(to + clearing->unseen, clearing->end);
	clear(clearing, to, *at);
	return 0;
}

/* Clears [start, end) except for what reads as zero already. Returns the bytes that were written. */
static uint64_t clear_written_pages(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	uint64_t at = first_page(zeroing, start);
	struct clearing clearing = {.zeroing = zeroing, .end = last_page(zeroing, end)};

	clear(&clearing, start, at);
	while (at < clearing.end && clear_next(&clearing, &at) == 0)
		continue;
	/* After an error the rest is cleared as memset would. */
	clear(&clearing, at, end);
	return clearing.written;
}

void lz_zeroing_stop(struct lz_zeroing *zeroing)
{
	atomic_store_explicit(&zeroing->stopped, true, memory_order_relaxed);
}

static bool may_skip_pages(const struct lz_zeroing *zeroing, uintptr_t start, size_t size)
{
	uintptr_t end;

	return !__builtin_add_overflow(start, size, &end) && size >= 2 * zeroing->books->page &&
	       !atomic_load_explicit(&zeroing->stopped, memory_order_relaxed) &&
	       !atomic_load_explicit(&zeroing->books->disabled, memory_order_relaxed);
}

static bool is_full(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end, const void *caller)
{
	enum lz_zeroing_expectation expectation = lz_zeroing_expect(zeroing, start, end, caller);

	return expectation == LZ_EXPECT_FULL ||
	       (expectation == LZ_EXPECT_NOTHING &&
		       lz_zeroing_sample_is_full(
			       zeroing, first_page(zeroing, start), last_page(zeroing, end), 1));
}

void lz_zeroing_clear(struct lz_zeroing *zeroing, void *p, size_t size, const void *caller)
{
	struct lz_stats *stats = &zeroing->books->stats;
	uintptr_t start = (uintptr_t)p;
	uint64_t written = size;

	lz_stats_add(stats, memset_bytes, size);
	if (!may_skip_pages(zeroing, start, size)) {
		lz_plain_memset(p, 0, size);
	} else {
		if (is_full(zeroing, start, start + size, caller))
			lz_plain_memset(p, 0, size);
		else
			written = clear_written_pages(zeroing, start, start + size);
		lz_zeroing_learn(zeroing, start, start + size, written, caller);
	}
	lz_stats_add(stats, memset_written_bytes, written);
}
