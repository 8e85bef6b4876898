/* Decides which blocks to collapse; see plan.h. */
#include "cli/collapse/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/collapse/attributes.h"

static const char unaligned[] = "its address and offset are not congruent modulo the size of a huge page";
static const char ended[] = "the processes that map it have ended";

bool lz_plan_is_dense(const struct lz_sharing *sharing, const struct lz_shared_object *object,
	const struct lz_densities *densities, uint64_t pages)
{
	bool is_file = object->kind == LZ_SHARED_MEMFD || object->kind == LZ_SHARED_FILE;
	unsigned percent = is_file ? densities->files : densities->memory;

	return pages > 0 && pages * 100 >= sharing->block / sharing->page * percent;
}

static bool overlaps(const struct lz_sharing *sharing, const struct lz_shared_mapping *mapping, size_t block)
{
	uint64_t start = block * sharing->block;

	return mapping->offset < start + sharing->block &&
	       start < mapping->offset + (mapping->end - mapping->start);
}

const struct lz_shared_mapping *lz_plan_mapping(
	struct lz_sharing *sharing, struct lz_shared_object *object, size_t block, const char **problem)
{
	const struct lz_shared_mapping *found = NULL;

	*problem = unaligned;
	for (size_t i = 0; i < object->mapping_count; i++) {
		struct lz_shared_mapping *mapping = &object->mappings[i];
		const struct lz_sharer *sharer = &sharing->sharers[mapping->sharer];
		bool usable = found == NULL && lz_sharer_usable(sharer) &&
			      lz_shared_mapping_aligned(sharing, mapping) &&
			      lz_shared_mapping_covers(sharing, mapping, block);

		if (sharer->gone)
			*problem = ended;
		if (usable)
			lz_attributes_examine(sharing, mapping->sharer);
		if (mapping->left_alone != NULL && !sharer->gone && overlaps(sharing, mapping, block)) {
			*problem = mapping->left_alone;
			return NULL;
		}
		if (usable)
			found = mapping;
	}
	return found;
}

static uint8_t state_of(struct lz_sharing *sharing, struct lz_shared_object *object,
	const struct lz_densities *densities, size_t block, bool huge)
{
	uint64_t pages = object->blocks[block].pages;

	if (huge)
		return LZ_BLOCK_HUGE;
	if (pages == 0)
		return LZ_BLOCK_EMPTY;
	if (!lz_plan_is_dense(sharing, object, densities, pages))
		return LZ_BLOCK_SPARSE;
	return lz_plan_mapping(sharing, object, block, &object->problem) != NULL ? LZ_BLOCK_DENSE
										 : LZ_BLOCK_UNREACHABLE;
}

int lz_plan_object(struct lz_sharing *sharing, struct lz_shared_object *object,
	const struct lz_densities *densities, const struct lz_view *view)
{
	const char *problem = NULL;

	object->blocks = calloc(object->block_count + 1, sizeof *object->blocks);
	if (object->blocks == NULL)
		return -ENOMEM;
	for (size_t block = lz_view_next(view, 0); block != SIZE_MAX; block = lz_view_next(view, block + 1)) {
		uint64_t pages;
		bool huge;
		int error = lz_view_block(view, block, &pages, &huge);

		if (error)
			return error;
		object->blocks[block].pages = (uint16_t)pages;
		object->blocks[block].state = state_of(sharing, object, densities, block, huge);
		if (object->blocks[block].state == LZ_BLOCK_UNREACHABLE)
			problem = object->problem;
	}
	object->problem = problem;
	return 0;
}

void lz_plan_count(const struct lz_shared_object *object, uint64_t counts[LZ_BLOCK_STATES], uint64_t *pages)
{
	for (size_t i = 0; i < object->block_count && object->blocks != NULL; i++) {
		counts[object->blocks[i].state]++;
		*pages += object->blocks[i].pages;
	}
}
