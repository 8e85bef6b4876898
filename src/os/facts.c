/* The table of facts and their states; see facts.h. The functions that try are in facts_try.c. */
#include "os/facts.h"

#include <errno.h>
#include <stdatomic.h>

#define MM "Documentation/admin-guide/mm/"

const struct lz_fact_info lz_facts[LZ_FACTS] = {
	[LZ_FACT_VMPTE] = {"vmpte", "VmPTE", "2.6.10", "proc(5), fs/proc/task_mmu.c", 0, false, false},
	[LZ_FACT_ZERO_PAGE] = {"zero_page", "zero page", "", "do_anonymous_page in mm/memory.c", 0, false,
		false},
	[LZ_FACT_HUGE_ZERO_PAGE] = {"huge_zero_page", "huge zero page", "3.8", MM "transhuge.rst", 0, false,
		false},
	[LZ_FACT_PT_RECLAIM] = {"pt_reclaim", "PT_RECLAIM", "6.14", "mm/pt_reclaim.c", 0, false, true},
	[LZ_FACT_PAGEMAP_SCAN] = {"pagemap_scan", "PAGEMAP_SCAN", "6.7", MM "pagemap.rst", -ENOTTY, true,
		false},
	[LZ_FACT_PROCMAP_QUERY] = {"procmap_query", "PROCMAP_QUERY", "6.11",
		"Documentation/filesystems/proc.rst", -ENOTTY, true, false},
	[LZ_FACT_WIPE_ON_FORK] = {"wipe_on_fork", "MADV_WIPEONFORK", "4.14", "madvise(2)", -EINVAL, false,
		false},
	[LZ_FACT_POPULATE] = {"populate", "MADV_POPULATE_READ", "5.14", "madvise(2)", -EINVAL, false, false},
	[LZ_FACT_COLLAPSE] = {"collapse", "MADV_COLLAPSE", "6.1", "madvise(2)", 0, false, false},
	[LZ_FACT_GUARD_REGIONS] = {"guard_regions", "MADV_GUARD_INSTALL", "6.13", "madvise(2)", 0, false,
		false},
	[LZ_FACT_FIXED_NOREPLACE] = {"fixed_noreplace", "MAP_FIXED_NOREPLACE", "4.17", "mmap(2)", 0, false,
		false},
	/* From 5.7 on for anonymous memory only; here it is used on files. */
	[LZ_FACT_MREMAP_DONTUNMAP] = {"mremap_dontunmap", "MREMAP_DONTUNMAP", "5.13", "mremap(2)", 0, false,
		false},
	[LZ_FACT_MREMAP_MANY] = {"mremap_many", "mremap, many", "6.17", "vma_multi_allowed in mm/mremap.c", 0,
		false, false},
	[LZ_FACT_SEALING] = {"sealing", "memfd sealing", "3.17", "memfd_create(2), fcntl(2)", -EINVAL, false,
		false},
	[LZ_FACT_NOEXEC_SEAL] = {"noexec_seal", "MFD_NOEXEC_SEAL", "6.3", "memfd_create(2)", -EINVAL, false,
		false},
};

/* Of each fact its state and, above ERROR_SHIFT, the errno of a failure; one word, so that both change at
 * once. */
#define ERROR_SHIFT 8
static _Atomic uint32_t words[LZ_FACTS];

static uint32_t word_of(enum lz_fact fact)
{
	return atomic_load_explicit(&words[fact], memory_order_relaxed);
}

enum lz_fact_state lz_fact_known(enum lz_fact fact)
{
	return (enum lz_fact_state)(word_of(fact) & ((1u << ERROR_SHIFT) - 1));
}

int lz_fact_error(enum lz_fact fact)
{
	return -(int)(word_of(fact) >> ERROR_SHIFT);
}

static bool is_final(uint32_t word)
{
	return word == LZ_FACT_YES || word == LZ_FACT_UNSUPPORTED;
}

/* Never overwrites a final state, even if another thread sets it concurrently. */
static void settle(enum lz_fact fact, uint32_t word)
{
	uint32_t seen = word_of(fact);

	while (!is_final(seen) && !atomic_compare_exchange_weak_explicit(&words[fact], &seen, word,
					  memory_order_relaxed, memory_order_relaxed))
		;
}

void lz_facts_forget(void)
{
	for (int fact = 0; fact < LZ_FACTS; fact++)
		atomic_store_explicit(&words[fact], LZ_FACT_UNKNOWN, memory_order_relaxed);
}

static uint32_t failed_by(int error)
{
	return (uint32_t)-error << ERROR_SHIFT | LZ_FACT_FAILED;
}

void lz_fact_learn(enum lz_fact fact, int error)
{
	const struct lz_fact_info *info = &lz_facts[fact];
	bool lacking = error == -ENOSYS || (error != 0 && error == info->lacking);

	if (is_final(word_of(fact)))
		return;
	if (lacking && info->by_descriptor && word_of(fact) != failed_by(error))
		lacking = false;
	settle(fact, error == 0 ? LZ_FACT_YES : lacking ? LZ_FACT_UNSUPPORTED : failed_by(error));
}

void lz_fact_learn_tried(enum lz_fact fact, int error)
{
	bool lacking = error == -ENOSYS || error == -EOPNOTSUPP;

	settle(fact, error == 0 ? LZ_FACT_YES : lacking ? LZ_FACT_UNSUPPORTED : failed_by(error));
}

int lz_fact_madvise_own(const struct lz_os *os, enum lz_fact fact, void *address, size_t length, int advice)
{
	int error;

	if (lz_fact_known(fact) == LZ_FACT_UNSUPPORTED)
		return -EINVAL;
	error = os->madvise(address, length, advice);
	lz_fact_learn(fact, error);
	return error;
}
