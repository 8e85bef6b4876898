/* The size of a window, and how much of it each piece maps; see window.h. */
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/procfs.h"

/* Kernel memory for each mapping: a vm_area_struct and a share of the maple tree. */
#define MAPPING_BYTES 256u

/*
 * A window is real memory. It may take an eighth of the free memory; if that is little, up to 256 MiB,
 * provided that a quarter of the free memory remains (4 TiB in a cgroup of 192 MiB need 130 MiB).
 */
#define MEMORY_SHARE 8u
#define MODEST_BYTES (UINT64_C(256) << 20)

/* If /proc is not readable: DEFAULT_MAX_MAP_COUNT in include/linux/mm.h. */
#define MAX_MAP_COUNT 65530u

/* Below this share of vm.max_map_count, new mappings are made without counting the program's own. */
#define UNCOUNTED_SHARE 64u

/* The program's own mappings are counted this often at most, and for a 64th of the time: 0.3 us for each. */
#define COUNT_MS 100u
#define COUNT_SHARE 64u

/*
 * Sizes of pieces, by the sum of all memory on windows:
 *  - below 10 GiB one block (2 MiB), which stays in the CPU cache (8 ns for each page read up to 64 MiB, 26
 * ns at 512 MiB);
 *  - from 10 to 512 GiB 16 MiB, which needs fewer mappings (64 GiB, mapping and first pass: 297 ms with 2
 * MiB, 215 with 16 MiB);
 *  - beyond 512 GiB growing with the sum: 512 MiB for 16 TiB.
 */
#define SMALL_TOTAL (UINT64_C(10) << 30)
#define LARGE_TOTAL (UINT64_C(512) << 30)
#define MEDIUM_PIECE (UINT64_C(16) << 20)

/* The mappings of the program that are no pieces of ours, when last counted. Needs the lock of the books. */
static uint64_t other_mappings(struct lz_backings *backings, uint64_t ours)
{
	struct lz_windows *windows = backings->windows;
	uint64_t now = backings->os->now_ms(), used = 0;
	struct lz_line_reader lines;

	if (windows->counted_ms != 0 &&
		now - windows->counted_ms < lz_max_u64(COUNT_MS, COUNT_SHARE * windows->count_took_ms))
		return windows->other_mappings;
	if (lz_line_reader_open(&lines, backings->os, "/proc/thread-self/maps") != 0)
		return 0;
	while (lz_line_reader_next(&lines) != NULL)
		used++;
	lz_line_reader_close(&lines);
	windows->other_mappings = lz_sub_clamped(used, ours);
	windows->counted_ms = lz_nonzero_time(backings->os->now_ms());
	windows->count_took_ms = lz_sub_clamped(windows->counted_ms, now);
	return windows->other_mappings;
}

/*
 * Mappings available to lazyzero: half of vm.max_map_count, but never the last eighth. Needs the lock of the
 * books.
 */
static uint64_t available_mappings(struct lz_backings *backings, uint64_t wanted)
{
	struct lz_windows *windows = backings->windows;
	uint64_t limit, ours, room;

	if (windows->max_map_count == 0 &&
		lz_proc_number(backings->os, "/proc/sys/vm/max_map_count", &windows->max_map_count) != 0)
		windows->max_map_count = MAX_MAP_COUNT;
	limit = windows->max_map_count;
	/* The header of each region is one more mapping. */
	ours = lz_window_map_count_mappings(&backings->books->windows) +
	       lz_stats_get(&backings->books->stats, window_regions);
	room = lz_sub_clamped(limit / 2, ours);
	if (wanted < limit / UNCOUNTED_SHARE && ours < limit / 4)
		return room;
	return lz_min_u64(room, lz_sub_clamped(limit - limit / 8, other_mappings(backings, ours) + ours));
}

static uint64_t max_window_bytes(uint64_t free)
{
	return lz_max_u64(free / MEMORY_SHARE, lz_min_u64(MODEST_BYTES, free - free / 4));
}

bool lz_window_is_affordable(size_t bytes, size_t length, uint64_t free)
{
	return bytes <= max_window_bytes(free) && length / bytes * MAPPING_BYTES <= free - bytes;
}

/* The size of pieces that `total` bytes on windows call for. */
static uint64_t bytes_for_total(uint64_t total, uint64_t unit)
{
	if (total < SMALL_TOTAL)
		return unit;
	return lz_max_u64(unit, total <= LARGE_TOTAL ? MEDIUM_PIECE : total / (LARGE_TOTAL / MEDIUM_PIECE));
}

/* A window larger than a quarter of the page tables that it saves is not worth its memory. */
size_t lz_window_piece_bytes(struct lz_backings *backings, size_t total, size_t length, size_t *min_bytes)
{
	struct lz_window_map *map = &backings->books->windows;
	uint64_t unit = lz_window_map_unit(map), all = lz_max_u64(map->ranges.bytes + length, total);
	uint64_t bytes, least, page_tables, room = available_mappings(backings, length / unit + 1);

	if (room <= 1 || !lz_round_up(bytes_for_total(all, unit), unit, &bytes) ||
		!lz_round_up(lz_max_u64(length / (room - 1), unit), unit, &least))
		return 0;
	*min_bytes = least;
	if (bytes >= least)
		return bytes;
	page_tables = all / (unit / lz_table_bytes(backings->books->geometry, 0));
	return least <= lz_max_u64(unit, page_tables / 4) ? least : 0;
}

/* `min_bytes` wins even if it is more than an eighth, as for 512 GiB in a control group of 32 MiB: smaller
 * pieces would need too many mappings. */
size_t lz_window_fit_to_memory(
	const struct lz_backings *backings, size_t bytes, size_t min_bytes, uint64_t free)
{
	uint64_t unit = lz_window_map_unit(&backings->books->windows);
	uint64_t most = lz_max_u64(lz_round_down(free / MEMORY_SHARE, unit), unit);

	return lz_max_u64(lz_min_u64(bytes, most), min_bytes);
}

/* One and a half times the last size, as far as memory allows, so that windows are not replaced often. */
size_t lz_window_next_bytes(const struct lz_backings *backings, size_t bytes, size_t last, uint64_t free)
{
	uint64_t size = bytes;

	if (last != 0)
		lz_round_up(lz_max_u64(bytes, lz_min_u64(last / 2 * 3, max_window_bytes(free))),
			lz_window_map_unit(&backings->books->windows), &size);
	return size;
}
