/* The page tables that a request needs in addition to those of the ranges in the ledger. */
#ifndef LZ_ACCOUNTING_COST_H
#define LZ_ACCOUNTING_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"

/*
 * Memory that a request is about to make accessible: a known range; or `bytes` bytes, replacing `old_bytes`,
 * at an address that the kernel will choose.
 */
struct lz_table_demand {
	uintptr_t start, end; /* a known range; start == end if it is not known */
	uint64_t bytes, old_bytes;
	unsigned page_shift;
	bool replaces;       /* a new mapping takes the place of what is in the known range */
	bool can_use_window; /* a zero window can back it */
	uint64_t plain_cost; /* if a window backs it because of the budget: the cost without the window */
};

/* Returns the cost in bytes, as VmPTE counts them. Needs the lock of the books. */
uint64_t lz_cost_of(struct lz_books *books, const struct lz_table_demand *demand);

#endif
