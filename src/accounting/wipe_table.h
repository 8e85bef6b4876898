/*
 * The ranges on zero windows that must be zero in a forked child (MADV_WIPEONFORK). The kernel supports that
 * advice only for anonymous memory, so the ranges are recorded here, and backing/window/wipe_on_fork.c
 * discards their contents in the child.
 *
 * The table is changed with the lock of the books, each range by single stores. A child that was forked in
 * the middle of a change finds the old range, the new one, or both.
 *
 * There are LZ_WIPE_TABLE_RANGES ranges. If no slot is free, MADV_WIPEONFORK fails with EAGAIN, as it does if
 * the kernel lacks memory. If a range is split and no slot is free, the smaller part is dropped.
 */
#ifndef LZ_ACCOUNTING_WIPE_TABLE_H
#define LZ_ACCOUNTING_WIPE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

#define LZ_WIPE_TABLE_RANGES 64u

/* Maximum number of ranges in one call of mremap. */
#define LZ_WIPE_LIST_PARTS 8u

struct lz_wipe_range {
	_Atomic uintptr_t start; /* 0: free slot */
	_Atomic uintptr_t end;
};

struct lz_wipe_table {
	struct lz_wipe_range range[LZ_WIPE_TABLE_RANGES];
	_Atomic(_Atomic uint32_t *) fork_sentinel; /* on a page that the kernel wipes in a forked child; NULL:
						      no range was ever added */
};

/* Maps the page that lz_wipe_table_add needs. No lock. Returns 0 or -errno. */
int lz_wipe_table_prepare(struct lz_wipe_table *table, const struct lz_os *os, size_t page);

/*
 * Adds [start, end). lz_wipe_table_prepare must have succeeded. Needs the lock. Returns 0, or -EAGAIN if no
 * slot is free.
 */
int lz_wipe_table_add(struct lz_wipe_table *table, uintptr_t start, uintptr_t end);

/* Removes [start, end). Needs the lock. */
void lz_wipe_table_remove(struct lz_wipe_table *table, uintptr_t start, uintptr_t end);

/* The recorded parts of a range. Addresses are relative to the start of the range. */
struct lz_wipe_list {
	size_t count;
	bool is_complete; /* all parts fit into the list */
	struct {
		size_t start, end;
	} part[LZ_WIPE_LIST_PARTS];
};

/* Lists the recorded parts of [start, end). Needs the lock. */
void lz_wipe_table_list(
	const struct lz_wipe_table *table, uintptr_t start, uintptr_t end, struct lz_wipe_list *list);

/*
 * Records the listed parts for memory that is now at `base`. A part that ended at old_length is extended to
 * new_length (SIZE_MAX for both: parts are unchanged). Needs the lock.
 */
void lz_wipe_table_restore(struct lz_wipe_table *table, uintptr_t base, const struct lz_wipe_list *list,
	size_t old_length, size_t new_length);

/* Whether the table is empty. No lock: a range that another thread is changing may be missed. */
bool lz_wipe_table_is_empty(const struct lz_wipe_table *table);

/* Discards the contents of the recorded parts of [start, end), in a forked child. No lock. */
void lz_wipe_table_zero_ranges(
	const struct lz_wipe_table *table, const struct lz_os *os, uintptr_t start, uintptr_t end);

#endif
