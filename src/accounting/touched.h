/*
 * Memory that counts when it is touched: on a window its written blocks, and uncommitted memory (ledger.h).
 * No call announces its page tables. VmPTE contains them, with those tables of committed memory that are
 * there; which part is which only a walk over the pages shows. For the policy refuse.
 */
#ifndef LZ_ACCOUNTING_TOUCHED_H
#define LZ_ACCOUNTING_TOUCHED_H

#include "accounting/books.h"
#include "accounting/cost.h"

/*
 * Reads VmPTE, and measures again (books->touched) if the decision on a demand depends on it. A walk takes at
 * most 0.1 s, after which the sum is too small rather than too large, and walks take at most a twentieth of
 * the time. The sum is 0 before Linux 6.7 (PAGEMAP_SCAN). Does nothing if there is no such memory. Takes the
 * lock, but not during the walk.
 */
void lz_books_update_touched(struct lz_books *books, const struct lz_table_demand *demand);

#endif
