/* The decision: does a request fit the budget? See budget.h. */
#include "budget/budget.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "backing/all.h"
#include "base/checked.h"
#include "os/descriptors.h"
#include "os/procfs.h"

/*
 * Reading VmPTE takes 5 to 8 us. It is read again after this long, or as soon as a 64th of the budget has
 * been granted since: what bypasses us can hide for no longer than that.
 */
#define ACTUAL_AGE_MS 10u
#define ACTUAL_SHARE 64u

/*
 * Comparing with /proc/self/maps takes about 0.3 us for each mapping, of which there may be 65,530. Under
 * policy log a wrong decision costs a line in the log, so a program far over its budget pays for it ten times
 * a second.
 */
#define RECONCILE_AGE_MS 100u

/* The same on fresh facts: what is about to be refused or reported must be true. */
static bool truly_exceeds(struct lz_budget *budget, uint64_t cost, bool refusable)
{
	uint64_t age = budget->os->now_ms() - budget->books->reconciled_ms;

	lz_reservations_reclaim(&budget->books->reservations);
	if (refusable || budget->books->reconciled_ms == 0 || budget->books->ledger.inexact ||
		age >= RECONCILE_AGE_MS)
		lz_books_reconcile(budget->books);
	lz_books_read_vmpte(budget->books, 0);
	return lz_books_exceeds(budget->books, cost);
}

/* Calls that could not be followed make the sum too small: then it is not believed even when it is within
 * budget. */
static void reconcile_missed(struct lz_budget *budget)
{
	if (!lz_books_may_be_stale(budget->books))
		return;
	if (budget->os->now_ms() - budget->books->reconciled_ms < RECONCILE_AGE_MS)
		return;
	atomic_store_explicit(&budget->books->has_untracked_calls, false, memory_order_relaxed);
	lz_books_reconcile(budget->books);
}

static void log_decision(struct lz_budget *budget, enum lz_event_kind kind, const struct lz_grant *grant)
{
	char module[64] = "", source[sizeof budget->books->budget.source] = "another";
	uint64_t address = (uint64_t)(uintptr_t)grant->request.caller;
	struct lz_event event = {
		.kind = kind,
		.call = grant->request.call,
		.size = grant->request.size,
		.cost = grant->cost,
		.committed = grant->committed,
		.actual = grant->actual,
		.budget = grant->budget,
		.source = source,
		.window = grant->window,
		.plain_cost = grant->plain_cost,
		.module = module,
		.offset = address,
	};

	/* Not copied with each decision: that would be in every frame from the decision up. */
	if (lz_books_lock(budget->books)) {
		memcpy(source, budget->books->budget.source, sizeof source);
		lz_books_unlock(budget->books);
	}
	/* The return address may be the first byte of another line: the call is the byte before it. */
	if (lz_log_would_show(budget->log, kind) && lz_module_and_offset(budget->os, LZ_MAPS, address - 1,
							    module, sizeof module, &event.offset) == 0)
		event.offset++;
	lz_log_event(budget->log, &event);
}

/*
 * One decision. -EXDEV: it exceeds the budget, and a window may answer; nothing was granted or said.
 */
static int decide(struct lz_budget *budget, const struct lz_table_demand *need, struct lz_grant *grant)
{
	bool refusable = budget->options->policy == LZ_POLICY_REFUSE && !need->can_use_window;
	bool refused, windowed;

	if (!lz_books_lock(budget->books))
		return -EAGAIN;
	lz_books_resolve_budget(budget->books);
	grant->cost = lz_cost_of(budget->books, need);
	budget->books->granted_since_read += grant->cost;
	lz_books_read_vmpte(
		budget->books, budget->books->granted_since_read > budget->books->budget.bytes / ACTUAL_SHARE
				       ? 0
				       : ACTUAL_AGE_MS);
	reconcile_missed(budget);
	grant->over = grant->cost != 0 && lz_books_exceeds(budget->books, grant->cost) &&
		      truly_exceeds(budget, grant->cost, refusable);
	windowed = grant->over && need->can_use_window;
	grant->committed = lz_ledger_committed(&budget->books->ledger);
	grant->actual = budget->books->actual;
	grant->budget = budget->books->budget.bytes;
	grant->plain_cost = need->plain_cost;
	refused = grant->over && budget->options->policy == LZ_POLICY_REFUSE;
	if (!refused && !windowed && grant->cost != 0) {
		atomic_fetch_add_explicit(
			&budget->books->reservations.bytes, grant->cost, memory_order_relaxed);
		lz_reservation_add(&budget->books->reservations, &grant->hold, grant->cost, NULL);
	}
	lz_books_unlock(budget->books);
	return windowed ? -EXDEV : refused ? -ENOMEM : 0;
}

static int acquire_window(
	struct lz_budget *budget, const struct lz_table_demand *need, struct lz_lease *lease)
{
	return lz_backing_of(LZ_BACKING_WINDOW)->acquire(budget->backings, need->bytes, need->bytes, lease);
}

/* The need on a window, once there is one. */
static void put_on_window(struct lz_budget *budget, struct lz_table_demand *need, struct lz_grant *grant,
	const struct lz_lease *lease)
{
	grant->window = lease->bytes;
	if (lease->bytes != 0)
		need->page_shift = budget->books->ledger.span_shift[0];
}

int lz_budget_request(struct lz_budget *budget, const struct lz_request *request,
	const struct lz_table_demand *asked, struct lz_grant *grant, struct lz_lease *lease)
{
	struct lz_table_demand need = *asked;
	int error;

	grant->request = *request;
	grant->window = 0;
	if (lease != NULL)
		*lease = (struct lz_lease){.backing = NULL};
	else
		need.can_use_window = false;
	/* Here, and not where a window asks for it with twice the stack in use. */
	lz_books_resolve_budget_early(budget->books);
	if (need.can_use_window && lz_request_backing(request, budget->options) == LZ_BACKING_WINDOW) {
		need.can_use_window = false;
		if (acquire_window(budget, &need, lease) == 0)
			put_on_window(budget, &need, grant, lease);
	}
	error = decide(budget, &need, grant);
	/* What is kept for reuse is not to be the reason. */
	if ((error == -EXDEV || error == -ENOMEM || (error == 0 && grant->over)) &&
		lz_cache_flush(budget->cache)) {
		if (error == 0)
			lz_budget_settle(budget, grant, false);
		error = decide(budget, &need, grant);
	}
	if (error == -EXDEV) {
		need.can_use_window = false;
		if (acquire_window(budget, &need, lease) == 0) {
			need.plain_cost = grant->cost;
			put_on_window(budget, &need, grant, lease);
		}
		error = decide(budget, &need, grant);
	}
	if (error != 0 && lease != NULL)
		lz_lease_release(budget->backings, lease);
	if (error != -ENOMEM)
		return error;
	lz_stats_add(&budget->books->stats, refused, 1);
	log_decision(budget, LZ_EVENT_REFUSED, grant);
	return -ENOMEM;
}

void lz_budget_settle(struct lz_budget *budget, struct lz_grant *grant, bool happened)
{
	if (grant->cost == 0)
		return;
	if (lz_reservation_remove(&grant->hold))
		lz_reservations_subtract(&budget->books->reservations, grant->cost);
	if (!happened)
		return;
	if (grant->over) {
		lz_stats_add(&budget->books->stats, over_budget, 1);
		log_decision(budget, LZ_EVENT_SERVED, grant);
	} else if (grant->window != 0 && grant->plain_cost != 0) {
		lz_stats_add(&budget->books->stats, windowed, 1);
		log_decision(budget, LZ_EVENT_WINDOWED, grant);
	}
}
