/*
 * The budget: decides on each large request before it is made. A request within the budget is granted; one
 * that exceeds it is put on a window, or logged, or refused, as the options say. What is kept for reuse is
 * unmapped before it is the reason of an excess.
 *
 * A grant reserves the page tables of the request until lz_budget_settle, so that requests of other threads
 * count them. Thread-safe; functions take the lock of the books.
 */
#ifndef LZ_BUDGET_BUDGET_H
#define LZ_BUDGET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "accounting/cost.h"
#include "accounting/request.h"
#include "backing/backing.h"
#include "cache/cache.h"

struct lz_budget {
	const struct lz_os *os;
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_cache *cache;
	const struct lz_options *options;
	struct lz_log *log;
};

/* What was granted; the rest is undefined where cost is 0. */
struct lz_grant {
	uint64_t cost;                      /* bytes of page tables, reserved until lz_budget_settle */
	bool over;                          /* in spite of the budget */
	uint64_t window;                    /* bytes of the zero window it stands on, 0 for none */
	uint64_t plain_cost;                /* as in the need */
	uint64_t committed, actual, budget; /* bytes, at the time of the decision */
	struct lz_request request;
	struct lz_reservation_handle hold; /* the reservation, as others see it */
};

/* A grant of nothing: sets only what is looked at, for this is on the way of every small mmap. */
static inline void lz_grant_nothing(struct lz_grant *grant)
{
	grant->cost = 0;
	grant->over = false;
	grant->window = 0;
}

/*
 * Decides on a request. Where the need is windowable, and the user asked for the window or the budget asks
 * for it, the grant is for the window and *lease holds it: release it when the mapping stands. `lease` is
 * NULL where there is to be no window. Returns 0: granted; -ENOMEM: refused and logged; -EAGAIN: the lock
 * cannot be had. Only 0 reserves or holds anything.
 */
int lz_budget_request(struct lz_budget *budget, const struct lz_request *request,
	const struct lz_table_demand *need, struct lz_grant *grant, struct lz_lease *lease);

/*
 * Gives a reservation back, its range being in the ledger or not to come; a request that was granted over the
 * budget is logged now that it has happened. No lock.
 */
void lz_budget_settle(struct lz_budget *budget, struct lz_grant *grant, bool happened);

#endif
