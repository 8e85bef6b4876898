/*
 * Decides which blocks of an object are to be collapsed, and through which mapping.
 *
 * A collapse fills the holes of a block. Memory that only a process and its children can have (shared
 * anonymous, System V) is collapsed from a density on. A memfd or a file can be passed on and punched by
 * whoever has it, so its blocks are collapsed only where they are full, unless another density was asked for.
 */
#ifndef LZ_CLI_COLLAPSE_PLAN_H
#define LZ_CLI_COLLAPSE_PLAN_H

#include "cli/collapse/sharing.h"
#include "cli/collapse/view.h"

/* Percentages of the pages of a block, 1 to 100. */
struct lz_densities {
	unsigned memory; /* of shared anonymous memory and System V segments */
	unsigned files;  /* of memfds and files on tmpfs */
};

/* Whether a block of the object that holds so many pages is worth collapsing. */
bool lz_plan_is_dense(const struct lz_sharing *sharing, const struct lz_shared_object *object,
	const struct lz_densities *densities, uint64_t pages);

/*
 * Finds the mapping through which a block can be collapsed: aligned, whole, of a chosen process that is
 * alive. Returns NULL if there is none or some mapping of it is to be left alone, and why in *problem.
 */
const struct lz_shared_mapping *lz_plan_mapping(
	struct lz_sharing *sharing, struct lz_shared_object *object, size_t block, const char **problem);

/* Sets the state of each block of the object. Returns 0, or -ENOMEM or another -errno. */
int lz_plan_object(struct lz_sharing *sharing, struct lz_shared_object *object,
	const struct lz_densities *densities, const struct lz_view *view);

/* Adds the blocks of each state to `counts`, by enum lz_block_state; and their pages to *pages. */
void lz_plan_count(const struct lz_shared_object *object, uint64_t counts[LZ_BLOCK_STATES], uint64_t *pages);

#endif
