/*
 * All backings: which one stands behind a range, and what is done with each of them. Thread-safe; functions
 * take the lock of the books, unless they say otherwise.
 */
#ifndef LZ_BACKING_BACKINGS_H
#define LZ_BACKING_BACKINGS_H

#include "backing/backing.h"

/* Sets up what the backings share, and each of them, before there are threads. */
void lz_backings_init(struct lz_backings *backings);

/* The backing of an option's value; LZ_BACKING_AUTO is the zero page. */
const struct lz_backing *lz_backing_of(enum lz_backing_choice choice);

/* The next part of [start, end) that does not stand on plain memory; false where there is none. Takes the
 * lock. */
bool lz_backings_next_part(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_backed_part *part);

/* Releases what a lease holds; nothing where it holds nothing. */
void lz_lease_release(struct lz_backings *backings, struct lz_lease *lease);

/* --- what is done with each backing that has the function; see struct lz_backing --- */

void lz_backings_release_unused(struct lz_backings *backings);
void lz_backings_retire_all(struct lz_backings *backings);
void lz_backings_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end);
void lz_backings_note_attributes_changed(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, bool has_key);

/* Whether some backing answers such advice otherwise than plain memory. */
bool lz_backings_need_advise(int advice);

/* Before memory goes, where somebody keeps statistics. */
void lz_backings_sample_resident(struct lz_backings *backings, bool now);

#endif
