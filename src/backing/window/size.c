/* The size of a window, and how much of it each piece maps; see window.h. */
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/procfs.h"

/*
 * Kernel memory for each mapping: a vm_area_struct and a share of the maple tree. MAPPING_ROOT is its square
 * root.
 */
#define MAPPING_BYTES 256u
#define MAPPING_ROOT 16u

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

/*
 * Mappings available to lazyzero: half of vm.max_map_count, but never the last eighth. Needs the lock of the
 * books.
 */
static uint64_t available_mappings(struct lz_backings *backings, uint64_t wanted)
{
	uint64_t limit, ours, used, room;
	struct lz_line_reader lines;

	if (lz_proc_number(backings->os, "/proc/sys/vm/max_map_count", &limit) != 0)
		limit = MAX_MAP_COUNT;
	/* The header of each region is one more mapping. */
	ours = lz_window_map_count_mappings(&backings->books->windows) +
	       lz_stats_get(&backings->books->stats, window_regions);
	room = lz_sub_clamped(limit / 2, ours);
	if (wanted < limit / UNCOUNTED_SHARE ||
		lz_line_reader_open(&lines, backings->os, "/proc/thread-self/maps") != 0)
		return room;
	for (used = 0; lz_line_reader_next(&lines) != NULL;)
		used++;
	lz_line_reader_close(&lines);
	return lz_min_u64(room, lz_sub_clamped(limit - limit / 8, used));
}

static uint64_t square_root(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit != 0; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

static uint64_t max_window_bytes(uint64_t free)
{
	return lz_max_u64(free / MEMORY_SHARE, lz_min_u64(MODEST_BYTES, free - free / 4));
}

bool lz_window_is_affordable(size_t bytes, size_t length, uint64_t free)
{
	return bytes <= max_window_bytes(free) && length / bytes * MAPPING_BYTES <= free - bytes;
}

/*
 * A large window is real memory; a small one needs many mappings. Their sum is smallest at the square root
 * below (6 MiB for 100 GiB). A smaller window also stays in the CPU cache longer (8 ns for each page read up
 * to 64 MiB, 26 ns at 512 MiB). From 256 GiB on, the number of available mappings determines the size: 18 MiB
 * for 512 GiB. A window larger than a quarter of the page tables that it saves is not worth its memory.
 */
size_t lz_window_piece_bytes(struct lz_backings *backings, size_t total, size_t length)
{
	uint64_t unit = lz_window_map_unit(&backings->books->windows), bytes, wanted, min_bytes, page_tables;

	if (!lz_round_up(square_root(total) * MAPPING_ROOT, unit, &bytes))
		return 0;
	wanted = length / bytes + 1;
	uint64_t room = available_mappings(backings, wanted);
	if (wanted > room) {
		min_bytes = room > 1 ? length / (room - 1) : UINT64_MAX;
		if (!lz_round_up(min_bytes, unit, &bytes))
			return 0;
		page_tables = total / (unit / lz_table_bytes(backings->books->geometry, 0));
		if (bytes > lz_max_u64(unit, page_tables / 4))
			return 0;
	}
	return bytes;
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
