/* The size of the budget; see budget_size.h. */
#include "accounting/budget_size.h"

#include "base/text.h"
#include "os/cgroup.h"
#include "os/procfs.h"

#define MILLION 1000000u

void lz_budget_size_set(struct lz_budget_size *budget, uint64_t bytes)
{
	struct lz_text source = lz_text_init(budget->source, sizeof budget->source);

	budget->bytes = bytes;
	budget->set_by_program = true;
	lz_text_string(&source, "lz_set_budget");
}

static void apply(
	struct lz_budget_size *budget, const struct lz_budget_spec *spec, const struct lz_memory_limit *found)
{
	const struct lz_memory_limit limit = *found;
	struct lz_text source;

	budget->memory = limit.bytes;
	budget->from_cgroup = limit.from_cgroup;
	if (budget->set_by_program)
		return;
	source = lz_text_init(budget->source, sizeof budget->source);
	if (!spec->is_percent) {
		budget->bytes = spec->bytes;
		lz_text_string(&source, LZ_OPTION_PREFIX "BUDGET=");
		lz_text_string(&source, spec->text);
	} else if (limit.bytes == UINT64_MAX) {
		/*
		 * Without /proc, the memory size is unknown and a percentage cannot be applied. Set no limit
		 * rather than an arbitrary one.
		 */
		budget->bytes = UINT64_MAX;
		lz_text_string(&source, spec->text);
		lz_text_string(&source, " of unknown memory: no limit");
	} else {
		budget->bytes = (uint64_t)((__uint128_t)limit.bytes * spec->millionths / MILLION);
		lz_text_string(&source, spec->text);
		lz_text_string(&source, limit.from_cgroup ? " of cgroup limit " : " of RAM ");
		lz_text_size(&source, limit.bytes);
	}
}

void lz_budget_size_resolve(struct lz_budget_size *budget, const struct lz_os *os,
	const struct lz_budget_spec *spec, const char *root)
{
	const struct lz_memory_limit limit = lz_memory_limit(os, root);
	uint64_t overcommit;

	apply(budget, spec, &limit);
	budget->overcommit_never =
		lz_proc_number(os, "/proc/sys/vm/overcommit_memory", &overcommit) == 0 && overcommit == 2;
	__atomic_store_n(&budget->checked_ms, os->now_ms(), __ATOMIC_RELAXED);
	/* Set last: if a fork happens before, the child has an unresolved budget and not one of 0. */
	__atomic_store_n(&budget->resolved, true, __ATOMIC_RELEASE);
}

bool lz_budget_size_update(struct lz_budget_size *budget, const struct lz_os *os,
	const struct lz_budget_spec *spec, const char *root)
{
	const struct lz_memory_limit limit = lz_memory_limit(os, root);

	__atomic_store_n(&budget->checked_ms, os->now_ms(), __ATOMIC_RELAXED);
	/* A program may have lost its /proc since (chroot), which does not change its limit. */
	if (!limit.known || (limit.bytes == budget->memory && limit.from_cgroup == budget->from_cgroup))
		return false;
	apply(budget, spec, &limit);
	return true;
}
