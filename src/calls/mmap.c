/* mmap(2) and munmap(2) of the program; see calls.h. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "backing/backings.h"
#include "backing/placement.h"
#include "calls/internal.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/procfs.h"
#include "sites/inspect.h"

#define HUGE_SHIFT_OF(flags)                                                                                 \
	((unsigned)(flags) >> 26 & 0x3f) /* MAP_HUGE_SHIFT, include/uapi/asm-generic/hugetlb_encode.h */

/* The arguments of mmap(2). */
struct call {
	void *address;
	size_t length;
	int protection, flags, fd;
	int64_t offset;
};

/* How a mapping that is about to be made counts. */
struct counting {
	unsigned page_shift; /* log2 of its page size */
	size_t committed;    /* bytes from its start that count in advance; the rest when it is touched */
	bool beyond_file;    /* the rest is beyond the end of the file */
};

static unsigned anonymous_page_shift(struct lz_calls *calls, int flags)
{
	uint64_t standard;

	if (!(flags & MAP_HUGETLB))
		return calls->books->page_shift;
	if (HUGE_SHIFT_OF(flags) != 0)
		return HUGE_SHIFT_OF(flags);
	/* Reading /proc/meminfo takes 30 us; the size is fixed when the kernel boots. */
	standard = atomic_load_explicit(&calls->standard_huge_page, memory_order_relaxed);
	if (standard == 0 && lz_proc_value(calls->os, "/proc/meminfo", "Hugepagesize:", &standard) == 0)
		atomic_store_explicit(&calls->standard_huge_page, standard, memory_order_relaxed);
	if (!lz_is_power_of_two(standard))
		return calls->books->page_shift;
	return (unsigned)__builtin_ctzl(standard);
}

/*
 * A page beyond the end of its file cannot be touched (SIGBUS) until the file grows, so it does not count in
 * advance: LMDB maps 1 TiB of a file of 132 KiB, for which 2 GiB of tables would be charged. A mapping on
 * hugetlbfs counts whole: mmap(2) makes the file as long as the mapping (hugetlbfs_file_mmap).
 */
__attribute__((noinline)) static void count_file(
	struct lz_calls *calls, const struct call *call, struct counting *counting)
{
	uint64_t offset = (uint64_t)call->offset, bytes;
	struct lz_mappable_file file;

	/* For little it is not worth a system call (0.2 us). */
	if (call->length < LZ_HUGE_PAGE_MIN || calls->os->describe_file(call->fd, &file) != 0)
		return;
	if (lz_is_power_of_two(file.huge_page))
		counting->page_shift = (unsigned)__builtin_ctzl(file.huge_page);
	else if (lz_round_up(lz_sub_clamped(file.size, offset), calls->books->page, &bytes))
		counting->committed = lz_min_u64(bytes, call->length);
	counting->beyond_file = counting->committed < call->length;
}

