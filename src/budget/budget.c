/* Deciding whether a request fits the budget; see budget.h. */
#include "budget/budget.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "accounting/touched.h"
#include "backing/backings.h"
#include "base/checked.h"
#include "os/descriptors.h"
#include "os/procfs.h"
#include "os/scratch.h"

/*
 * Reading VmPTE takes 5 to 8 us. It is read again after this time, or when a 64th of the budget has been
 * granted since. Page tables that lazyzero does not see go unnoticed for no longer than that.
 */
#define ACTUAL_AGE_MS 10u
#define ACTUAL_SHARE 64u

/*
 * Reconciling with /proc/self/maps takes about 0.3 us for each mapping, of which there may be 65,530. Under
 * policy log a wrong decision only costs a line in the log, so a program far over its budget pays for this
 * ten times a second.
 */
#define RECONCILE_AGE_MS 100u

/*
 * Reading the memory limits takes 0.2 ms and opens ten files. They are read again after this time: for every
 * request, and for one that exceeds the budget.
 */
#define LIMITS_AGE_MS 10000u
#define LIMITS_AGE_OVER_BUDGET_MS 1000u

/*
 * How old the last look at all processes of a group may be: 20 us for each process. What a killed process
 * held counts no longer than that; before an excess is reported, it is checked sooner.
 */
#define GROUP_SCAN_MS 500u
#define GROUP_SCAN_EXCESS_MS 100u

/* Checks again after reconciling: a refusal or a log line must be based on facts. */
static bool exceeds_after_reconcile(struct lz_budget *budget, uint64_t cost, bool refusable)
{
	uint64_t age = budget->os->now_ms() - budget->books->reconciled_ms;

	lz_reservations_reclaim(&budget->books->reservations);
	lz_group_scan(&budget->books->group, refusable ? 0 : GROUP_SCAN_EXCESS_MS);
	if (refusable || budget->books->reconciled_ms == 0 || budget->books->ledger.inexact ||
		age >= RECONCILE_AGE_MS)
		lz_books_reconcile(budget->books);
	lz_books_read_vmpte(budget->books, 0);
	return lz_books_exceeds(budget->books, cost);
}

/*
 * Calls that could not be followed may make the sum too small. The books are then reconciled even if the
 * request seems to be within the budget.
 */
static void reconcile_if_stale(struct lz_budget *budget)
{
	if (!lz_books_may_be_stale(budget->books))
		return;
	if (budget->os->now_ms() - budget->books->reconciled_ms < RECONCILE_AGE_MS)
		return;
	atomic_store_explicit(&budget->books->has_untracked_calls, false, memory_order_relaxed);
	lz_books_reconcile(budget->books);
}

/* What a message needs besides the grant. Not on the stack, because this is one of the deepest paths. */
struct particulars {
	char module[64], source[sizeof((struct lz_budget_size *)0)->source];
	struct lz_group_sum group;
};

static void log_decision(struct lz_budget *budget, enum lz_event_kind kind, const struct lz_grant *grant)
{
	struct particulars *found = lz_scratch_take(budget->os);
	uint64_t address = (uint64_t)(uintptr_t)grant->request->caller;
	struct lz_event event = {
		.kind = kind,
		.call = grant->request->call,
		.size = grant->request->size,
		.cost = grant->cost,
		.committed = grant->committed,
		.actual = grant->actual,
		.budget = grant->budget,
		.window = grant->window,
		.plain_cost = grant->plain_cost,
		.offset = address,
	};

	if (found == NULL)
		return; /* the log would lack memory as well */
	*found = (struct particulars){.source = "another"};
	event.module = found->module;
	event.source = found->source;
	event.group = &found->group;
	if (lz_books_lock(budget->books)) {
		memcpy(found->source, budget->books->budget.source, sizeof found->source);
		found->group = budget->books->group_in_excess;
		event.group_name = lz_group_name(&budget->books->group);
		lz_books_unlock(budget->books);
	}
	/* The return address may be the first byte of another line; the call is at the byte before it. */
	if (lz_log_would_show(budget->log, kind) &&
		lz_module_and_offset(budget->os, LZ_MAPS, address - 1, found->module, sizeof found->module,
			&event.offset) == 0)
		event.offset++;
	lz_log_event(budget->log, &event);
	lz_scratch_release(budget->os, found);
}

