/* The list of backings, and calling each of them; see backings.h. */
#include "backing/backings.h"

#include <stdatomic.h>

#include "backing/strategies.h"

static const struct lz_backing *const backings_table[] = {
	&lz_zero_page_backing, &lz_window_backing, &lz_shared_backing};

#define COUNT (sizeof backings_table / sizeof *backings_table)

const struct lz_backing *lz_backing_for_choice(enum lz_backing_choice choice)
{
	return choice == LZ_BACKING_WINDOW ? &lz_window_backing : &lz_zero_page_backing;
}

void lz_backings_init(struct lz_backings *backings)
{
	backings->header.os = backings->os;
	backings->header.bytes = backings->books->page;
	/* Without the mmap family, the library does not see what the program maps. */
	backings->may_map_over_regions = !(backings->options->intercept & LZ_INTERCEPT_MMAP);
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->init != NULL)
			backings_table[i]->init(backings);
}

bool lz_backings_next_part(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_backed_part *part)
{
	struct lz_window_part found;

	part->backing = NULL;
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->next_part != NULL &&
			backings_table[i]->next_part(backings, start, end, &found) &&
			(part->backing == NULL || found.start < part->where.start)) {
			part->backing = backings_table[i];
			part->where = found;
		}
	return part->backing != NULL;
}

uintptr_t lz_backings_place(struct lz_backings *backings, const struct lz_program_mapping *mapping)
{
	uintptr_t at = 0;

	for (size_t i = 0; i < COUNT && at == 0; i++)
		if (backings_table[i]->place != NULL)
			at = backings_table[i]->place(backings, mapping);
	return at;
}

enum lz_adopted lz_backings_adopt(
	struct lz_backings *backings, const struct lz_program_mapping *mapping, uintptr_t at)
{
	enum lz_adopted adopted = LZ_ADOPTED_PLAIN;

	for (size_t i = 0; i < COUNT && adopted == LZ_ADOPTED_PLAIN; i++)
		if (backings_table[i]->adopt != NULL)
			adopted = backings_table[i]->adopt(backings, mapping, at);
	return adopted;
}

void lz_lease_release(struct lz_backings *backings, struct lz_lease *lease)
{
	if (lease->backing != NULL)
		lease->backing->release(backings, lease);
	lease->backing = NULL;
}

void lz_backings_release_unused(struct lz_backings *backings)
{
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->release_unused != NULL)
			backings_table[i]->release_unused(backings);
}

void lz_backings_retire_all(struct lz_backings *backings)
{
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->retire_all != NULL)
			backings_table[i]->retire_all(backings);
}

void lz_backings_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->range_overwritten != NULL)
			backings_table[i]->range_overwritten(backings, start, end);
}

void lz_backings_note_attributes_changed(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, bool has_key)
{
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->note_attributes_changed != NULL)
			backings_table[i]->note_attributes_changed(backings, start, end, has_key);
}

void lz_backings_sample_resident(struct lz_backings *backings, bool now)
{
	if (!lz_stats_in_file(&backings->books->stats) ||
		atomic_load_explicit(&backings->books->disabled, memory_order_relaxed))
		return;
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->sample_resident != NULL)
			backings_table[i]->sample_resident(backings, now);
}

bool lz_backings_any_handles_advice(int advice)
{
	for (size_t i = 0; i < COUNT; i++)
		if (backings_table[i]->needs_advise != NULL && backings_table[i]->needs_advise(advice))
			return true;
	return false;
}