static bool is_fixed(const struct call *call)
{
	return (call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
}

static bool is_dev_zero(struct lz_calls *calls, int fd)
{
	struct lz_file_id id;

	/* Documentation/admin-guide/devices.txt: major 1, minor 5. */
	return calls->os->identify(fd, &id) == 0 && id.type == S_IFCHR && id.rdev == ((uint64_t)1 << 32 | 5);
}

/* Whether a zero window can back the mapping without the program noticing a difference. */
static bool can_use_window(struct lz_calls *calls, const struct call *call)
{
	const int allowed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE |
			    MAP_DENYWRITE | MAP_EXECUTABLE;

	return calls->options->backing != LZ_BACKING_ZEROPAGE && call->length >= calls->options->threshold &&
	       ((uint64_t)call->offset & (calls->books->page - 1)) == 0 &&
	       (call->protection & ~(PROT_READ | PROT_WRITE)) == 0 && (call->protection & PROT_READ) != 0 &&
	       (call->flags & ~allowed) == 0 && (call->flags & MAP_TYPE) == MAP_PRIVATE &&
	       ((call->flags & MAP_ANONYMOUS) != 0 || is_dev_zero(calls, call->fd));
}

/*
 * Whether a mapping counts by what is touched of it, not in advance: the program says by MAP_NORESERVE that
 * it will use little, and if it used all, the budget would hold that mapping. (Growing arrays, arenas and
 * heaps reserve gigabytes each: 1,000 of 4 GiB would need 8 GiB of tables, or 32,000 mappings on windows.)
 */
static bool counts_when_touched(struct lz_calls *calls, const struct call *call)
{
	const int decisive = MAP_TYPE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE | MAP_LOCKED;

	if ((call->flags & decisive) != (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE) ||
		(call->flags & MAP_HUGETLB) != 0 || calls->options->backing == LZ_BACKING_WINDOW ||
		call->length < calls->options->threshold)
		return false;
	return lz_calls_fits_budget_alone(calls, call->length);
}

static struct counting counting_of(struct lz_calls *calls, const struct call *call)
{
	struct counting counting = {.page_shift = calls->books->page_shift, .committed = call->length};

	if ((call->flags & MAP_ANONYMOUS) == 0)
		count_file(calls, call, &counting);
	else if (counts_when_touched(calls, call))
		counting.committed = 0;
	else
		counting.page_shift = anonymous_page_shift(calls, call->flags);
	return counting;
}

/* The page size for the decision on a mapping without a window. */
static unsigned decided_page_shift(const struct counting *counting)
{
	return counting->committed == 0 ? LZ_PAGE_SHIFT_UNCOMMITTED : counting->page_shift;
}

static intptr_t forward(struct lz_calls *calls, const struct call *call, int flags)
{
	return calls->next->mmap(
		call->address, call->length, call->protection, flags, call->fd, call->offset);
}

/*
 * Makes a mapping without a window. If the kernel is to choose the address, a backing may prefer one, and
 * then gets the mapping. *huge: it is in huge pages, but for what is less than one, at its end.
 */
__attribute__((noinline)) static intptr_t map_plain(
	struct lz_calls *calls, const struct call *call, bool *huge)
{
	const struct lz_program_mapping mapping = {
		call->length, call->protection, call->flags, call->fd, call->offset};
	struct call placed = *call;
	enum lz_adopted adopted = LZ_ADOPTED_PLAIN;
	intptr_t at;

	*huge = false;
	if (call->address == NULL && !is_fixed(call))
		placed.address = (void *)lz_backings_place(calls->backings, &mapping);
	at = forward(calls, &placed, call->flags);
	if (placed.address != NULL && at == (intptr_t)placed.address && call->address == NULL)
		adopted = lz_backings_adopt(calls->backings, &mapping, (uintptr_t)at);
	*huge = adopted == LZ_ADOPTED_HUGE;
	return adopted == LZ_ADOPTED_LOST ? -ENOMEM : at;
}

/* Finds an address that is aligned for a window and was free a moment ago; NULL if there is none. */
static void *aligned_hint(struct lz_calls *calls, size_t length)
{
	size_t unit = lz_window_map_unit(&calls->books->windows), whole;
	intptr_t at;

	if (!lz_books_page_length(calls->books, length, &length) ||
		__builtin_add_overflow(length, unit - calls->books->page, &whole))
		return NULL;
	at = calls->os->mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at))
		return NULL;
	calls->os->munmap((void *)at, whole);
	return (void *)lz_round_down((uintptr_t)at + unit - calls->books->page, unit);
}

/*
 * Makes the plain mapping that a window will replace: never over an existing mapping, and aligned if the
 * kernel is to choose the address. Whatever is tried first, the program's own call is passed on once. Returns
 * the address or -errno; -EEXIST: something is mapped there, and the call was not passed on.
 */
static intptr_t map_plain_for_window(struct lz_calls *calls, const struct call *call)
{
	struct call placed = *call;
	intptr_t at;

	if (call->address == NULL && !is_fixed(call) && (call->flags & MAP_ANONYMOUS))
		placed.address = aligned_hint(calls, call->length);
	if (!(call->flags & MAP_FIXED))
		return forward(calls, &placed, call->flags);
	at = lz_fact_mmap_at(calls->os, call->address, call->length, PROT_NONE, MAP_NORESERVE);
	if (at == -EEXIST)
		return at;
	if (lz_os_failed(at))
		return forward(calls, call, call->flags);
	at = forward(calls, call, call->flags);
	if (lz_os_failed(at))
		calls->os->munmap(call->address, call->length);
	return at;
}

