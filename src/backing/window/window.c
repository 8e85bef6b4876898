/* The zero window's life: its size, how it is acquired, looked after, replaced and given back; see window.h. */
#include "backing/window/window.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "base/checked.h"
#include "base/text.h"
#include "core/inside.h"
#include "backing/window/create.h"
#include "os/cgroup.h"
#include "os/mman.h"
#include "os/pagemap.h"
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

/* A window that could not be had is tried again after this long, one that stands is looked at. */
#define RETRY_MS 1000u
#define CHECK_MS 100u

/* How long a window of one unit stays after the last range on it was unmapped. */
#define LINGER_MS 1000u

size_t lz_window_unit(const struct lz_core *core)
{
	return (size_t)1 << lz_table_span_shift(core->geometry, 0);
}

void lz_windows_init(struct lz_windows *windows)
{
	*windows = (struct lz_windows){.failed_ms = 0};
}

size_t lz_window_size(const struct lz_core *core)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (!core->windows.window[i].retired)
			bytes = lz_max_u64(bytes, core->windows.window[i].bytes);
	return bytes;
}

/* --- size --- */

/* Mappings that are ours to have: half of vm.max_map_count, and never the program's last eighth. With the
 * lock. */
static uint64_t mappings_free(struct lz_core *core, uint64_t wanted)
{
	uint64_t limit, ours, used, room;
	struct lz_lines lines;

	if (lz_proc_number(core->os, "/proc/sys/vm/max_map_count", &limit) != 0)
		limit = MAX_MAP_COUNT;
	/* Each region's header is one more. */
	ours = lz_window_mappings(core) + lz_stats_get(&core->stats, window_regions);
	room = lz_sub_clamped(limit / 2, ours);
	if (wanted < limit / UNCOUNTED_SHARE ||
		lz_lines_open(&lines, core->os, "/proc/thread-self/maps") != 0)
		return room;
	for (used = 0; lz_lines_next(&lines) != NULL;)
		used++;
	lz_lines_close(&lines);
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
static bool is_affordable(size_t bytes, size_t length, uint64_t free)
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
static size_t piece_bytes(struct lz_core *core, size_t total, size_t length)
{
	uint64_t unit = lz_window_unit(core), bytes, wanted, least, page_tables;

	if (!lz_round_up(square_root(total) * MAPPING_ROOT, unit, &bytes))
		return 0;
	wanted = length / bytes + 1;
	uint64_t room = mappings_free(core, wanted);
	if (wanted > room) {
		least = room > 1 ? length / (room - 1) : UINT64_MAX;
		if (!lz_round_up(least, unit, &bytes))
			return 0;
		page_tables = total / (unit / lz_table_bytes(core->geometry, 0));
		if (bytes > lz_max_u64(unit, page_tables / 4))
			return 0;
	}
	return bytes;
}

/* --- had --- */

/* Whether a reason is new; then it is no longer. */
static bool is_news(struct lz_windows *windows, const char *step)
{
	for (unsigned i = 0; i < LZ_WINDOW_REASONS; i++) {
		const char *said = NULL;

		if (atomic_compare_exchange_strong(&windows->said[i], &said, step))
			return true;
		if (said == step)
			return false;
	}
	return false;
}

void lz_window_say(struct lz_core *core, const char *step, int error)
{
	const struct lz_options *options = &core->options;
	char buffer[400];
	struct lz_text text = lz_text_in(buffer, sizeof buffer);

	if (!is_news(&core->windows, step))
		return;
	lz_text_string(&text, "no zero window: ");
	lz_text_string(&text, step);
	if (error != 0) {
		lz_text_string(&text, ": ");
		lz_text_string(&text, lz_error_text(error));
	}
	if (options->backing == LZ_BACKING_WINDOW)
		lz_text_string(&text, "; the zero page serves instead");
	else if (options->policy == LZ_POLICY_REFUSE)
		lz_text_string(&text, "; what exceeds the budget is refused");
	else
		lz_text_string(&text, "; what exceeds the budget is served from the zero page");
	lz_log_note(&core->log, buffer);
}

/*
 * Frees the slots of retired windows that nobody uses; with the lock. Their mappings are to be unmapped
 * without it.
 */
struct swept {
	uintptr_t keeper[LZ_WINDOWS];
	size_t bytes[LZ_WINDOWS];
};

static void sweep(struct lz_core *core, struct swept *swept)
{
	bool retirees = false;

	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &core->windows.window[i];

		swept->keeper[i] = 0;
		if (window->bytes == 0 || !window->retired)
			continue;
		if (atomic_load_explicit(&window->users, memory_order_acquire) != 0) {
			retirees = true;
			continue;
		}
		swept->keeper[i] = window->keeper;
		swept->bytes[i] = window->bytes;
		window->bytes = 0;
		atomic_signal_fence(memory_order_seq_cst);
		*window = (struct lz_window){.bytes = 0};
	}
	atomic_store(&core->windows.retirees, retirees);
}

