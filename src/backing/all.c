/* The backings there are, and what is done with each of them; see all.h. */
#include "backing/all.h"

#include <stdatomic.h>

#include "backing/strategies.h"

static const struct lz_backing *const all[] = {&lz_zero_page_backing, &lz_window_backing};

#define COUNT (sizeof all / sizeof *all)

const struct lz_backing *lz_backing_of(enum lz_backing_choice choice)
{
	return choice == LZ_BACKING_WINDOW ? &lz_window_backing : &lz_zero_page_backing;
}

void lz_backings_init(struct lz_backings *backings)
{
	backings->header.os = backings->os;
	backings->header.bytes = backings->books->page;
	/* Without the mmap family, nobody says what the program maps and changes. */
	backings->overlaid = !(backings->options->intercept & LZ_INTERCEPT_MMAP);
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->init != NULL)
			all[i]->init(backings);
}

bool lz_backings_next(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_backed_part *part)
{
	struct lz_window_part found;

	part->backing = NULL;
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->next_part != NULL && all[i]->next_part(backings, start, end, &found) &&
			(part->backing == NULL || found.start < part->where.start)) {
			part->backing = all[i];
			part->where = found;
		}
	return part->backing != NULL;
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
		if (all[i]->release_unused != NULL)
			all[i]->release_unused(backings);
}

void lz_backings_retire_all(struct lz_backings *backings)
{
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->retire_all != NULL)
			all[i]->retire_all(backings);
}

void lz_backings_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end)
{
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->range_overwritten != NULL)
			all[i]->range_overwritten(backings, start, end);
}

void lz_backings_note_altered(struct lz_backings *backings, uintptr_t start, uintptr_t end, bool keyed)
{
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->note_altered != NULL)
			all[i]->note_altered(backings, start, end, keyed);
}

void lz_backings_sample_resident(struct lz_backings *backings, bool now)
{
	if (!lz_stats_in_file(&backings->books->stats) ||
		atomic_load_explicit(&backings->books->disabled, memory_order_relaxed))
		return;
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->sample_resident != NULL)
			all[i]->sample_resident(backings, now);
}

bool lz_backings_have_own_answer(int advice)
{
	for (size_t i = 0; i < COUNT; i++)
		if (all[i]->has_own_answer != NULL && all[i]->has_own_answer(advice))
			return true;
	return false;
}
