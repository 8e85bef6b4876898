/*
 * The size of the budget: how many bytes of page tables this process may need, and the origin of that number.
 *
 * It is resolved when it is first needed: reading the memory limits opens about ten files (150 us), a cost
 * that a program without large allocations should not pay. The limits of control groups can be changed while
 * a process runs, so they are read again now and then. Not thread-safe: the caller holds the lock of the
 * books. Exceptions: `resolved` may be read with acquire semantics at any time, and `bytes` and `checked_ms`,
 * atomically, once that is true.
 */
#ifndef LZ_ACCOUNTING_BUDGET_SIZE_H
#define LZ_ACCOUNTING_BUDGET_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "support/options.h"

struct lz_budget_size {
	bool resolved;
	bool set_by_program; /* by lz_set_budget: does not change with the limits */
	uint64_t checked_ms; /* time when the limits were last read */
	_Atomic uint64_t bytes;
	uint64_t memory;       /* min(RAM, cgroup limit) in bytes; UINT64_MAX if unknown */
	bool from_cgroup;      /* the cgroup limit is smaller than RAM */
	bool overcommit_never; /* vm.overcommit_memory is 2: the kernel accounts for writable memory, whether
				  it is used or not */
	char source[64]; /* origin: "5% of cgroup limit 1.00 GiB", "LAZYZERO_BUDGET=64M", "lz_set_budget" */
};

/* Reads the memory limits below root (see lz_memory_limit) and applies the budget from the options. */
void lz_budget_size_resolve(struct lz_budget_size *budget, const struct lz_os *os,
	const struct lz_budget_spec *spec, const char *root);

/*
 * Reads the memory limits again, and applies them if they have changed. Returns true if so; what cannot be
 * read has not changed.
 */
bool lz_budget_size_update(struct lz_budget_size *budget, const struct lz_os *os,
	const struct lz_budget_spec *spec, const char *root);

/* Sets the budget in bytes. `memory` does not change. */
void lz_budget_size_set(struct lz_budget_size *budget, uint64_t bytes);

#endif
