/*
 * The decision: does a request fit the budget? Also the steps that keep the ledger and VmPTE fresh enough to
 * decide on.
 */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

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

/* Less than 64 MiB has at most 128 KiB of page tables: not worth reading VmPTE for. */
#define SAMPLE_BYTES (UINT64_C(64) << 20)
#define SAMPLE_AGE_MS 2u /* one read in 2 ms is half a percent */

/* Where a window ends within a block of a huge page, the rest of the block needs a table of its own. */
static uint64_t edge_cost(const struct lz_core *core, uint64_t edge, unsigned page_shift)
{
	return edge % (UINT64_C(1) << page_shift) == 0 ? 0 : lz_table_bytes(core->geometry, 0);
}

static uint64_t fewest_cost(const struct lz_core *core, uint64_t bytes, unsigned page_shift)
{
	struct lz_tables tables = lz_tables_fewest(core->geometry, bytes, page_shift);

	return lz_tables_counted_bytes(core->geometry, &tables) + edge_cost(core, bytes, page_shift);
}

uint64_t lz_core_cost(struct lz_core *core, const struct lz_need *need)
{
	struct lz_tables tables;

	if (need->start != need->end) {
		tables = lz_ledger_marginal(&core->ledger, need->start, need->end, need->page_shift);
		return lz_tables_counted_bytes(core->geometry, &tables) +
		       edge_cost(core, need->start, need->page_shift) +
		       edge_cost(core, need->end, need->page_shift);
	}
	if (need->old_bytes == 0)
		return fewest_cost(core, need->bytes, need->page_shift);
	return lz_sub_clamped(fewest_cost(core, need->bytes, need->page_shift),
		fewest_cost(core, need->old_bytes, need->page_shift));
}

static void prepare(struct lz_core *core)
{
	core->geometry = lz_geometry_probe(core->os);
	lz_ledger_init(&core->ledger, core->geometry, core->os);
	lz_ledger_init(&core->windows.where, core->geometry, core->os);
	core->prepared = true;
}

/*
 * Somebody was changing the books and will not end: keep the table of regions, whose changes are single
 * stores, and what is kept for reuse, which is counted anew, and start the ledger over.
 */
static void start_over(struct lz_core *core)
{
	lz_pool_abandon(&core->regions.pool);
	if (!core->prepared)
		return;
	lz_ledger_abandon(&core->ledger);
	lz_windows_abandon(&core->windows);
	lz_recycle_mend(&core->recycle);
	lz_core_reconcile(core);
}

/* What a forked child has to put right before it uses its copy of the books. */
static void after_fork(struct lz_core *core)
{
	lz_wipe_forked(core);
	lz_descriptors_after_fork(core->os);
	lz_pending_after_fork(core);
	lz_recycle_after_fork(core);
	core->actual_read_ms = 0;
	lz_stats_after_fork(&core->stats);
	lz_log_after_fork(&core->log);
	lz_report_after_fork(core);
}

bool lz_core_enter_at(struct lz_core *core, struct lz_mark *mark)
{
	enum lz_lock_result result;

	if (core->lock.page == NULL)
		return false; /* not set up: too early, or there was no memory for it */
	if (atomic_load_explicit(&core->passive, memory_order_relaxed))
		return false;
	result = lz_lock_enter(&core->lock, mark);
	if (result == LZ_LOCK_UNAVAILABLE) {
		lz_stats_add(&core->stats, untracked, 1);
		/* The call goes on without us: whatever it changes, no region that lives now is used again. */
		atomic_store_explicit(&core->missed, true, memory_order_relaxed);
		atomic_fetch_add_explicit(&core->regions.changes, 1, memory_order_relaxed);
		return false;
	}
	if (result == LZ_LOCK_TORN || result == LZ_LOCK_FORKED_TORN)
		start_over(core);
	if (!core->prepared)
		prepare(core);
	if (result == LZ_LOCK_FORKED || result == LZ_LOCK_FORKED_TORN)
		after_fork(core);
	lz_regions_sweep(&core->regions);
	return true;
}

void lz_core_leave(struct lz_core *core)
{
	lz_lock_leave(&core->lock);
}

