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
	lz_text_string(&source, "lz_set_budget");
}

void lz_budget_size_resolve(struct lz_budget_size *budget, const struct lz_os *os,
	const struct lz_budget_spec *spec, const char *root)
{
	struct lz_memory_limit limit = lz_memory_limit(os, root);
	struct lz_text source = lz_text_init(budget->source, sizeof budget->source);
	uint64_t overcommit;

	budget->memory = limit.bytes;
	budget->from_cgroup = limit.from_cgroup;
	budget->overcommit_never =
		lz_proc_number(os, "/proc/sys/vm/overcommit_memory", &overcommit) == 0 && overcommit == 2;
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
	/* Set last: if a fork happens before, the child has an unresolved budget and not one of 0. */
	__atomic_store_n(&budget->resolved, true, __ATOMIC_RELEASE);
}
