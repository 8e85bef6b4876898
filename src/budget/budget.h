/*
 * The budget: decides on each large request before the memory is mapped. A request within the budget is
 * granted. A request that would exceed it is put on a window, logged, or refused, as the options say; a small
 * one is put on a window only if the budget is exceeded by half, or if the policy refuses. Cached regions are
 * unmapped before they make a request exceed the budget.
 *
 * A grant reserves the page tables of the request until lz_budget_settle, so that requests of other threads
 * take them into account. Thread-safe; functions take the lock of the books.
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

/* The result of a decision; if cost is 0, only cost, over_budget and window are valid. */
struct lz_grant {
	uint64_t cost;       /* bytes of page tables, reserved until lz_budget_settle */
	bool over_budget;    /* granted although it exceeds the budget */
	bool flush_may_help; /* without the cached regions it would perhaps not exceed the budget */
	uint64_t window;     /* bytes of the zero window that is used; 0: none */
	uint64_t plain_cost; /* bytes of page tables without a window, as in struct lz_table_demand */
	uint64_t committed, actual, budget; /* bytes, when the decision was made */
	const struct lz_request *request;
	struct lz_reservation_handle hold; /* the reservation, visible to other threads */
};

/*
 * Initialises an empty grant. Sets only the members that are read, because every small mmap(2) takes this
 * path.
 */
static inline void lz_grant_init_empty(struct lz_grant *grant)
{
	grant->cost = 0;
	grant->over_budget = false;
	grant->window = 0;
}

/*
 * Decides on a request. If need->can_use_window is set and the user or the budget asks for a window, the
 * grant is for a window and *lease holds it; release the lease after mapping. `lease` may be NULL: no window.
 * Returns 0: granted; -ENOMEM: refused and logged; -EAGAIN: the lock cannot be had. Only on 0 is something
 * reserved or held. The request must live until lz_budget_settle. *need is changed to describe the backing
 * that was chosen.
 */
int lz_budget_request(struct lz_budget *budget, const struct lz_request *request,
	struct lz_table_demand *need, struct lz_grant *grant, struct lz_lease *lease);

/*
 * Ends a reservation, after the range was entered into the ledger or if it will not be. If `succeeded`, a
 * request that was granted over the budget is logged now. Needs no lock.
 */
void lz_budget_settle(struct lz_budget *budget, struct lz_grant *grant, bool succeeded);

#endif
