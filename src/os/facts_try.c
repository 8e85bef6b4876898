/* The functions that try the features of the kernel; see facts.h. */
#include "os/facts.h"

#include <errno.h>
#include <fcntl.h>

#include "os/descriptors.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"
#include "os/vma.h"

#define PMD_SIZE "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20 /* Linux 6.3 */
#endif

/* Bits of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56) /* mapped here alone; Linux 4.2 */

/* Every function below returns 0, -EOPNOTSUPP if the kernel lacks the feature, or another -errno. */
#define LACKING (-EOPNOTSUPP)

static intptr_t map(const struct lz_os *os, size_t length, int flags)
{
	return os->mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* --- what VmPTE and the page tables show --- */

static int try_vmpte(const struct lz_os *os)
{
	uint64_t bytes;
	int error = lz_proc_value(os, LZ_STATUS, "VmPTE:", &bytes);

	return error == -ENOENT ? LACKING : error;
}

static int read_entry(const struct lz_os *os, uintptr_t address, uint64_t *entry)
{
	struct lz_file file;
	int error = lz_file_open(&file, os, LZ_PAGEMAP, false);
	ssize_t got;

	if (error)
		return error;
	got = os->pread(file.fd, entry, sizeof *entry, (int64_t)(address / os->page_size() * sizeof *entry));
	lz_file_close(&file);
	return got < 0 ? (int)got : got != sizeof *entry ? -EIO : 0;
}

/* Reads the page at `at`. Returns 0 if the page at `other` is then present and shared, as the zero page is.
 */
static int try_reading(const struct lz_os *os, uintptr_t at, uintptr_t other)
{
	uint64_t entry = 0;
	int error;

	(void)*(const volatile char *)at;
	error = read_entry(os, other, &entry);
	if (error)
		return error;
	return (entry & ENTRY_PRESENT) != 0 && (entry & ENTRY_EXCLUSIVE) == 0 ? 0 : LACKING;
}

/* On some kernels for virtual machines, reading untouched memory allocates a page. */
static int try_zero_page(const struct lz_os *os)
{
	intptr_t at = map(os, os->page_size(), MAP_PRIVATE);
	int error;

	if (lz_os_failed(at))
		return (int)at;
	error = try_reading(os, (uintptr_t)at, (uintptr_t)at);
	os->munmap((void *)at, os->page_size());
	return error;
}

/* Reads one page of a block. If the next page is present as well, the block is a huge page. */
static int try_huge_zero_page(const struct lz_os *os)
{
	uint64_t block = 0;
	uintptr_t aligned;
	intptr_t at;
	int error = lz_proc_number(os, PMD_SIZE, &block);

	if (error == -ENOENT || (error == 0 && block == 0))
		return LACKING; /* no transparent huge pages */
	if (error)
		return error;
	at = map(os, 2 * block, MAP_PRIVATE);
	if (lz_os_failed(at))
		return (int)at;
	aligned = ((uintptr_t)at + block - 1) / block * block;
	error = os->madvise((void *)aligned, block, MADV_HUGEPAGE);
	if (error == 0)
		error = try_reading(os, aligned, aligned + os->page_size());
	os->munmap((void *)at, 2 * block);
	return error == -EINVAL ? LACKING : error;
}

/* Writes one page in each of several page tables, drops the pages, and checks whether the tables were freed.
 */
static int try_pt_reclaim(const struct lz_os *os)
{
	enum { SPANS = 8, ENTRY = 8 };
	size_t page = os->page_size(), span = page / ENTRY * page;
	uint64_t full = 0, emptied = 0;
	uintptr_t first;
	intptr_t at = map(os, (SPANS + 1) * span, MAP_PRIVATE);
	int error;

	if (lz_os_failed(at))
		return (int)at;
	first = ((uintptr_t)at + span - 1) / span * span;
	os->madvise((void *)at, (SPANS + 1) * span, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < SPANS; i++)
		*(volatile char *)(first + i * span) = 1;
	error = lz_proc_value(os, LZ_STATUS, "VmPTE:", &full);
	if (error == 0)
		error = os->madvise((void *)first, SPANS * span, MADV_DONTNEED);
	if (error == 0)
		error = lz_proc_value(os, LZ_STATUS, "VmPTE:", &emptied);
	os->munmap((void *)at, (SPANS + 1) * span);
	/* A table has 2 KiB on s390x, a page elsewhere. */
	return error ? error : full >= emptied + SPANS / 2 * page ? 0 : LACKING;
}

/* --- ioctls; each tried twice, see lz_fact_learn --- */

static void ignore(void *context, const struct lz_page_run *run)
{
	(void)context;
	(void)run;
}

static int try_pagemap_scan(const struct lz_os *os)
{
	uintptr_t page = os->page_size(), here = (uintptr_t)lz_facts / page * page;
	int error = lz_pagemap_walk(os, here, here + page, ignore, NULL);

	return error == -ENOTTY ? lz_pagemap_walk(os, here, here + page, ignore, NULL) : error;
}

static int try_procmap_query(const struct lz_os *os)
{
	struct lz_vma vma;
	int error = lz_vma_query(os, (uintptr_t)lz_facts, &vma);

	return error == -ENOTTY ? lz_vma_query(os, (uintptr_t)lz_facts, &vma) : error;
}

/* --- madvise --- */

/*
 * The kernel checks the advice before the range (madvise_behavior_valid in mm/madvise.c). If an empty range
 * succeeds, EINVAL was caused by the memory, for example by a lock on it.
 */
static int try_advice(const struct lz_os *os, int advice)
{
	size_t page = os->page_size();
	intptr_t at = map(os, page, MAP_PRIVATE);
	int error, empty = 0;

	if (lz_os_failed(at))
		return (int)at;
	error = os->madvise((void *)at, page, advice);
	if (error == -EINVAL)
		empty = os->madvise((void *)at, 0, advice);
	os->munmap((void *)at, page);
	return empty == -EINVAL ? LACKING : error;
}

static int try_wipe_on_fork(const struct lz_os *os)
{
	return try_advice(os, MADV_WIPEONFORK);
}

static int try_populate(const struct lz_os *os)
{
	return try_advice(os, MADV_POPULATE_READ);
}

static int try_guard_regions(const struct lz_os *os)
{
	return try_advice(os, MADV_GUARD_INSTALL);
}

/* Does not check whether a huge page is available. */
static int try_collapse(const struct lz_os *os)
{
	int error = os->madvise(NULL, 0, MADV_COLLAPSE);

	return error == -EINVAL ? LACKING : error;
}

/* --- mmap and mremap --- */

/* Maps at the address of an existing mapping: a kernel that ignores the flag maps elsewhere. */
static int try_fixed_noreplace(const struct lz_os *os)
{
	size_t page = os->page_size();
	intptr_t at = map(os, page, MAP_PRIVATE), other;

	if (lz_os_failed(at))
		return (int)at;
	other = os->mmap((void *)at, page, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (!lz_os_failed(other) && other != at)
		os->munmap((void *)other, page);
	os->munmap((void *)at, page);
	return !lz_os_failed(other) ? LACKING : other == -EEXIST ? 0 : (int)other;
}

/* Shared anonymous memory is a file to the kernel. */
static int try_mremap_dontunmap(const struct lz_os *os)
{
	size_t page = os->page_size();
	intptr_t at = map(os, page, MAP_SHARED), to;

	if (lz_os_failed(at))
		return (int)at;
	to = os->mremap((void *)at, page, page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (!lz_os_failed(to))
		os->munmap((void *)to, page);
	os->munmap((void *)at, page);
	return to == -EINVAL ? LACKING : lz_os_failed(to) ? (int)to : 0;
}

/* Tried on memory of its own, because a failed move of the program's memory would leave the books inexact. */
static int try_mremap_many(const struct lz_os *os)
{
	size_t page = os->page_size();
	intptr_t at = map(os, 4 * page, MAP_PRIVATE), moved;
	int error;

	if (lz_os_failed(at))
		return (int)at;
	error = os->mprotect((void *)at, page, PROT_NONE);
	if (error == 0) {
		moved = os->mremap((void *)at, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED,
			(void *)(at + 2 * (intptr_t)page));
		error = lz_os_failed(moved) ? (int)moved : 0;
	}
	os->munmap((void *)at, 4 * page);
	return error == -EFAULT ? LACKING : error;
}

/* --- memory files --- */

static int try_sealing(const struct lz_os *os)
{
	int fd = os->memfd_create("lazyzero-fact"), error;

	if (fd < 0)
		return fd;
	error = os->add_seals(fd);
	os->close(fd);
	return error == -EINVAL ? LACKING : error;
}

static int try_noexec_seal(const struct lz_os *os)
{
	int fd = os->memfd_create("lazyzero-fact"), seals;

	if (fd < 0)
		return fd;
	seals = os->get_seals(fd);
	os->close(fd);
	return seals < 0 ? seals : (seals & F_SEAL_EXEC) != 0 ? 0 : LACKING;
}

/* --- all of them --- */

static int (*const tries[LZ_FACTS])(const struct lz_os *os) = {
	[LZ_FACT_VMPTE] = try_vmpte,
	[LZ_FACT_ZERO_PAGE] = try_zero_page,
	[LZ_FACT_HUGE_ZERO_PAGE] = try_huge_zero_page,
	[LZ_FACT_PT_RECLAIM] = try_pt_reclaim,
	[LZ_FACT_PAGEMAP_SCAN] = try_pagemap_scan,
	[LZ_FACT_PROCMAP_QUERY] = try_procmap_query,
	[LZ_FACT_WIPE_ON_FORK] = try_wipe_on_fork,
	[LZ_FACT_POPULATE] = try_populate,
	[LZ_FACT_COLLAPSE] = try_collapse,
	[LZ_FACT_GUARD_REGIONS] = try_guard_regions,
	[LZ_FACT_FIXED_NOREPLACE] = try_fixed_noreplace,
	[LZ_FACT_MREMAP_DONTUNMAP] = try_mremap_dontunmap,
	[LZ_FACT_MREMAP_MANY] = try_mremap_many,
	[LZ_FACT_SEALING] = try_sealing,
	[LZ_FACT_NOEXEC_SEAL] = try_noexec_seal,
};

bool lz_process_is_single_threaded(const struct lz_os *os)
{
	uint64_t threads;

	return lz_proc_value(os, LZ_STATUS, "Threads:", &threads) == 0 && threads == 1;
}

__attribute__((noinline)) enum lz_fact_state lz_fact(const struct lz_os *os, enum lz_fact fact)
{
	enum lz_fact_state known = lz_fact_known(fact);
	int error;

	if (known == LZ_FACT_YES || known == LZ_FACT_UNSUPPORTED)
		return known;
	error = lz_facts[fact].alone && !lz_process_is_single_threaded(os) ? -EBUSY : tries[fact](os);
	lz_fact_learn_tried(fact, error);
	return lz_fact_known(fact);
}

bool lz_fact_holds(const struct lz_os *os, enum lz_fact fact)
{
	return lz_fact(os, fact) == LZ_FACT_YES;
}

int lz_fact_madvise(const struct lz_os *os, enum lz_fact fact, void *address, size_t length, int advice)
{
	enum lz_fact_state known = lz_fact_known(fact);
	int error;

	if (known == LZ_FACT_UNSUPPORTED)
		return -EINVAL;
	error = os->madvise(address, length, advice);
	if (error == 0)
		lz_fact_learn(fact, 0);
	else if (error == -EINVAL && known != LZ_FACT_YES)
		lz_fact(os, fact);
	return error;
}

intptr_t lz_fact_mmap_at(const struct lz_os *os, void *address, size_t length, int protection, int more_flags)
{
	intptr_t at = os->mmap(address, length, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | more_flags, -1, 0);

	if (lz_os_failed(at) || at == (intptr_t)address)
		return at;
	os->munmap((void *)at, length);
	return -EEXIST;
}
