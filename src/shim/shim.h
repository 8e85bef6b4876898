/*
 * The state of the shim: the core, the thresholds that the fast path compares with, and start-up.
 *
 * Start-up happens at the first intercepted call, whoever makes it (another library's constructor, ld.so), or
 * in the library's own constructor. First the next allocator is looked up; then, once libc has its
 * environment, the core is configured and the thresholds are set. Until then every call is passed on.
 */
#ifndef LZ_SHIM_SHIM_H
#define LZ_SHIM_SHIM_H

#include <linux/prctl.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"

/*
 * Hidden visibility lets the fast path compare with memory directly instead of through the global offset
 * table.
 */
#pragma GCC visibility push(hidden)

extern struct lz_core lz_core;

/*
 * Requests of at least this many bytes leave the fast path. SIZE_MAX until the core is configured, and if
 * such requests are not handled.
 */
extern size_t lz_calloc_threshold;
extern size_t lz_malloc_threshold;

/*
 * The same for memset and its like; these are the program's most frequent calls. 0 until start-up, in .bss,
 * because IFUNC resolvers of other libraries may call memset before this library is relocated. See
 * interpose_memset.c.
 */
extern size_t lz_memset_threshold;

/* Finds the next definitions of memset and its like, to which calls are passed on from then on. Part of
 * start-up. */
void lz_memset_find(void);

/* The same for interpose_exit.c. */
void lz_exit_find(void);

/* Whether the mmap family is handled. */
extern bool lz_mappings_followed;

/* Logs a line and aborts if p is certainly not a block; returns if it may belong to the next allocator. */
void lz_abort_on_misuse(const char *call, const void *p, const void *caller);

/*
 * Whether this option of prctl(2) may make system calls fail that the program does not make itself: a seccomp
 * filter, or system calls that raise SIGSYS by where they are made (PR_SET_SYSCALL_USER_DISPATCH,
 * Linux 5.11).
 */
static inline bool lz_prctl_restricts_syscalls(int option)
{
	return option == PR_SET_SECCOMP || option == PR_SET_SYSCALL_USER_DISPATCH;
}

/* The program is about to install a seccomp filter; see lz_calls_before_seccomp. */
void lz_deactivate(void);

/* realloc of any block, with `caller` as the logged caller. */
void *lz_realloc(void *p, size_t size, const void *caller);

/*
 * Registers the fork handler that wipes memory marked MADV_WIPEONFORK. Must be called before the first such
 * advice. Does nothing after the first time.
 */
void lz_register_fork_handler(void);

#pragma GCC visibility pop

/*
 * Makes lz_next usable. Returns false if the calling thread is already doing so; then only the bootstrap
 * arena is available. Thread-safe.
 */
bool lz_resolve_next(void);

/* Configures the core if that was not possible before. Returns true if the core can be used. Thread-safe. */
bool lz_configure(void);

/*
 * lz_resolve_next and lz_configure, for a call that may be a process's first. Returns false if the calling
 * thread is already in start-up, or if libc has no environment yet; the call then goes through lz_next_calls.
 */
bool lz_ensure_ready(void);

#endif
