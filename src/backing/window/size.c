/* How large a window is, and how much of it each piece shows; see window.h. */
#include "backing/window/window.h"
#include "base/checked.h"
#include "os/procfs.h"

/* What the kernel keeps for each mapping, a vm_area_struct and a share of the maple tree, and its root. */
#define MAPPING_BYTES 256u
#define MAPPING_ROOT 16u

/*
 * A window is real memory: no more than an eighth of what is free, or, where that is little, 256 MiB of it if
 * a quarter of it stays free (4 TiB in a cgroup of 192 MiB need 130 MiB).
 */
#define MEMORY_SHARE 8u
#define MODEST_BYTES (UINT64_C(256) << 20)

/* Without /proc: DEFAULT_MAX_MAP_COUNT in include/linux/mm.h. */
#define MAX_MAP_COUNT 65530u

/* Fewer new mappings than this share of vm.max_map_count are made without counting what the program has. */
#define UNCOUNTED_SHARE 64u

/* Mappings that are ours to have: half of vm.max_map_count, and never the program's last eighth. With the
 * lock. */
static uint64_t mappings_free(struct lz_backings *backings, uint64_t wanted)
{
	uint64_t limit, ours, used, room;
	struct lz_line_reader lines;

	if (lz_proc_number(backings->os, "/proc/sys/vm/max_map_count", &limit) != 0)
		limit = MAX_MAP_COUNT;
	/* Each region's header is one more. */
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

static uint64_t most_bytes(uint64_t free)
{
	return lz_max_u64(free / MEMORY_SHARE, lz_min_u64(MODEST_BYTES, free - free / 4));
}

/* Whether there is memory for a window of so many bytes, and for the kernel's records of its pieces. */
bool lz_window_is_affordable(size_t bytes, size_t length, uint64_t free)
{
	return bytes <= most_bytes(free) && length / bytes * MAPPING_BYTES <= free - bytes;
}

/*
 * How much of a window each piece of a region shows. A large one is real memory, a small one needs many
 * mappings: the two together are least at the square root below (6 MiB for 100 GiB), and the smaller, the
 * longer it stays in the cache (8 ns a page read up to 64 MiB, 26 ns at 512 MiB). From 256 GiB on the
 * mappings that are free decide: 18 MiB for 512 GiB. One larger than a quarter of the tables that it saves
 * would be no bargain. `length` of a region of `total` bytes is to be mapped. 0: not enough mappings for such
 * a region.
 */
size_t lz_window_piece_bytes(struct lz_backings *backings, size_t total, size_t length)
{
	uint64_t unit = lz_window_map_unit(&backings->books->windows), bytes, wanted, least, page_tables;

	if (!lz_round_up(square_root(total) * MAPPING_ROOT, unit, &bytes))
		return 0;
	wanted = length / bytes + 1;
	uint64_t room = mappings_free(backings, wanted);
	if (wanted > room) {
		least = room > 1 ? length / (room - 1) : UINT64_MAX;
		if (!lz_round_up(least, unit, &bytes))
			return 0;
		page_tables = total / (unit / lz_table_bytes(backings->books->geometry, 0));
		if (bytes > lz_max_u64(unit, page_tables / 4))
			return 0;
	}
	return bytes;
}

/*
 * One and a half times the last, as far as memory allows, so that windows that a larger one replaces are not
 * many.
 */
size_t lz_window_next_bytes(const struct lz_backings *backings, size_t bytes, size_t last, uint64_t free)
{
	uint64_t size = bytes;

	if (last != 0)
		lz_round_up(lz_max_u64(bytes, lz_min_u64(last / 2 * 3, most_bytes(free))),
			lz_window_map_unit(&backings->books->windows), &size);
	return size;
}
