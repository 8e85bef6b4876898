/*
 * The budget: how many bytes of page tables this process may need, and where that number comes from.
 *
 * Resolved once, when it is first needed: finding the memory limit opens about ten files (150 us), which a
 * program that makes no large allocation should not pay. Not thread-safe; the caller holds the core's lock.
 */
#ifndef LZ_ACCOUNTING_BUDGET_SIZE_H
#define LZ_ACCOUNTING_BUDGET_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "support/options.h"

struct lz_budget_size {
	bool resolved;
	uint64_t bytes;
	uint64_t memory;       /* min(RAM, cgroup limit), bytes; UINT64_MAX when unknown */
	bool from_cgroup;      /* the cgroup limit is the smaller */
	bool overcommit_never; /* vm.overcommit_memory is 2: the kernel counts what may be written, not what
				   is */
	char source[64];       /* "5% of cgroup limit 1.00 GiB", "LAZYZERO_BUDGET=64M", "lz_set_budget" */
};

/* Reads the machine's limits under root (see lz_memory_limit) and applies the spec. */
void lz_budget_size_resolve(struct lz_budget_size *budget, const struct lz_os *os,
	const struct lz_budget_spec *spec, const char *root);

/* Replaces the number; memory stays as found. */
void lz_budget_size_set(struct lz_budget_size *budget, uint64_t bytes);

#endif