/*
 * Makes a mapping of the program on a window. First the kernel is asked for exactly what the program asked
 * for, so that its result is the program's; then pieces of the window replace the mapping. *tag stays 0 if
 * the mapping remains plain. -EXDEV: a window cannot be used, and nothing is mapped.
 */
__attribute__((noinline)) static intptr_t map_on_window(
	struct lz_calls *calls, const struct call *call, const struct lz_lease *lease, uintptr_t *tag)
{
	intptr_t at = map_plain_for_window(calls, call);
	uintptr_t start, end;

	if (at == -EEXIST && (call->flags & MAP_FIXED))
		return -EXDEV; /* an existing mapping is not replaced by a window */
	if (lz_os_failed(at) || !lz_books_page_range(calls->books, (void *)at, call->length,
					calls->books->page_shift, &start, &end))
		return at;
	if (lease->backing->cover_mapping(calls->backings, lease, start, end, call->protection,
		    (call->flags & MAP_ANONYMOUS) == 0, tag) == 0) {
		lz_books_count_placed_on_window(calls->books, end - start);
		return at;
	}
	*tag = 0;
	calls->next->munmap((void *)start, end - start);
	return -EXDEV;
}

/* Records a successful mmap(2) in the books. */
__attribute__((noinline)) static void record(struct lz_calls *calls, const struct call *call, intptr_t result,
	const struct counting *counting, uintptr_t window_tag, bool populate)
{
	struct lz_new_mapping mapping = {.touchable = lz_is_accessible(call->protection),
		.traits = {.page_shift = (uint8_t)counting->page_shift},
		.window_tag = window_tag,
		.beyond_file = counting->beyond_file,
		.placed_by_kernel = !is_fixed(call)};

	if (!lz_books_page_range(calls->books, (void *)result, call->length, counting->page_shift,
		    &mapping.start, &mapping.end))
		return;
	if (window_tag != 0)
		lz_books_window_traits(calls->books, &mapping.traits);
	else if (counting->committed < call->length)
		mapping.uncommitted = mapping.end - mapping.start - counting->committed;
	lz_calls_record_mapping(calls, &mapping);
	if (mapping.touchable)
		lz_calls_count_mapping(calls, call->length);
	if ((call->flags & (MAP_PRIVATE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS) && populate &&
		(call->protection & PROT_READ) && call->length >= calls->options->threshold &&
		counting->page_shift == calls->books->page_shift)
		lz_placement_populate_if_configured(
			calls->backings, mapping.start, mapping.end - mapping.start);
}

/* Corrects the books: of a mapping that was recorded, the whole blocks are in huge pages. */
__attribute__((noinline)) static void record_huge(
	struct lz_calls *calls, const struct call *call, intptr_t result)
{
	unsigned shift = calls->books->windows.ranges.span_shift[0];
	struct lz_new_mapping mapping = {.start = (uintptr_t)result,
		.end = (uintptr_t)result + lz_round_down(call->length, (size_t)1 << shift),
		.touchable = lz_is_accessible(call->protection),
		.traits = {.page_shift = (uint8_t)shift},
		.placed_by_kernel = true};

	lz_calls_record_mapping(calls, &mapping);
}

static unsigned region_kind(int flags, uintptr_t window_tag)
{
	if (window_tag != 0)
		return LZ_REGION_ON_WINDOW;
	return (flags & (MAP_PRIVATE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS) ? LZ_REGION_PLAIN
											: LZ_REGION_SHARED;
}

/* Whether a mapping replaces a part of a reservation of the program's own, which a report keeps as one. */
static bool is_over_own_memory(int flags)
{
	const int own = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;

	return (flags & own) == own;
}

intptr_t lz_calls_mmap(struct lz_calls *calls, void *address, size_t length, int protection, int flags,
	int fd, int64_t offset, const void *caller)
{
	const struct call call = {address, length, protection, flags, fd, offset};
	const struct lz_request request = {.call = "mmap", .size = length, .caller = caller};
	struct counting counting = counting_of(calls, &call);
	struct lz_table_demand need = {.bytes = counting.committed != 0 ? counting.committed : length,
		.page_shift = decided_page_shift(&counting),
		.replaces = true};
	struct lz_lease lease = {.backing = NULL};
	struct lz_grant grant;
	uintptr_t tag = 0;
	intptr_t result;
	bool huge = false;

	lz_grant_init_empty(&grant);
	lz_cache_trim_idle(calls->cache);
	if (address != NULL)
		lz_cache_evict_range(calls->cache, (uintptr_t)address, lz_range_end(address, length));
	if (is_fixed(&call))
		lz_books_page_range(
			calls->books, address, need.bytes, counting.page_shift, &need.start, &need.end);
	need.can_use_window = can_use_window(calls, &call);
	if ((flags & MAP_FIXED) && (flags & (MAP_PRIVATE | MAP_ANONYMOUS)) != (MAP_PRIVATE | MAP_ANONYMOUS))
		atomic_store_explicit(&calls->backings->may_map_over_regions, true, memory_order_relaxed);
	if (flags & MAP_FIXED)
		lz_calls_before_unmap(calls, (uintptr_t)address, lz_range_end(address, length), false);
	if ((flags & MAP_FIXED) && !is_over_own_memory(flags))
		lz_report_before_unmap(calls->reporter, (uintptr_t)address, lz_range_end(address, length));
	/* A window that the program maps over must not be cloned from any more. */
	if ((flags & MAP_FIXED) && lz_window_map_may_have_windows(&calls->books->windows) &&
		lz_books_lock(calls->books)) {
		lz_backings_range_overwritten(
			calls->backings, (uintptr_t)address, lz_range_end(address, length));
		lz_books_unlock(calls->books);
	}
	do {
		if (lz_is_accessible(protection) && length <= PTRDIFF_MAX &&
			lz_calls_request(calls, &request, &need, &grant, &lease) != 0)
			return -ENOMEM;
		result = lease.backing != NULL ? map_on_window(calls, &call, &lease, &tag)
					       : map_plain(calls, &call, &huge);
		if (result == -ENOMEM && lease.backing != NULL)
			result = -EXDEV; /* address space is limited, and a window takes some itself */
		else if (result == -ENOMEM && lz_cache_flush(calls->cache))
			result = map_plain(calls, &call, &huge);
		if (!lz_os_failed(result)) {
			lz_calls_note_if_hugetlb(calls, counting.page_shift);
			record(calls, &call, result, &counting, tag, !grant.over_budget);
			if (huge)
				record_huge(calls, &call, result);
		} else if ((flags & MAP_FIXED) && result != -EXDEV)
			lz_books_reconcile_after_failure(
				calls->books); /* the kernel may have unmapped the range */
		lz_budget_settle(calls->budget, &grant, !lz_os_failed(result));
		lz_lease_release(calls->backings, &lease);
		lz_backings_release_unused(calls->backings);
		/*
		 * The addresses are in use, or some pieces could not be mapped: retry without a window, if
		 * the budget allows.
		 */
		need.can_use_window = false;
		need.page_shift = decided_page_shift(&counting);
	} while (result == -EXDEV);
	if (!lz_os_failed(result))
		lz_calls_report_mapping(calls, &request, result, region_kind(flags, tag));
	return result;
}

int lz_calls_munmap(struct lz_calls *calls, void *address, size_t length)
{
	struct lz_saved_range saved;
	uintptr_t start, end;
	bool is_saved = false;
	int error;

	lz_calls_before_unmap(calls, (uintptr_t)address, lz_range_end(address, length), true);
	lz_report_before_unmap(calls->reporter, (uintptr_t)address, lz_range_end(address, length));
	lz_cache_evict_range(calls->cache, (uintptr_t)address, lz_range_end(address, length));
	if (lz_books_page_range(calls->books, address, length, calls->books->page_shift, &start, &end) &&
		lz_books_lock(calls->books)) {
		/* The kernel rejects a range that reaches beyond the user address space. */
		is_saved = end <= (uintptr_t)1 << calls->books->geometry->user_bits;
		if (is_saved) {
			lz_books_read_vmpte_before_unmap(calls->books, end - start);
			lz_backings_range_overwritten(calls->backings, start, end);
			lz_calls_save_range(calls, start, end, &saved);
			lz_books_publish_statistics(calls->books);
		}
		lz_books_unlock(calls->books);
	}
	error = calls->next->munmap(address, length);
	if (error && is_saved)
		lz_calls_restore_range(calls, start, &saved);
	lz_backings_release_unused(calls->backings);
	return error;
}
