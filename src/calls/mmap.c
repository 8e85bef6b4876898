/*
 * The program's own calls of the mmap family: each is made as it is, unless refused, and followed in the
 * ledger.
 *
 * A range leaves the ledger before its system call and enters it after: in between, nobody else can be given
 * those addresses. What fails half-way is put right by comparing with /proc/self/maps.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/procfs.h"

#define HUGE_SHIFT_OF(flags)                                                                                 \
	((unsigned)(flags) >> 26 & 0x3f) /* MAP_HUGE_SHIFT, include/uapi/asm-generic/hugetlb_encode.h */

/* The smallest huge page that needs fewer tables than small pages do: that of s390x. */
#define HUGE_PAGE_LEAST (1u << 20)

static bool can_be_touched(int protection)
{
	return (protection & (PROT_READ | PROT_WRITE | PROT_EXEC)) != 0;
}

/* The page size of a mapping about to be made. */
static unsigned page_shift_for(struct lz_core *core, size_t length, int flags, int fd)
{
	size_t bytes = 0;

	if (flags & MAP_ANONYMOUS) {
		uint64_t standard;

		if (!(flags & MAP_HUGETLB))
			return core->page_shift;
		if (HUGE_SHIFT_OF(flags) != 0)
			return HUGE_SHIFT_OF(flags);
		if (lz_proc_value(core->os, "/proc/meminfo", "Hugepagesize:", &standard) == 0)
			bytes = standard;
	} else if (length >= HUGE_PAGE_LEAST) {
		/* One statx costs 0.2 us. */
		core->os->hugetlb_page_size(fd, &bytes);
	}
	return lz_is_power_of_two(bytes) ? (unsigned)__builtin_ctzl(bytes) : core->page_shift;
}

/* Once hugetlb memory has been seen, mprotect has to ask what it opens. */
static void note_page_size(struct lz_core *core, unsigned page_shift)
{
	if (page_shift != core->page_shift)
		atomic_store_explicit(&core->huge_pages, true, memory_order_relaxed);
}

bool lz_core_page_range(const struct lz_core *core, const void *address, size_t length, unsigned page_shift,
	uintptr_t *start, uintptr_t *end)
{
	uint64_t rounded, sum;

	if (length == 0 || ((uintptr_t)address & (core->page - 1)) != 0 ||
		!lz_round_up(length, UINT64_C(1) << page_shift, &rounded) ||
		__builtin_add_overflow((uintptr_t)address, rounded, &sum))
		return false;
	*start = (uintptr_t)address;
	*end = sum;
	return true;
}

/* The end of a range that a program names, which may reach beyond the address space. */
static uintptr_t end_of(const void *address, size_t length)
{
	uintptr_t end;

	return __builtin_add_overflow((uintptr_t)address, length, &end) ? UINTPTR_MAX : end;
}

static void count_mapping(struct lz_core *core, size_t length)
{
	if (length < core->options.threshold)
		return;
	lz_stats_add(&core->stats, mappings_total, 1);
	lz_stats_add(&core->stats, mapping_bytes_total, length);
}

/* [start, end) is now what a call made of it; `window` is its tag there, 0 for none. The kernel places a mapping only
 * where nothing is: regions that the books have there are stale. */
static void follow(struct lz_core *core, uintptr_t start, uintptr_t end, bool touchable,
	struct lz_traits traits, uintptr_t window, bool placed_by_kernel)
{
	if (!lz_core_enter(core))
		return;
	if (placed_by_kernel)
		lz_core_drop_stale_regions(core, start, end);
	lz_window_trampled(core, start, end);
	if (window != 0)
		lz_window_note(core, start, end, window);
	else
		lz_window_forget(core, start, end);
	if (touchable)
		lz_ledger_set(&core->ledger, start, end, traits);
	else
		lz_ledger_remove(&core->ledger, start, end);
	lz_core_publish(core);
	lz_core_leave(core);
}

int lz_core_charge_large(struct lz_core *core, const char *call, const void *caller, size_t size,
	const struct lz_need *need, struct lz_grant *grant, struct lz_window_use *use)
{
	struct lz_request request = {.call = call, .size = size, .caller = caller};
	int error;

	lz_grant_nothing(grant);
	if (use != NULL)
		use->window = NULL;
	if (size < core->options.threshold)
		return 0;
	error = lz_core_charge(core, &request, need, grant, use);
	if (error != 0)
		lz_grant_nothing(grant);
	return error == -ENOMEM ? error : 0;
}

/* A call of mmap. */
struct call {
	void *address;
	size_t length;
	int protection, flags, fd;
	int64_t offset;
};

