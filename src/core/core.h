/*
 * The core creates the modules (rooms) of a process and connects them. Only core.c, the shim and tests see
 * all of them; each gets pointers only to those that it uses.
 *
 * The core does not know about interposition, so tests run it with any os table. The shim calls the core; the
 * core calls back only through functions that the shim registers.
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
#include "zeroing/zeroing.h"

struct lz_core {
	const struct lz_os *os; /* lazyzero's own system calls */
	struct lz_options options;
	struct lz_log log;
	bool active; /* malloc, calloc and mmap are handled in this program */
	struct lz_books books;
	struct lz_windows windows;
	struct lz_backings backings;
	struct lz_cache cache;
	struct lz_budget budget;
	struct lz_reporter reporter;
	struct lz_zeroing zeroing;
	struct lz_heap heap;
	struct lz_calls calls;
};

/*
 * Initialises a zeroed core: reads the options from envp, opens the log and the statistics. The rest is set
 * up by the first call that needs it. `executable` is the name the program was started with. 0 or -errno; on
 * failure the core is not active. Called before there are threads.
 */
int lz_core_init(struct lz_core *core, const struct lz_os *os, char *const *envp, const char *executable);

/* From now on, the program's calls are passed on to the functions in `next`; before, to the kernel. */
void lz_core_set_next(struct lz_core *core, const struct lz_os *next);

/* In a forked child, before the program continues: wipes the ranges marked MADV_WIPEONFORK. */
void lz_core_after_fork(struct lz_core *core);

/* At exit: writes the last counters and the log's closing line. */
void lz_core_close(struct lz_core *core);

#endif
