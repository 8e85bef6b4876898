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

static void count_mapping(struct lz_core *core, size_t length)
{
	if (length < core->options.threshold)
		return;
	lz_stats_add(&core->stats, mappings_total, 1);
	lz_stats_add(&core->stats, mapping_bytes_total, length);
}

/* [start, end) is now what a call made of it. */
static void follow(
	struct lz_core *core, uintptr_t start, uintptr_t end, bool touchable, struct lz_traits traits)
{
	if (!lz_core_enter(core))
		return;
	if (touchable)
		lz_ledger_set(&core->ledger, start, end, traits);
	else
		lz_ledger_remove(&core->ledger, start, end);
	lz_core_publish(core);
	lz_core_leave(core);
}

void lz_core_look_again(struct lz_core *core)
{
	if (!lz_core_enter(core))
		return;
	lz_core_reconcile(core);
	lz_core_leave(core);
}

int lz_core_charge_large(struct lz_core *core, const char *call, const void *caller, size_t size,
	const struct lz_need *need, struct lz_grant *grant)
{
	struct lz_request request = {.call = call, .size = size, .caller = caller};
	int error;

	lz_grant_nothing(grant);
	if (size < core->options.threshold)
		return 0;
	error = lz_core_charge(core, &request, need, grant);
	if (error != 0)
		lz_grant_nothing(grant);
	return error == -ENOMEM ? error : 0;
}