static bool is_fixed(const struct call *call)
{
	return (call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
}

static bool is_dev_zero(struct lz_core *core, int fd)
{
	struct lz_file_id id;

	/* Documentation/admin-guide/devices.txt: major 1, minor 5. */
	return core->os->identify(fd, &id) == 0 && id.type == S_IFCHR && id.rdev == ((uint64_t)1 << 32 | 5);
}

/* Whether a zero window could stand behind it and the program not notice. */
static bool is_windowable(struct lz_core *core, const struct call *call)
{
	const int allowed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE |
			    MAP_DENYWRITE | MAP_EXECUTABLE;

	return core->options.backing != LZ_BACKING_ZEROPAGE && call->length >= core->options.threshold &&
	       ((uint64_t)call->offset & (core->page - 1)) == 0 &&
	       (call->protection & ~(PROT_READ | PROT_WRITE)) == 0 && (call->protection & PROT_READ) != 0 &&
	       (call->flags & ~allowed) == 0 && (call->flags & MAP_TYPE) == MAP_PRIVATE &&
	       ((call->flags & MAP_ANONYMOUS) != 0 || is_dev_zero(core, call->fd));
}

static intptr_t make(struct lz_core *core, const struct call *call, int flags)
{
	return core->calls->mmap(call->address, call->length, call->protection, flags, call->fd, call->offset);
}

/* An address that was free a moment ago, aligned for a window; NULL where none was found. */
static void *place_for_window(struct lz_core *core, size_t length)
{
	size_t unit = lz_window_unit(core), whole;
	intptr_t at;

	if (!lz_core_page_length(core, length, &length) ||
		__builtin_add_overflow(length, unit - core->page, &whole))
		return NULL;
	at = core->os->mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at))
		return NULL;
	core->os->munmap((void *)at, whole);
	return (void *)lz_round_down((uintptr_t)at + unit - core->page, unit);
}

/*
 * Maps plain memory where a window can stand: not over what is there, and, where the program leaves it to the kernel,
 * aligned. What the program called is passed on once, whatever is tried before; -EEXIST: it was not, since something
 * is there.
 */
