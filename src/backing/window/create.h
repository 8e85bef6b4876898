/*
 * Making a zero window, and making it whole again. Without the lock. Each returns 0, or -errno with what went
 * wrong in *failure.
 */
#ifndef LZ_CORE_WINDOW_MAKE_H
#define LZ_CORE_WINDOW_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lz_backings;
struct lz_window;

/* What went wrong: a step, named for a person, and -errno, or 0 where the step's name says it all. */
struct lz_window_failure {
	const char *step;
	int error;
};

/* Notes it; returns error, or -EAGAIN for 0. */
int lz_window_fail(struct lz_window_failure *failure, const char *step, int error);

/* A sealed memfd of `bytes` zeros, mapped as keeper and source, in huge pages, locked where the limit allows.
 */
int lz_window_make(struct lz_backings *backings, struct lz_window_failure *failure, size_t bytes,
	struct lz_window *window);

/* Whether all of the keeper is mapped by huge pages now: what the kernel says of it, not what it promised. */
bool lz_window_is_whole(struct lz_backings *backings, uintptr_t keeper, size_t bytes);

/* Turns the keeper's pages into huge ones. */
int lz_window_collapse(
	struct lz_backings *backings, struct lz_window_failure *failure, uintptr_t keeper, size_t bytes);

/* The step where the kernel lacks MREMAP_DONTUNMAP. */
extern const char lz_window_no_clones[];

/* Why the kernel gave no huge pages, as far as it says; `error` is what MADV_COLLAPSE answered. */
int lz_window_no_huge_pages(struct lz_backings *backings, struct lz_window_failure *failure, int error);

#endif
