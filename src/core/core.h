/*
 * The core: the rooms of one process, wired together. This file and core.c, the shim, and tests are the only
 * ones that see all of them; each room has only those that it was given.
 *
 * It knows nothing of interposition, so it runs in tests with any os table; the shim calls it, and it never
 * calls back but through functions that the shim registers.
 */
#ifndef LZ_CORE_CORE_H
#define LZ_CORE_CORE_H

#include <stdbool.h>

#include "accounting/books.h"
#include "backing/backing.h"
#include "backing/window/window.h"
#include "budget/budget.h"
#include "cache/cache.h"
#include "calls/calls.h"
#include "heap/heap.h"
#include "sites/report.h"

struct lz_core {
	const struct lz_os *os; /* our own system calls */
	struct lz_options options;
	struct lz_log log;
	bool active; /* malloc, calloc and mmap are to be handled in this program */
	struct lz_books books;
	struct lz_windows windows;
	struct lz_backings backings;
	struct lz_cache cache;
	struct lz_budget budget;
	struct lz_reporter reporter;
	struct lz_heap heap;
	struct lz_calls calls;
};

/*
 * Prepares a zeroed core: reads the options from envp, opens log and statistics. Leaves the rest for the
 * first call that needs it. executable is the name the program was started by. 0 or -errno: then it is not
 * active.
 */
int lz_core_init(struct lz_core *core, const struct lz_os *os, char *const *envp, const char *executable);

/* From now on, calls of the program are passed on to the functions in `next`; to the kernel until then. */
void lz_core_set_next(struct lz_core *core, const struct lz_os *next);

/* In a forked child, before the program runs on: ranges of MADV_WIPEONFORK are wiped. */
void lz_core_after_fork(struct lz_core *core);

/* At exit: last counters and the log's closing line. */
void lz_core_close(struct lz_core *core);

#endif
