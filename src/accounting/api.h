/*
 * The accounting part of the public API (lazyzero.h, whose types are used here). Thread-safe; the functions
 * take the lock of the books, so the caller must not hold it.
 */
#ifndef LZ_ACCOUNTING_API_H
#define LZ_ACCOUNTING_API_H

#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"
#include "lazyzero.h"

/*
 * Implement lz_cost, lz_stats and lz_set_budget. Sizes are in bytes. lz_accounting_range_cost returns
 * LZ_UNKNOWN if the lock is unavailable; lz_accounting_set_budget then returns -EAGAIN.
 */
uint64_t lz_accounting_range_cost(struct lz_books *books, const void *address, size_t size);
void lz_accounting_statistics(struct lz_books *books, struct lz_statistics *statistics);
int lz_accounting_set_budget(struct lz_books *books, uint64_t bytes);

#endif
