/*
 * lazyzero: what a program may ask of the library when it is linked with it (-llazyzero), or finds it at run
 * time because it was preloaded (declare a function weak and test its address).
 *
 * All sizes are bytes. Functions that return int return 0, or -1 with errno set. Every function is
 * thread-safe; none is async-signal-safe. They work whatever LAZYZERO_DISABLE, LAZYZERO_ONLY and
 * LAZYZERO_INTERCEPT say: those decide only about malloc, calloc and mmap.
 */
#ifndef LAZYZERO_H
#define LAZYZERO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What stands behind a region. */
enum lz_backing_kind {
	LZ_AUTO = 0,     /* lz_alloc only: whatever LAZYZERO_BACKING says */
	LZ_ZEROPAGE = 1, /* private anonymous memory: reads map the kernel's zero page, writes allocate */
	LZ_WINDOW = 2    /* the zero window: reads need no page table, writes allocate (Linux 6.1) */
};

/* A number that could not be found out. */
#define LZ_UNKNOWN UINT64_MAX

/* Counters of this process, since it was started (exec keeps them, fork starts anew). */
struct lz_statistics {
	uint64_t budget;    /* page tables allowed; LZ_UNKNOWN before it was first needed */
	uint64_t committed; /* page tables that touching everything tracked would need */
	uint64_t committed_peak;
	uint64_t actual;        /* page tables there are: VmPTE of /proc/self/status, read now */
	uint64_t actual_peak;   /* highest seen: sampled when large memory is made and, under LAZYZERO_STATS,
				   freed */
	uint64_t regions;       /* live regions served by lazyzero */
	uint64_t region_bytes;  /* their address space */
	uint64_t regions_total; /* ever served */
	uint64_t region_bytes_total;
	uint64_t mappings_total; /* the program's own mappings of at least LAZYZERO_THRESHOLD */
	uint64_t mapping_bytes_total;
	uint64_t over_budget; /* requests served over the budget, by policy log */
	uint64_t refused;     /* requests refused with ENOMEM */
	uint64_t untracked;   /* calls that passed by untracked */
	uint64_t windowed;    /* requests over the budget that a zero window answered within it */
	uint64_t window_size; /* memory that the window itself takes, once for all regions; 0 without one */
	uint64_t window_mappings; /* mappings that the live regions on it consist of (vm.max_map_count) */
};

/* One region, as the kernel shows it. */
struct lz_region {
	void *base;
	uint64_t size; /* usable bytes, a multiple of the page size */
	enum lz_backing_kind backing;
	uint64_t resident_bytes;    /* pages with memory of their own; LZ_UNKNOWN before Linux 6.7 */
	uint64_t zero_mapped_bytes; /* pages mapped to the zero page; LZ_UNKNOWN before Linux 6.7 */
	uint64_t page_table_bytes;  /* tables that all mapped pages need, as VmPTE counts them; LZ_UNKNOWN as
				       above */
	uint64_t window_bytes;      /* pages mapped to the zero window: VmRSS counts them, though they take no
				       memory; LZ_UNKNOWN as above */
};

/* The version of the library that runs, such as "0.1.0". */
const char *lz_version(void);

/*
 * Page tables, in bytes as VmPTE counts them, that touching every page of [address, address + size) would
 * need beyond what the rest of this process's mappings already need. address NULL: for a range of that size
 * at the best place, by itself. 0 for a size of 0, or where everything there can be touched already;
 * LZ_UNKNOWN when the range wraps around.
 */
uint64_t lz_cost(const void *address, size_t size);

/*
 * Fills *statistics, of which the caller knows `size` bytes (sizeof *statistics): a library that knows more
 * fields writes only those, one that knows fewer leaves the rest 0. EINVAL: size is 0.
 */
int lz_stats(struct lz_statistics *statistics, size_t size);

/*
 * Sets the page-table budget, from the next request on; 0 leaves nothing for large requests. Memory in use
 * stays. EAGAIN: called from a signal handler that interrupted the library.
 */
int lz_set_budget(uint64_t bytes);

/*
 * A zeroed region of at least `size` bytes, page-aligned, whatever the thresholds. free, realloc and
 * malloc_usable_size take it when they are ours; lz_free takes it always. NULL with ENOMEM when it would
 * exceed the budget under policy refuse or the kernel gives no address space; EINVAL for a size of 0 or an
 * unknown backing. Where a zero window cannot be had, the zero page serves: lz_region_info tells.
 */
void *lz_alloc(size_t size, enum lz_backing_kind backing);

/* Frees a region. EINVAL: pointer is not the start of one. NULL is accepted. */
int lz_free(void *pointer);

/*
 * Describes the region that contains pointer. Takes time in proportion to its page tables (1 ms for each
 * 10 MiB or so of them). EINVAL: no region of ours contains it.
 */
int lz_region_info(const void *pointer, struct lz_region *info);

/*
 * Makes [pointer, pointer + size), inside one region, read as zero. Whole pages are given back to the kernel,
 * the rest is cleared. EINVAL: the range is not inside a region of ours.
 */
int lz_zero(void *pointer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
