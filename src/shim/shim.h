/*
 * State of the shim: the one core, the thresholds the fast path compares with, and start-up.
 *
 * Start-up happens at the first intercepted call, whoever makes it (another library's constructor, ld.so), or
 * in our own constructor. Order: look up the next allocator; then, once libc has its environment, configure
 * the core and set the thresholds. Until then every call passes through.
 */
#ifndef LZ_SHIM_SHIM_H
#define LZ_SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"

/* Hidden, so that the fast path compares with memory directly instead of through the global offset table. */
#pragma GCC visibility push(hidden)

extern struct lz_core lz_core;

/*
 * Requests of at least this many bytes leave the fast path; SIZE_MAX until configured, and where not wanted.
 */
extern size_t lz_calloc_threshold;
extern size_t lz_malloc_threshold;

/* The mmap family is followed. */
extern bool lz_mappings_followed;

/* Ends the program, with a line, where p is certain to be no block; otherwise it may be the next allocator's.
 */
void lz_abort_on_misuse(const char *call, const void *p, const void *caller);

/* The program is about to install a seccomp filter; see lz_calls_before_seccomp. */
void lz_deactivate(void);

/* realloc of any block, in the name of `caller`. */
void *lz_realloc(void *p, size_t size, const void *caller);

/* Has forked children wipe what is to be wiped: before the first MADV_WIPEONFORK. */
void lz_register_fork_handler(void);

#pragma GCC visibility pop

/*
 * Makes lz_next usable. False when the calling thread is in the middle of doing so: it then has only the
 * bootstrap arena. Thread-safe.
 */
bool lz_resolve_next(void);

/* Configures the core if that was not possible before. True when the core can be used. */
bool lz_configure(void);

/*
 * Both, for a call that may be a process's first. False while the calling thread is in the middle of it, or
 * libc has no environment yet: the call then goes where lz_next_calls says.
 */
bool lz_ensure_ready(void);

#endif
