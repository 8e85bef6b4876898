/* The page-table bytes that a request comes to, beyond those that the ledger has already. */
#ifndef LZ_ACCOUNTING_COST_H
#define LZ_ACCOUNTING_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"

/*
 * What a request is about to make touchable: a known range, or bytes (instead of old_bytes) whose place the
 * kernel will choose.
 */
struct lz_table_demand {
	uintptr_t start, end; /* a known range; start == end for none */
	uint64_t bytes, old_bytes;
	unsigned page_shift;
	bool can_use_window; /* a zero window could stand behind it */
	uint64_t plain_cost; /* on a window in answer to an excess: what it would cost without one */
};

/* Bytes, as VmPTE counts them; with the lock of the books. */
uint64_t lz_cost_of(struct lz_books *books, const struct lz_table_demand *demand);

#endif