static intptr_t make_room(struct lz_core *core, const struct call *call)
{
	struct call placed = *call;
	intptr_t at;

	if (call->address == NULL && !is_fixed(call) && (call->flags & MAP_ANONYMOUS))
		placed.address = place_for_window(core, call->length);
	if (!(call->flags & MAP_FIXED))
		return make(core, &placed, call->flags);
	at = core->os->mmap(call->address, call->length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (at == -EEXIST)
		return at;
	if (lz_os_failed(at))
		return make(core, call, call->flags);
	at = make(core, call, call->flags);
	if (lz_os_failed(at))
		core->os->munmap(call->address, call->length);
	return at;
}

/*
 * The program's own mapping, on a window. The kernel is first asked for just what the program asked for, so
 * that its answer is the program's; then pieces of the window are laid over. *tag stays 0 where it is to be
 * a plain mapping after all. -EXDEV: not on a window, nothing is mapped.
 */
static intptr_t make_on_window(
	struct lz_core *core, const struct call *call, const struct lz_window_use *use, uintptr_t *tag)
{
	intptr_t at = make_room(core, call);
	uintptr_t start, end, anchor;
	int error;

	if (at == -EEXIST && (call->flags & MAP_FIXED))
		return -EXDEV; /* not over what is there */
	if (lz_os_failed(at) ||
		!lz_core_page_range(core, (void *)at, call->length, core->page_shift, &start, &end))
		return at;
	anchor = lz_round_down(start, lz_window_unit(core));
	error = lz_window_map(core, use, start, end, anchor);
	if (error == 0 && (call->protection & PROT_WRITE) == 0) {
		atomic_store_explicit(&core->windows.altered, true, memory_order_relaxed);
		error = core->os->mprotect((void *)start, end - start, call->protection);
	}
	if (error == 0) {
		*tag = lz_window_tag(core, anchor, use->bytes) |
		       (call->flags & MAP_ANONYMOUS ? 0 : lz_window_of_file(core));
		lz_core_count_window(core, end - start);
		return at;
	}
	core->calls->munmap((void *)start, end - start);
	return -EXDEV;
}

/* A successful mmap enters the books. */
static void book(struct lz_core *core, const struct call *call, intptr_t result, unsigned page_shift,
	uintptr_t window, bool populate)
{
	struct lz_traits traits = {.page_shift = (uint8_t)page_shift};
	bool touchable = can_be_touched(call->protection);
	uintptr_t start, end;

	if (!lz_core_page_range(core, (void *)result, call->length, page_shift, &start, &end))
		return;
	if (window != 0)
		lz_core_on_window(core, &traits);
	follow(core, start, end, touchable, traits, window, !is_fixed(call));
	if (touchable)
		count_mapping(core, call->length);
	if ((call->flags & (MAP_PRIVATE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS) && populate &&
		(call->protection & PROT_READ) && call->length >= core->options.threshold &&
		page_shift == core->page_shift)
		lz_zeropage_populate(core, start, end - start);
}

intptr_t lz_core_mmap(struct lz_core *core, void *address, size_t length, int protection, int flags, int fd,
	int64_t offset, const void *caller)
{
	const struct call call = {address, length, protection, flags, fd, offset};
	unsigned page_shift = page_shift_for(core, length, flags, fd);
	struct lz_need need = {.bytes = length, .page_shift = page_shift};
	struct lz_window_use use = {.window = NULL};
	struct lz_grant grant;
	uintptr_t tag = 0;
	intptr_t result;

	lz_grant_nothing(&grant);
	lz_recycle_tend(core);
	note_page_size(core, page_shift);
	if (address != NULL)
		lz_recycle_give_way(core, (uintptr_t)address, end_of(address, length));
	if (is_fixed(&call))
		lz_core_page_range(core, address, length, page_shift, &need.start, &need.end);
	need.windowable = is_windowable(core, &call);
	if ((flags & MAP_FIXED) && (flags & (MAP_PRIVATE | MAP_ANONYMOUS)) != (MAP_PRIVATE | MAP_ANONYMOUS))
		atomic_store_explicit(&core->overlaid, true, memory_order_relaxed);
	/* A window that it maps over must not be cloned from any more. */
	if ((flags & MAP_FIXED) && need.start != need.end && lz_core_enter(core)) {
		lz_window_trampled(core, need.start, need.end);
		lz_core_leave(core);
	}
	do {
		if (can_be_touched(protection) && length <= PTRDIFF_MAX &&
			lz_core_charge_large(core, "mmap", caller, length, &need, &grant, &use) != 0)
			return -ENOMEM;
		result = use.window != NULL ? make_on_window(core, &call, &use, &tag)
					    : make(core, &call, flags);
		if (result == -ENOMEM && use.window != NULL)
			result = -EXDEV; /* address space is limited, and a window takes some itself */
		else if (result == -ENOMEM && lz_recycle_flush(core))
			result = make(core, &call, flags);
		if (!lz_os_failed(result))
			book(core, &call, result, page_shift, tag, !grant.over);
		else if ((flags & MAP_FIXED) && result != -EXDEV)
			lz_core_look_again(core); /* the kernel may have made room already */
		lz_core_settle(core, &grant, !lz_os_failed(result));
		lz_window_release(core, &use);
		lz_windows_release_unused(core);
		/* Something lies there, or not all pieces could be had: without, if the budget allows. */
		need.windowable = false;
	} while (result == -EXDEV);
	return result;
}

int lz_core_munmap(struct lz_core *core, void *address, size_t length)
{
	struct lz_lifted pieces;
	uintptr_t start, end;
	bool lifted = false;
	int error;

	lz_recycle_give_way(core, (uintptr_t)address, end_of(address, length));
	if (lz_core_page_range(core, address, length, core->page_shift, &start, &end) &&
		lz_core_enter(core)) {
		/* What reaches beyond user space the kernel will refuse as a whole. */
		lifted = end <= (uintptr_t)1 << core->geometry->user_bits;
		if (lifted) {
			lz_core_sample_peak(core, end - start);
			lz_window_trampled(core, start, end);
			lz_core_lift(core, start, end, true, &pieces);
			lz_core_publish(core);
		}
		lz_core_leave(core);
	}
	error = core->calls->munmap(address, length);
	if (error && lifted)
		lz_core_put_back(core, start, &pieces);
	lz_windows_release_unused(core);
	return error;
}

static int protect(struct lz_core *core, void *address, size_t length, int protection, int key)
{
	if (key == -1)
		return core->calls->mprotect(address, length, protection);
	return (int)core->calls->pass(SYS_pkey_mprotect, (long)address, (long)length, protection, key, 0, 0);
}

int lz_core_mprotect(
	struct lz_core *core, void *address, size_t length, int protection, int key, const void *caller)
{
	struct lz_need need = {.page_shift = core->page_shift};
	struct lz_grant grant;
	bool touchable = can_be_touched(protection);
	struct lz_window_part part;
	uintptr_t start, end;
	int error;

	lz_recycle_give_way(core, (uintptr_t)address, end_of(address, length));
	if (!lz_core_page_range(core, address, length, core->page_shift, &start, &end))
		return protect(core, address, length, protection, key);
	if (touchable && atomic_load_explicit(&core->huge_pages, memory_order_relaxed))
		need.page_shift = lz_core_mapped_page_shift(core, start);
	else if (touchable && lz_windowed_next(core, start, end, &part) && part.start == start &&
		 part.end == end)
		need.page_shift = core->ledger.span_shift[0];
	need.start = start;
	need.end = end;
	lz_grant_nothing(&grant);
	if (touchable && lz_core_charge_large(core, "mprotect", caller, length, &need, &grant, NULL) != 0)
		return -ENOMEM;
	error = protect(core, address, length, protection, key);
	/* ENOMEM at a hole: what lies before it was changed. */
	if (error != -EINVAL && (protection != (PROT_READ | PROT_WRITE) || key != -1))
		lz_core_altered(core, start, end);
	if (error != -EINVAL && key > 0)
		atomic_store_explicit(&core->windows.keyed, true, memory_order_relaxed);
	if (error != 0 && error != -EINVAL) {
		lz_core_look_again(core);
	} else if (error == 0 && lz_core_enter(core)) {
		if (touchable)
			lz_core_cover(
				core, start, end, (struct lz_traits){.page_shift = (uint8_t)need.page_shift});
		else
			lz_ledger_remove(&core->ledger, start, end);
		lz_core_publish(core);
		lz_core_leave(core);
	}
	lz_core_settle(core, &grant, error == 0);
	return error;
}

/*
 * The page size of a segment. Nothing tells it before the segment is attached (SHM_HUGETLB leaves no trace in
 * shmid_ds), so it is attached for a look.
 */
static unsigned segment_page_shift(struct lz_core *core, int id, size_t bytes)
{
	unsigned page_shift;
	uint64_t forced = 0;
	intptr_t at;

	if (bytes < HUGE_PAGE_LEAST)
		return core->page_shift;
	/* Where segments go with their last attachment (kernel.shm_rmid_forced), the look would be the end of
	 * it. */
	if (lz_proc_number(core->os, "/proc/sys/kernel/shm_rmid_forced", &forced) == 0 && forced != 0)
		return core->page_shift;
	at = core->os->shmat(id, NULL, SHM_RDONLY);
	if (lz_os_failed(at))
		return core->page_shift;
	page_shift = lz_core_mapped_page_shift(core, (uintptr_t)at);
	core->os->shmdt((void *)at);
	note_page_size(core, page_shift);
	return page_shift;
}

/* Of a segment in the ledger; none of a region, though it be attached where one starts (SHM_REMAP). */
static uintptr_t segment_tag(uintptr_t start)
{
	return start | 1;
}

intptr_t lz_core_shmat(struct lz_core *core, int id, const void *address, int flags, const void *caller)
{
	struct lz_need need = {.page_shift = core->page_shift};
	struct lz_grant grant;
	uintptr_t start, end;
	size_t bytes = 0;
	intptr_t result;

	lz_grant_nothing(&grant);
	if (core->os->shm_size(id, &bytes) == 0) {
		need.bytes = bytes;
		need.page_shift = segment_page_shift(core, id, bytes);
		if (lz_core_charge_large(core, "shmat", caller, bytes, &need, &grant, NULL) != 0)
			return -ENOMEM;
	}
	if (address != NULL)
		lz_recycle_give_way(core, (uintptr_t)address, end_of(address, bytes));
	if (flags & SHM_REMAP)
		atomic_store_explicit(&core->overlaid, true, memory_order_relaxed);
	result = core->calls->shmat(id, address, flags);
	if (!lz_os_failed(result) &&
		lz_core_page_range(core, (void *)result, bytes, need.page_shift, &start, &end)) {
		struct lz_traits traits = {.page_shift = (uint8_t)need.page_shift, .tag = segment_tag(start)};

		follow(core, start, end, true, traits, 0, address == NULL);
		count_mapping(core, bytes);
	}
	lz_core_settle(core, &grant, !lz_os_failed(result));
	return result;
}

int lz_core_shmdt(struct lz_core *core, const void *address)
{
	uintptr_t start = (uintptr_t)address;
	int error;

	if (lz_core_enter(core)) {
		struct lz_range *range = lz_ledger_find(&core->ledger, start);

		while (range != NULL && range->traits.tag == segment_tag(start)) {
			lz_ledger_remove(&core->ledger, range->start, range->end);
			range = lz_ledger_find(&core->ledger, start);
		}
		lz_core_publish(core);
		lz_core_leave(core);
	}
	error = core->calls->shmdt(address);
	if (error)
		lz_core_look_again(core);
	return error;
}