/*
 * Makes one decision. Returns 0, -ENOMEM (refused), -EAGAIN (the lock cannot be had), or -EXDEV: the request
 * exceeds the budget and may be put on a window; then nothing was granted or logged.
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
	reconcile_if_stale(budget);
	lz_group_scan(&budget->books->group, GROUP_SCAN_MS);
	grant->over_budget = grant->cost != 0 && lz_books_exceeds(budget->books, grant->cost) &&
			     exceeds_after_reconcile(budget, grant->cost, refusable);
	windowed = grant->over_budget && need->can_use_window;
	if (grant->over_budget)
		lz_group_sum(&budget->books->group, &budget->books->group_in_excess);
	grant->committed = lz_books_committed(budget->books);
	grant->actual = budget->books->actual;
	grant->budget = budget->books->budget.bytes;
	grant->plain_cost = need->plain_cost;
	refused = grant->over_budget && budget->options->policy == LZ_POLICY_REFUSE;
	if (!refused && !windowed && grant->cost != 0) {
		atomic_fetch_add_explicit(
			&budget->books->reservations.bytes, grant->cost, memory_order_relaxed);
		lz_reservation_slot_add(&budget->books->reservations, &grant->hold, grant->cost, NULL);
	}
	lz_books_unlock(budget->books);
	return windowed ? -EXDEV : refused ? -ENOMEM : 0;
}

static int acquire_window(
	struct lz_budget *budget, const struct lz_table_demand *need, struct lz_lease *lease)
{
	return lz_backing_for_choice(LZ_BACKING_WINDOW)
		->acquire(budget->backings, need->bytes, need->bytes, lease);
}

/* Adapts the need and the grant to a leased window. */
static void apply_window(struct lz_budget *budget, struct lz_table_demand *need, struct lz_grant *grant,
	const struct lz_lease *lease)
{
	grant->window = lease->bytes;
	if (lease->bytes != 0)
		need->page_shift = budget->books->ledger.span_shift[0];
}

int lz_budget_request(struct lz_budget *budget, const struct lz_request *request,
	struct lz_table_demand *need, struct lz_grant *grant, struct lz_lease *lease)
{
	int error;

	grant->request = request;
	grant->window = 0;
	if (lease != NULL)
		*lease = (struct lz_lease){.backing = NULL};
	else
		need->can_use_window = false;
	/* Resolved here, because acquiring a window needs it at twice the stack depth. */
	lz_books_resolve_budget_early(budget->books);
	lz_books_update_budget(budget->books, LIMITS_AGE_MS);
	if (budget->options->policy == LZ_POLICY_REFUSE)
		lz_books_update_touched(budget->books, need);
	if (need->can_use_window && lz_request_backing(request, budget->options) == LZ_BACKING_WINDOW) {
		need->can_use_window = false;
		if (acquire_window(budget, need, lease) == 0)
			apply_window(budget, need, grant, lease);
	}
	error = decide(budget, need, grant);
	/* Neither cached regions nor a memory limit that has been raised may be the reason for an excess. */
	if ((error == -EXDEV || error == -ENOMEM || (error == 0 && grant->over_budget)) &&
		(lz_cache_flush(budget->cache) |
			lz_books_update_budget(budget->books, LIMITS_AGE_OVER_BUDGET_MS))) {
		if (error == 0)
			lz_budget_settle(budget, grant, false);
		error = decide(budget, need, grant);
	}
	if (error == -EXDEV) {
		need->can_use_window = false;
		if (acquire_window(budget, need, lease) == 0) {
			need->plain_cost = grant->cost;
			apply_window(budget, need, grant, lease);
		}
		error = decide(budget, need, grant);
	}
	if (error != 0 && lease != NULL)
		lz_lease_release(budget->backings, lease);
	if (error != -ENOMEM)
		return error;
	lz_stats_add(&budget->books->stats, refused, 1);
	log_decision(budget, LZ_EVENT_REFUSED, grant);
	return -ENOMEM;
}

void lz_budget_settle(struct lz_budget *budget, struct lz_grant *grant, bool succeeded)
{
	if (grant->cost == 0)
		return;
	if (lz_reservation_slot_remove(&grant->hold))
		lz_reservations_subtract(&budget->books->reservations, grant->cost);
	if (!succeeded) {
		lz_books_publish_charge(budget->books);
		return;
	}
	if (grant->over_budget) {
		lz_stats_add(&budget->books->stats, over_budget, 1);
		log_decision(budget, LZ_EVENT_SERVED, grant);
	} else if (grant->window != 0 && grant->plain_cost != 0) {
		lz_stats_add(&budget->books->stats, windowed, 1);
		log_decision(budget, LZ_EVENT_WINDOWED, grant);
	}
}