/* Whether nothing but a window lies in [start, end): a program may have unmapped what it did not know. */
static bool is_window(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	struct lz_lines lines;
	uintptr_t covered = start;
	char *line;

	if (lz_lines_open(&lines, core->os, "/proc/thread-self/maps") != 0)
		return false;
	while (covered < end && (line = lz_lines_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		if (mapping.start != covered || !lz_window_is_named(&mapping))
			break;
		covered = mapping.end;
	}
	lz_lines_close(&lines);
	return covered == end;
}

static void unmap_swept(struct lz_core *core, const struct swept *swept)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		uintptr_t end = swept->keeper[i] + 2 * swept->bytes[i];

		if (swept->keeper[i] != 0 && is_window(core, swept->keeper[i], end))
			core->os->munmap((void *)swept->keeper[i], 2 * swept->bytes[i]);
	}
}

/* Takes hold of the newest window that is large enough; with the lock. */
static void hold(struct lz_core *core, size_t bytes, struct lz_window_use *use)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &core->windows.window[i];

		if (window->bytes >= bytes && !window->retired) {
			atomic_fetch_add_explicit(&window->users, 1, memory_order_acquire);
			*use = (struct lz_window_use){
				window, window->keeper, window->source, bytes, {.slot = NULL}};
			lz_pending_add(core, &use->hold, 0, window);
			return;
		}
	}
}

static struct lz_window *free_slot(struct lz_core *core)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		if (core->windows.window[i].bytes == 0)
			return &core->windows.window[i];
	return NULL;
}

/*
 * Enters a new window in place of all others, and holds it to show `bytes` of in each piece. False: no free
 * slot, or not the lock.
 */
static bool install(
	struct lz_core *core, const struct lz_window *made, size_t bytes, struct lz_window_use *use)
{
	struct lz_window *place;
	struct swept swept;

	if (!lz_core_enter(core))
		return false;
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		core->windows.window[i].retired = true;
	lz_pending_reclaim(core);
	sweep(core, &swept);
	place = free_slot(core);
	if (place != NULL) {
		place->keeper = made->keeper;
		place->source = made->source;
		place->checked_ms = made->checked_ms;
		place->users = 1;
		place->retired = false;
		*use = (struct lz_window_use){place, made->keeper, made->source, bytes, {.slot = NULL}};
		lz_pending_add(core, &use->hold, 0, place);
		/* Last: by this the slot is in use. */
		atomic_signal_fence(memory_order_seq_cst);
		place->bytes = made->bytes;
		lz_window_unused(core);
	}
	lz_core_leave(core);
	unmap_swept(core, &swept);
	return place != NULL;
}

/* A new window of `size` bytes, held. */
static bool make_and_install(struct lz_core *core, struct lz_window_failure *failure, size_t size,
	size_t bytes, struct lz_window_use *use)
{
	struct lz_window made;

	if (lz_window_make(core, failure, size, &made) != 0)
		return false;
	if (install(core, &made, bytes, use))
		return true;
	lz_window_fail(failure, "too many of different sizes are in use", 0);
	core->os->munmap((void *)made.keeper, 2 * size);
	return false;
}

/*
 * Looks whether a window still stands in huge pages, every now and then, and mends it where not: reclaim may
 * have split it, or the program switched huge pages off.
 */
static bool still_whole(
	struct lz_core *core, struct lz_window_failure *failure, const struct lz_window_use *use)
{
	size_t size = use->source - use->keeper;
	uint64_t now = core->os->now_ms();

	if (core->os->thp_disabled() == 1) {
		lz_window_no_huge_pages(core, failure, use->keeper, 0);
		return false;
	}
	if (now - use->window->checked_ms < CHECK_MS)
		return true;
	use->window->checked_ms = now;
	return lz_window_is_whole(core, use->keeper, size) ||
	       lz_window_collapse(core, failure, use->keeper, size) == 0;
}

/* mlockall(MCL_FUTURE): such a program is left what it wants. */
static bool locks_new_memory(struct lz_core *core)
{
	unsigned char resident = 0;
	int aged;
	intptr_t at =
		core->os->mmap(NULL, core->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(at))
		return false;
	/* With MCL_ONFAULT nothing is filled, but the kernel refuses to age what is locked. */
	core->os->mincore((void *)at, core->page, &resident);
	aged = core->os->madvise((void *)at, core->page, MADV_COLD);
	core->os->munmap((void *)at, core->page);
	return (resident & 1) != 0 || aged == -EINVAL;
}

/* Not to be cloned from any more. */
static void retire(struct lz_core *core, struct lz_window_use *use)
{
	atomic_store(&use->window->retired, true);
	atomic_store(&core->windows.retirees, true);
	lz_window_release(core, use);
}

/*
 * One and a half times the last, as far as memory allows, so that windows that a larger one replaces are not
 * many.
 */
static size_t larger_than_last(const struct lz_core *core, size_t bytes, size_t last, uint64_t free)
{
	uint64_t size = bytes;

	if (last != 0)
		lz_round_up(lz_max_u64(bytes, lz_min_u64(last / 2 * 3, most_bytes(free))),
			lz_window_unit(core), &size);
	return size;
}

