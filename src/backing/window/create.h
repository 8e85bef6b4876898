/*
 * Creating a zero window and restoring its huge pages. Functions are called without the lock of the books.
 * Each returns 0, or -errno and describes the failure in *failure.
 */
#ifndef LZ_BACKING_WINDOW_CREATE_H
#define LZ_BACKING_WINDOW_CREATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lz_backings;
struct lz_window;

/* A failure: the step that failed, in words for the user, and -errno, or 0 if the step says enough. */
struct lz_window_failure {
	const char *step;
	int error;
};

/* Fills in a failure; returns `error`, or -EAGAIN if it is 0. */
int lz_window_set_failure(struct lz_window_failure *failure, const char *step, int error);

/*
 * Creates a sealed memfd of `bytes` zero bytes, mapped as keeper and source, in huge pages, and locked if
 * RLIMIT_MEMLOCK allows it.
 */
int lz_window_create(struct lz_backings *backings, struct lz_window_failure *failure, size_t bytes,
	struct lz_window *window);

/*
 * Whether huge pages map all of the keeper, as reported by the page tables (PAGEMAP_SCAN, or smaps before
 * Linux 6.7).
 */
bool lz_window_has_huge_pages(struct lz_backings *backings, uintptr_t keeper, size_t bytes);

/* Collapses the keeper's pages into huge pages (MADV_COLLAPSE, Linux 6.1). */
int lz_window_collapse(
	struct lz_backings *backings, struct lz_window_failure *failure, uintptr_t keeper, size_t bytes);

/*
 * Finds out why the kernel gave no huge pages; `error` is the result of MADV_COLLAPSE. Always returns an
 * error.
 */
int lz_window_explain_no_huge_pages(
	struct lz_backings *backings, struct lz_window_failure *failure, int error);

/* The reason where the kernel lacks MREMAP_DONTUNMAP for files. */
extern const char lz_window_no_clones[];

#endif
