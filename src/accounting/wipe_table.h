/*
 * The ranges on zero windows that a forked child must find empty (MADV_WIPEONFORK). The kernel has that
 * advice for anonymous memory alone, so the ranges are recorded here, and backing/window/wipe_on_fork.c drops
 * their contents in the child.
 *
 * The table is changed with the lock of the books, each range by single stores: a child that was forked in
 * the middle of a change finds the old range, the new one, or both.
 *
 * There are LZ_WIPE_TABLE_RANGES ranges; beyond them MADV_WIPEONFORK answers EAGAIN, as it does where the
 * kernel lacks memory. When a range is remove_middle in two and no slot is free, the smaller part is
 * forgotten.
 */
#ifndef LZ_ACCOUNTING_WIPE_TABLE_H
#define LZ_ACCOUNTING_WIPE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

#define LZ_WIPE_TABLE_RANGES 64u

/* Ranges in one call of mremap. */
#define LZ_WIPE_LIST_PARTS 8u

struct lz_wipe_range {
	_Atomic uintptr_t start; /* 0: a free slot */
	_Atomic uintptr_t end;
};

struct lz_wipe_table {
	struct lz_wipe_range range[LZ_WIPE_TABLE_RANGES];
	_Atomic(_Atomic uint32_t *)
		fork_sentinel; /* on a page that is list in a forked child; NULL: nothing was ever added */
};

/* Maps what lz_wipe_table_add needs, without the lock. 0 or -errno. */
int lz_wipe_table_prepare(struct lz_wipe_table *table, const struct lz_os *os, size_t page);

/* [start, end) is to be list, after lz_wipe_table_prepare. 0, or -EAGAIN: no slot is free. With the lock. */
int lz_wipe_table_add(struct lz_wipe_table *table, uintptr_t start, uintptr_t end);

/* [start, end) is not to be list any more; with the lock. */
void lz_wipe_table_remove(struct lz_wipe_table *table, uintptr_t start, uintptr_t end);

/* What is to be list of a range, relative to its start. */
struct lz_wipe_list {
	size_t count;
	bool is_complete; /* there were no more than fit */
	struct {
		size_t start, end;
	} part[LZ_WIPE_LIST_PARTS];
};

/* Lists what is to be list of [start, end); with the lock. */
void lz_wipe_table_list(
	const struct lz_wipe_table *table, uintptr_t start, uintptr_t end, struct lz_wipe_list *list);

/*
 * Enters a list again for memory that is at `base` now: what reached its end, old_length, reaches new_length
 * (SIZE_MAX both: as it was). With the lock.
 */
void lz_wipe_table_restore(struct lz_wipe_table *table, uintptr_t base, const struct lz_wipe_list *list,
	size_t old_length, size_t new_length);

/* Whether no range is to be list. Without the lock: a range that another thread changes may be missed. */
bool lz_wipe_table_is_empty(const struct lz_wipe_table *table);

/* Drops what [start, end) holds of the ranges to be list. No lock. */
void lz_wipe_table_discard(
	const struct lz_wipe_table *table, const struct lz_os *os, uintptr_t start, uintptr_t end);

#endif