/* A new window to show `bytes` of in each piece of a mapping of `length`. */
static int acquire_new(
	struct lz_core *core, size_t bytes, size_t length, size_t last, struct lz_window_use *use)
{
	struct lz_window_failure failure = {NULL, 0};
	uint64_t free = lz_memory_free(core->os, "");

	if (!is_affordable(bytes, length, free)) {
		lz_window_say(core, "too little memory is free", 0);
		return -EAGAIN;
	}
	if (make_and_install(core, &failure, larger_than_last(core, bytes, last, free), bytes, use))
		return 0;
	core->windows.failed_ms = lz_not_never(core->os->now_ms());
	lz_window_say(core, failure.step, failure.error);
	return -EAGAIN;
}

int lz_window_acquire(struct lz_core *core, size_t total, size_t length, struct lz_window_use *use)
{
	struct lz_window_failure failure = {NULL, 0};
	bool possible, too_soon;
	size_t bytes, last;

	*use = (struct lz_window_use){.window = NULL};
	if (!lz_core_enter(core))
		return -EAGAIN;
	/* Neither what is too small nor what no address space has room for. */
	possible = total >= lz_window_unit(core) && total >> core->geometry->user_bits == 0;
	bytes = possible ? piece_bytes(core, total, length) : 0;
	if (bytes != 0)
		hold(core, bytes, use);
	too_soon = core->windows.failed_ms != 0 && core->os->now_ms() - core->windows.failed_ms < RETRY_MS;
	last = lz_window_size(core);
	lz_core_leave(core);
	if (bytes == 0) {
		if (possible)
			lz_window_say(core, "too few mappings (vm.max_map_count)", 0);
		return -EAGAIN;
	}
	if (use->window != NULL && !still_whole(core, &failure, use))
		retire(core, use);
	if (use->window == NULL && (too_soon || acquire_new(core, bytes, length, last, use) != 0))
		return -EAGAIN;
	if (!locks_new_memory(core))
		return 0;
	lz_window_release(core, use);
	lz_window_say(core, "the program locks all new memory (mlockall)", 0);
	return -EAGAIN;
}

void lz_window_release(struct lz_core *core, struct lz_window_use *use)
{
	struct lz_window *window = use->window;
	struct swept swept;

	use->window = NULL;
	if (window == NULL || !lz_pending_remove(&use->hold) || atomic_fetch_sub(&window->users, 1) != 1)
		return;
	lz_windows_release_unused(core);
	if (!atomic_load(&core->windows.retirees) || !lz_core_enter(core))
		return;
	sweep(core, &swept);
	lz_core_leave(core);
	unmap_swept(core, &swept);
}

static void retire_all(struct lz_core *core, struct swept *swept)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++)
		core->windows.window[i].retired = true;
	sweep(core, swept);
}

void lz_windows_retire(struct lz_core *core)
{
	struct swept swept;

	if (!lz_core_enter(core))
		return;
	retire_all(core, &swept);
	lz_core_leave(core);
	unmap_swept(core, &swept);
}

/* --- windows that nothing stands on --- */

void lz_window_unused(struct lz_core *core)
{
	core->windows.unused_ms = core->os->now_ms();
	atomic_store_explicit(&core->windows.unused, true, memory_order_relaxed);
}

/*
 * Whether the windows can go: nobody is about to clone from one, and they are worth the work. Making 2 MiB takes
 * 0.3 ms, as long as mapping a hundred pieces: where a program maps and unmaps a few MiB in a loop, such a
 * window stays for a second. Larger ones serve regions of 16 GiB and more, whose pieces take 20 ms to map. With
 * the lock.
 */
static bool can_go(struct lz_core *core)
{
	size_t bytes = 0;

	if (lz_ledger_find(&core->windows.where, 0) != NULL) {
		atomic_store_explicit(&core->windows.unused, false, memory_order_relaxed);
		return false;
	}
	lz_pending_reclaim(core);
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		const struct lz_window *window = &core->windows.window[i];

		if (window->bytes != 0 && atomic_load_explicit(&window->users, memory_order_acquire) != 0)
			return false;
		bytes += window->bytes;
	}
	return bytes > lz_window_unit(core) || core->os->now_ms() - core->windows.unused_ms >= LINGER_MS;
}

void lz_windows_release_unused(struct lz_core *core)
{
	struct swept swept;
	bool go;

	if (!atomic_load_explicit(&core->windows.unused, memory_order_relaxed) || !lz_core_enter(core))
		return;
	go = can_go(core);
	if (go) {
		retire_all(core, &swept);
		atomic_store_explicit(&core->windows.unused, false, memory_order_relaxed);
		lz_core_publish(core);
	}
	lz_core_leave(core);
	if (go)
		unmap_swept(core, &swept);
}

void lz_window_trampled(struct lz_core *core, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < LZ_WINDOWS; i++) {
		struct lz_window *window = &core->windows.window[i];

		if (window->bytes == 0 || window->keeper >= end ||
			window->keeper + 2 * window->bytes <= start)
			continue;
		/* What is left of it is not unmapped: who knows what lies there now. */
		window->retired = true;
		core->windows.retirees = true;
		window->keeper = window->source = 0;
	}
}