void lz_core_publish(struct lz_core *core)
{
	lz_stats_peak(&core->stats, committed, lz_ledger_committed(&core->ledger));
	if (!atomic_load_explicit(&core->windows.any, memory_order_relaxed))
		return;
	lz_stats_set(&core->stats, window_size, lz_window_size(core));
	lz_stats_set(&core->stats, window_mappings, lz_window_mappings(core));
}

void lz_core_read_actual(struct lz_core *core, uint64_t age_ms)
{
	uint64_t now = core->os->now_ms();

	if (core->actual_read_ms != 0 && now - core->actual_read_ms < age_ms)
		return;
	if (lz_proc_value(core->os, LZ_STATUS, "VmPTE:", &core->actual) == 0)
		lz_stats_peak(&core->stats, actual, core->actual);
	else
		core->actual = UINT64_MAX;
	lz_stats_set(&core->stats, minor_faults, core->os->minor_faults());
	core->actual_read_ms = lz_not_never(now);
	core->decided_since_read = 0;
}

void lz_core_sample_peak(struct lz_core *core, uint64_t bytes_to_go)
{
	if (bytes_to_go >= SAMPLE_BYTES && lz_stats_in_file(&core->stats))
		lz_core_read_actual(core, SAMPLE_AGE_MS);
}

bool lz_core_exceeds(struct lz_core *core, uint64_t cost)
{
	uint64_t charge = lz_ledger_committed(&core->ledger) +
			  atomic_load_explicit(&core->reserved, memory_order_relaxed);

	if (core->actual != UINT64_MAX)
		charge = lz_max_u64(charge, core->actual);
	return __builtin_add_overflow(charge, cost, &charge) || charge > core->budget.bytes;
}

void lz_core_publish_budget(struct lz_core *core)
{
	lz_stats_set(&core->stats, budget, core->budget.bytes);
	memcpy(core->stats.wire->budget_source, core->budget.source, sizeof core->budget.source);
}

void lz_core_resolve_budget(struct lz_core *core)
{
	if (core->budget.resolved)
		return;
	lz_budget_resolve(&core->budget, core->os, &core->options.budget, "");
	lz_core_publish_budget(core);
}

/* The same on fresh facts: what is about to be refused or reported must be true. */
static bool truly_exceeds(struct lz_core *core, uint64_t cost, bool refusable)
{
	uint64_t age = core->os->now_ms() - core->reconciled_ms;

	lz_pending_reclaim(core);
	if (refusable || core->reconciled_ms == 0 || core->ledger.inexact || age >= RECONCILE_AGE_MS)
		lz_core_reconcile(core);
	lz_core_read_actual(core, 0);
	return lz_core_exceeds(core, cost);
}

/* Calls that could not be followed make the sum too small: then it is not believed even when it is within
 * budget. */
static void look_for_missed(struct lz_core *core)
{
	if (!core->ledger.inexact && !atomic_load_explicit(&core->missed, memory_order_relaxed))
		return;
	if (core->os->now_ms() - core->reconciled_ms < RECONCILE_AGE_MS)
		return;
	atomic_store_explicit(&core->missed, false, memory_order_relaxed);
	lz_core_reconcile(core);
}

static void report(struct lz_core *core, enum lz_event_kind kind, const struct lz_grant *grant)
{
	char module[64] = "", source[sizeof core->budget.source] = "another";
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
	if (lz_core_enter(core)) {
		memcpy(source, core->budget.source, sizeof source);
		lz_core_leave(core);
	}
	/* The return address may be the first byte of another line: the call is the byte before it. */
	if (lz_log_wants(&core->log, kind) &&
		lz_module_of(core->os, LZ_MAPS, address - 1, module, sizeof module, &event.offset) == 0)
		event.offset++;
	lz_log_event(&core->log, &event);
}

/*
 * One decision. -EXDEV: it exceeds the budget, and a window may answer; nothing was granted or said.
 */
