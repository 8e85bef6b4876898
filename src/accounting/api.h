/*
 * Costs and counters for the public API. Thread-safe; functions take the lock of the books. Types are those
 * of lazyzero.h.
 */
#ifndef LZ_ACCOUNTING_API_H
#define LZ_ACCOUNTING_API_H

#include <stddef.h>
#include <stdint.h>

#include "accounting/books.h"
#include "lazyzero.h"

/* As the public functions lz_cost, lz_stats and lz_set_budget; errors are returned as -errno. */
uint64_t lz_accounting_range_cost(struct lz_books *books, const void *address, size_t size);
void lz_accounting_statistics(struct lz_books *books, struct lz_statistics *statistics);
int lz_accounting_set_budget(struct lz_books *books, uint64_t bytes);

#endif
