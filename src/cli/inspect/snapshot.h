/*
 * What the mappings of another process hold, and the page tables that their pages show, at one moment.
 *
 * What always holds, if nothing changes meanwhile: the tables of all mappings and `other_tables` add up to
 * VmPTE. A table that two mappings share counts for the lower one. The table that the kernel keeps for each
 * anonymous huge page, for the case that it is split (pgtable_trans_huge_deposit), is counted; huge pages of
 * files and of hugetlbfs have none.
 */
#ifndef LZ_CLI_INSPECT_SNAPSHOT_H
#define LZ_CLI_INSPECT_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/inspect/pages.h"
#include "os/process.h"
#include "pagetables/geometry.h"

/* Sizes in bytes. What no other member counts of `size` was never touched, or given back. */
struct lz_page_sums {
	uint64_t mappings, size;
	uint64_t written; /* anonymous pages in memory */
	uint64_t zero;    /* maps the zero page, or a zero window */
	uint64_t file;    /* pages of files and of shared memory */
	uint64_t swapped;
	uint64_t huge; /* the part of the three that is mapped by entries above the lowest level */
	uint64_t tables;
};

/* A mapping, or adjacent ones of the same file with the same permissions. */
struct lz_inspected_mapping {
	struct lz_page_sums sums;
	uint64_t start, end;
	uint64_t device, inode;
	char rights[5]; /* "rw-p" */
	char *path;     /* as in maps; "" for anonymous memory */
};

struct lz_snapshot {
	struct lz_inspected_mapping *mappings; /* in ascending order of addresses */
	size_t count;
	struct lz_page_sums total;
	uint64_t tables, tables_before; /* VmPTE after and before the pages were looked at */
	/*
	 * Tables that no page shows: empty ones, those of device memory, and what changed meanwhile. Negative
	 * if tables were freed meanwhile.
	 */
	int64_t other_tables;
	uint64_t elapsed_ns;
};

/*
 * Looks at a process. `pages` needs no descriptor; its counters are kept from one snapshot to the next.
 * Returns 0; -ESRCH if the process is not the one that started at `start_time`, or has ended; -ESTALE if it
 * executed other programs again and again meanwhile; -EACCES, -ENOMEM and the like. The caller frees the
 * snapshot in any case.
 */
int lz_snapshot_take(struct lz_snapshot *snapshot, const struct lz_geometry *geometry, struct lz_pages *pages,
	pid_t pid, uint64_t start_time);
void lz_snapshot_free(struct lz_snapshot *snapshot);

/* The part of a size that was never touched. */
uint64_t lz_page_sums_untouched(const struct lz_page_sums *sums);
void lz_page_sums_add(struct lz_page_sums *sum, const struct lz_page_sums *sums);

#endif
