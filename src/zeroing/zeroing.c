/* Clearing only what holds something; see zeroing.h. */
#include <errno.h>
#include <stdatomic.h>

#include "base/checked.h"
#include "os/pagemap.h"
#include "os/plain_memset.h"
#include "zeroing/internal.h"

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
	bool may_skip;    /* the range is known to be readable, and its untouched pages to read as zero */
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

/* --- clearing --- */

/* The bytes that the kernel reports as written; sets *any_huge if huge pages are among them. */
static uint64_t written_bytes(const struct lz_written_run *runs, int count, bool *any_huge)
{
	uint64_t bytes = 0;

	*any_huge = false;
	for (int i = 0; i < count; i++) {
		bytes += runs[i].end - runs[i].start;
		*any_huge |= runs[i].is_huge != 0;
	}
	return bytes;
}

/*
 * Empties the runs of huge pages that read as zero, and returns their bytes: they may be the huge zero page,
 * which early kernels with PAGEMAP_SCAN report as written. The pages must be readable.
 */
static uint64_t skip_zero_huge_pages(struct lz_written_run *runs, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		if (runs[i].is_huge &&
			lz_is_zero((const unsigned char *)runs[i].start, runs[i].end - runs[i].start)) {
			bytes += runs[i].end - runs[i].start;
			runs[i].end = runs[i].start;
		}
	return bytes;
}

/* Scans once from *at and clears what was found. Returns 0 or -errno; then nothing was cleared from *at on.
 */
static int clear_next(struct clearing *clearing, uint64_t *at)
{
	const struct lz_os *os = clearing->zeroing->os;
	struct lz_written_run runs[RUNS];
	uint64_t from = *at, to = from, bytes, end = lz_min_u64(clearing->end, from + SCAN_BYTES);
	struct lz_scan scan;
	bool any_huge;
	int found = lz_scan_begin(&scan, os);

	if (found == 0)
		found = lz_scan_written(&scan, &to, end, runs, RUNS, PAGES);
	lz_scan_end(&scan);
	if (found < 0)
		return found;
	bytes = written_bytes(runs, found, &any_huge);
	if (!clearing->may_skip && (bytes < to - from || any_huge)) {
		if (!lz_zeroing_untouched_reads_as_zero(clearing->zeroing, from, clearing->end))
			return -EPERM;
		clearing->may_skip = true;
	}
	if (any_huge)
		bytes -= skip_zero_huge_pages(runs, found);
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
			       zeroing, first_page(zeroing, start), last_page(zeroing, end)));
}

uint64_t lz_zeroing_clear(struct lz_zeroing *zeroing, void *p, size_t size, const void *caller)
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
	return written;
}
