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
 * Reading VmPTE takes 5 to 8 us. It is read again after this time, and before a refusal. Page tables that
 * lazyzero does not see go unnoticed for no longer than that.
 */
#define ACTUAL_AGE_MS 10u

/*
 * Reconciling with /proc/self/maps takes about 0.3 us for each mapping, of which there may be 65,530. Unless
 * a request is about to be refused, a wrong decision only costs a window or a line in the log, so a program
 * far over its budget pays for this ten times a second, and a 64th of its time at most.
 */
#define RECONCILE_AGE_MS 100u
#define RECONCILE_SHARE 64u

/*
 * A request for fewer PTE tables than this (below 32 MiB on x86-64) is not worth a window, whose mapping
 * takes 10 us more and leaves one mapping less for others. As long as the budget is exceeded by no more than
 * half, such requests stay plain.
 */
#define SMALL_TABLES_LOG2 4u

static bool may_reconcile(const struct lz_budget *budget)
{
	const struct lz_books *books = budget->books;

	return books->reconciled_ms == 0 ||
	       budget->os->now_ms() - books->reconciled_ms >=
		       lz_max_u64(RECONCILE_AGE_MS, RECONCILE_SHARE * books->reconcile_took_ms);
}

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
	lz_group_scan(&budget->books->group, refusable ? 0 : GROUP_SCAN_EXCESS_MS);
	if (refusable || may_reconcile(budget)) {
		/* A system call for each reservation of a call in progress. */
		lz_reservations_reclaim(&budget->books->reservations);
		lz_books_reconcile(budget->books);
	}
	if (refusable)
		lz_books_read_vmpte(budget->books, 0);
	return lz_books_exceeds(budget->books, cost);
}

/* Whether a request that exceeds the budget stays plain although it could be put on a window. */
static bool is_too_small_for_a_window(
	const struct lz_budget *budget, const struct lz_table_demand *need, uint64_t cost)
{
	struct lz_books *books = budget->books;

	return budget->options->policy != LZ_POLICY_REFUSE &&
	       need->bytes >> books->ledger.span_shift[0] >> SMALL_TABLES_LOG2 == 0 &&
	       !lz_books_exceeds_by(books, cost, books->budget.bytes / 2);
}

/*
 * Calls that could not be followed may make the sum too small. The books are then reconciled even if the
 * request seems to be within the budget.
 */
static void reconcile_if_stale(struct lz_budget *budget)
{
	if (!lz_books_may_be_stale(budget->books) || !may_reconcile(budget))
		return;
	atomic_store_explicit(&budget->books->has_untracked_calls, false, memory_order_relaxed);
	lz_books_reconcile(budget->books);
}

/* What a message needs besides the grant. Not on the stack, because this is one of the deepest paths. */
struct message_details {
	char module[64], source[sizeof((struct lz_budget_size *)0)->source];
	struct lz_group_sum group;
};

static void log_decision(struct lz_budget *budget, enum lz_event_kind kind, const struct lz_grant *grant)
{
	struct message_details *details = lz_scratch_take(budget->os);
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
		.address = address,
		.offset = address,
	};

	if (details == NULL)
		return; /* the log would lack memory as well */
	*details = (struct message_details){.source = "another"};
	event.module = details->module;
	event.source = details->source;
	event.group = &details->group;
	if (lz_books_lock(budget->books)) {
		memcpy(details->source, budget->books->budget.source, sizeof details->source);
		details->group = budget->books->group_at_excess;
		event.group_name = lz_group_name(&budget->books->group);
		lz_books_unlock(budget->books);
	}
	/* The return address may be the first byte of another line; the call is at the byte before it. */
	if (lz_log_would_show(budget->log, kind, address) &&
		lz_module_and_offset(budget->os, LZ_MAPS, address - 1, details->module,
			sizeof details->module, &event.offset) == 0)
		event.offset++;
	lz_log_event(budget->log, &event);
	lz_scratch_release(budget->os, details);
}

/*
 * Makes one decision, with a value of VmPTE of at most that age. Returns 0, -ENOMEM (refused), -EAGAIN (the
 * lock cannot be had), or -EXDEV: the request exceeds the budget and may be put on a window; then nothing was
 * granted or logged.
 */
static int decide(struct lz_budget *budget, const struct lz_table_demand *need, uint64_t vmpte_age_ms,
	struct lz_grant *grant)
{
	bool refusable = budget->options->policy == LZ_POLICY_REFUSE && !need->can_use_window;
	bool refused, windowed;

	if (!lz_books_lock(budget->books))
		return -EAGAIN;
	lz_books_resolve_budget(budget->books);
	grant->cost = lz_cost_of(budget->books, need);
	lz_books_read_vmpte(budget->books, vmpte_age_ms);
	reconcile_if_stale(budget);
	lz_group_scan(&budget->books->group, GROUP_SCAN_MS);
	grant->over_budget = grant->cost != 0 && lz_books_exceeds(budget->books, grant->cost) &&
			     exceeds_after_reconcile(budget, grant->cost, refusable);
	windowed = grant->over_budget && need->can_use_window &&
		   !is_too_small_for_a_window(budget, need, grant->cost);
	if (grant->over_budget)
		lz_group_sum(&budget->books->group, &budget->books->group_at_excess);
	grant->flush_may_help = grant->over_budget && !lz_books_exceeds_by(budget->books, grant->cost,
							      lz_cache_table_bytes_max(budget->cache));
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
	/* No window has smaller pieces; to find that out by acquiring one takes a lock. */
	if (need->bytes < lz_window_map_unit(&budget->books->windows))
		need->can_use_window = false;
	if (need->can_use_window && lz_request_backing(request, budget->options) == LZ_BACKING_WINDOW) {
		need->can_use_window = false;
		if (acquire_window(budget, need, lease) == 0)
			apply_window(budget, need, grant, lease);
	}
	error = decide(budget, need, ACTUAL_AGE_MS, grant);
	/*
	 * Neither cached regions nor a memory limit that has been raised may be the reason for an excess. If
	 * cached regions are not, they stay, unless the request is refused: otherwise a program over its
	 * budget could reuse nothing.
	 */
	if (((error == -ENOMEM || (error != -EAGAIN && grant->flush_may_help)) &&
		    lz_cache_flush(budget->cache)) ||
		(error != -EAGAIN && (error != 0 || grant->over_budget) &&
			lz_books_update_budget(budget->books, LIMITS_AGE_OVER_BUDGET_MS))) {
		if (error == 0)
			lz_budget_settle(budget, grant, false);
		error = decide(budget, need, 0, grant);
	}
	if (error == -EXDEV) {
		need->can_use_window = false;
		if (acquire_window(budget, need, lease) == 0) {
			need->plain_cost = grant->cost;
			apply_window(budget, need, grant, lease);
		}
		error = decide(budget, need, ACTUAL_AGE_MS, grant);
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