intptr_t lz_core_mmap(struct lz_core *core, void *address, size_t length, int protection, int flags, int fd,
	int64_t offset, const void *caller)
{
	bool touchable = can_be_touched(protection);
	unsigned page_shift = page_shift_for(core, length, flags, fd);
	struct lz_need need = {.bytes = length, .page_shift = page_shift};
	struct lz_grant grant;
	uintptr_t start, end;
	intptr_t result;

	lz_grant_nothing(&grant);
	note_page_size(core, page_shift);
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		lz_core_page_range(core, address, length, page_shift, &need.start, &need.end);
	if (touchable && length <= PTRDIFF_MAX &&
		lz_core_charge_large(core, "mmap", caller, length, &need, &grant) != 0)
		return -ENOMEM;
	result = core->os->mmap(address, length, protection, flags, fd, offset);
	if (!lz_os_failed(result) &&
		lz_core_page_range(core, (void *)result, length, page_shift, &start, &end)) {
		struct lz_traits traits = {.page_shift = (uint8_t)page_shift};

		follow(core, start, end, touchable, traits);
		if (touchable)
			count_mapping(core, length);
		if ((flags & (MAP_PRIVATE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS) && !grant.over &&
			(protection & PROT_READ) && length >= core->options.threshold &&
			page_shift == core->page_shift)
			lz_zeropage_populate(core, start, end - start);
	}
	lz_core_settle(core, &grant, !lz_os_failed(result));
	return result;
}

int lz_core_munmap(struct lz_core *core, void *address, size_t length)
{
	struct lz_pieces pieces;
	uintptr_t start, end;
	bool lifted = false;
	int error;

	if (lz_core_page_range(core, address, length, core->page_shift, &start, &end) &&
		lz_core_enter(core)) {
		/* What reaches beyond user space the kernel will refuse as a whole. */
		lifted = end <= (uintptr_t)1 << core->geometry->user_bits;
		if (lifted) {
			lz_core_sample_peak(core, end - start);
			lz_core_lift(core, start, end, true, &pieces);
			lz_core_publish(core);
		}
		lz_core_leave(core);
	}
	error = core->os->munmap(address, length);
	if (error && lifted)
		lz_core_put_back(core, start, &pieces);
	return error;
}

int lz_core_mprotect(struct lz_core *core, void *address, size_t length, int protection, const void *caller)
{
	struct lz_need need = {.page_shift = core->page_shift};
	struct lz_traits traits = {.page_shift = (uint8_t)core->page_shift};
	struct lz_grant grant;
	bool touchable = can_be_touched(protection);
	uintptr_t start, end;
	int error;

	if (!lz_core_page_range(core, address, length, core->page_shift, &start, &end))
		return core->os->mprotect(address, length, protection);
	if (touchable && atomic_load_explicit(&core->huge_pages, memory_order_relaxed))
		need.page_shift = lz_core_mapped_page_shift(core, start);
	traits.page_shift = (uint8_t)need.page_shift;
	need.start = start;
	need.end = end;
	lz_grant_nothing(&grant);
	if (touchable && lz_core_charge_large(core, "mprotect", caller, length, &need, &grant) != 0)
		return -ENOMEM;
	error = core->os->mprotect(address, length, protection);
	if (error) {
		/* ENOMEM at a hole: what lies before it was changed. */
		if (error != -EINVAL)
			lz_core_look_again(core);
	} else if (lz_core_enter(core)) {
		if (touchable)
			lz_ledger_cover(&core->ledger, start, end, traits);
		else
			lz_ledger_remove(&core->ledger, start, end);
		lz_core_publish(core);
		lz_core_leave(core);
	}
	lz_core_settle(core, &grant, error == 0);
	return error;
}

int lz_core_madvise(struct lz_core *core, void *address, size_t length, int advice)
{
	if (advice == MADV_HUGEPAGE && core->options.thp != LZ_THP_INHERIT && lz_core_enter(core)) {
		struct lz_range *range = lz_ledger_find(&core->ledger, (uintptr_t)address);
		struct lz_served *region = NULL;
		bool ignored;

		if (range != NULL && range->start <= (uintptr_t)address && range->traits.tag != 0)
			region = lz_regions_find(&core->regions, range->traits.tag);
		ignored = region != NULL && region->huge_pages_refused &&
			  ((uintptr_t)address & (core->page - 1)) == 0 &&
			  length <= range->end - (uintptr_t)address;
		lz_core_leave(core);
		if (ignored)
			return 0;
	}
	return core->os->madvise(address, length, advice);
}

/*
 * The page size of a segment. Nothing tells it before the segment is attached (SHM_HUGETLB leaves no trace in
 * shmid_ds), so it is attached for a look.
 */
static unsigned segment_page_shift(struct lz_core *core, int id, size_t bytes)
{
	unsigned page_shift;
	intptr_t at;

	if (bytes < HUGE_PAGE_LEAST)
		return core->page_shift;
	at = core->os->shmat(id, NULL, SHM_RDONLY);
	if (lz_os_failed(at))
		return core->page_shift;
	page_shift = lz_core_mapped_page_shift(core, (uintptr_t)at);
	core->os->shmdt((void *)at);
	note_page_size(core, page_shift);
	return page_shift;
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
		if (lz_core_charge_large(core, "shmat", caller, bytes, &need, &grant) != 0)
			return -ENOMEM;
	}
	result = core->os->shmat(id, address, flags);
	if (!lz_os_failed(result) &&
		lz_core_page_range(core, (void *)result, bytes, need.page_shift, &start, &end)) {
		struct lz_traits traits = {.page_shift = (uint8_t)need.page_shift, .tag = start};

		follow(core, start, end, true, traits);
		count_mapping(core, bytes);
	}
	lz_core_settle(core, &grant, !lz_os_failed(result));
	return result;
}

int lz_core_shmdt(struct lz_core *core, const void *address)
{
	uintptr_t tag = (uintptr_t)address;
	int error;

	if (lz_core_enter(core)) {
		struct lz_range *range = lz_ledger_find(&core->ledger, tag);

		while (range != NULL && range->traits.tag == tag && tag != 0) {
			lz_ledger_remove(&core->ledger, range->start, range->end);
			range = lz_ledger_find(&core->ledger, tag);
		}
		lz_core_publish(core);
		lz_core_leave(core);
	}
	error = core->os->shmdt(address);
	if (error)
		lz_core_look_again(core);
	return error;
}