static int decide(struct lz_core *core, const struct lz_need *need, struct lz_grant *grant)
{
	bool refusable = core->options.policy == LZ_POLICY_REFUSE && !need->windowable;
	bool refused, windowed;

	if (!lz_core_enter(core))
		return -EAGAIN;
	lz_core_resolve_budget(core);
	grant->cost = lz_core_cost(core, need);
	core->decided_since_read += grant->cost;
	lz_core_read_actual(
		core, core->decided_since_read > core->budget.bytes / ACTUAL_SHARE ? 0 : ACTUAL_AGE_MS);
	look_for_missed(core);
	grant->over = grant->cost != 0 && lz_core_exceeds(core, grant->cost) &&
		      truly_exceeds(core, grant->cost, refusable);
	windowed = grant->over && need->windowable;
	grant->committed = lz_ledger_committed(&core->ledger);
	grant->actual = core->actual;
	grant->budget = core->budget.bytes;
	grant->plain_cost = need->plain_cost;
	refused = grant->over && core->options.policy == LZ_POLICY_REFUSE;
	if (!refused && !windowed && grant->cost != 0) {
		atomic_fetch_add_explicit(&core->reserved, grant->cost, memory_order_relaxed);
		lz_pending_add(core, &grant->hold, grant->cost, NULL);
	}
	lz_core_leave(core);
	return windowed ? -EXDEV : refused ? -ENOMEM : 0;
}

static bool window_is_asked_for(const struct lz_core *core, const struct lz_request *request)
{
	enum lz_backing backing = request->backing != LZ_BACKING_AUTO
					  ? request->backing
					  : (enum lz_backing)core->options.backing;

	return backing == LZ_BACKING_WINDOW;
}

/* The need on a window, once there is one. */
static void put_on_window(
	struct lz_core *core, struct lz_need *need, struct lz_grant *grant, const struct lz_window_use *use)
{
	grant->window = use->bytes;
	if (use->bytes != 0)
		need->page_shift = core->ledger.span_shift[0];
}

void lz_core_learn(struct lz_core *core)
{
	if (__atomic_load_n(&core->budget.resolved, __ATOMIC_ACQUIRE) || !lz_core_enter(core))
		return;
	lz_core_resolve_budget(core);
	lz_core_leave(core);
}

int lz_core_charge(struct lz_core *core, const struct lz_request *request, const struct lz_need *asked,
	struct lz_grant *grant, struct lz_window_use *use)
{
	struct lz_need need = *asked;
	int error;

	grant->request = *request;
	grant->window = 0;
	if (use != NULL)
		*use = (struct lz_window_use){.window = NULL};
	else
		need.windowable = false;
	/* Here, and not where a window asks for it with twice the stack in use. */
	lz_core_learn(core);
	if (need.windowable && window_is_asked_for(core, request)) {
		need.windowable = false;
		if (lz_window_acquire(core, need.bytes, need.bytes, use) == 0)
			put_on_window(core, &need, grant, use);
	}
	error = decide(core, &need, grant);
	/* What is kept for reuse is not to be the reason. */
	if ((error == -EXDEV || error == -ENOMEM || (error == 0 && grant->over)) && lz_recycle_flush(core)) {
		if (error == 0)
			lz_core_settle(core, grant, false);
		error = decide(core, &need, grant);
	}
	if (error == -EXDEV) {
		need.windowable = false;
		if (lz_window_acquire(core, need.bytes, need.bytes, use) == 0) {
			need.plain_cost = grant->cost;
			put_on_window(core, &need, grant, use);
		}
		error = decide(core, &need, grant);
	}
	if (error != 0 && use != NULL)
		lz_window_release(core, use);
	if (error != -ENOMEM)
		return error;
	lz_stats_add(&core->stats, refused, 1);
	report(core, LZ_EVENT_REFUSED, grant);
	return -ENOMEM;
}

void lz_core_unreserve(struct lz_core *core, uint64_t cost)
{
	uint64_t reserved = atomic_load_explicit(&core->reserved, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&core->reserved, &reserved,
		lz_sub_clamped(reserved, cost), memory_order_relaxed, memory_order_relaxed))
		continue;
}

void lz_core_settle(struct lz_core *core, struct lz_grant *grant, bool happened)
{
	if (grant->cost == 0)
		return;
	if (lz_pending_remove(&grant->hold))
		lz_core_unreserve(core, grant->cost);
	if (!happened)
		return;
	if (grant->over) {
		lz_stats_add(&core->stats, over_budget, 1);
		report(core, LZ_EVENT_SERVED, grant);
	} else if (grant->window != 0 && grant->plain_cost != 0) {
		lz_stats_add(&core->stats, windowed, 1);
		report(core, LZ_EVENT_WINDOWED, grant);
	}
}
