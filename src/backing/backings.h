/*
 * Operations over all backings: finding the backing of a range, and calling each backing in turn.
 * Thread-safe; functions take the lock of the books unless a comment says otherwise.
 */
#ifndef LZ_BACKING_BACKINGS_H
#define LZ_BACKING_BACKINGS_H

#include "backing/backing.h"

/* Initialises the shared state and each backing. Called once, before there are threads. */
void lz_backings_init(struct lz_backings *backings);

/* The backing for a value of LAZYZERO_BACKING; LZ_BACKING_AUTO gives the zero page. Needs no lock. */
const struct lz_backing *lz_backing_for_choice(enum lz_backing_choice choice);

/* Finds the next part of [start, end) that is not plain memory; false if there is none. */
bool lz_backings_next_part(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_backed_part *part);

/* Releases a lease; does nothing if the lease holds nothing. */
void lz_lease_release(struct lz_backings *backings, struct lz_lease *lease);

/*
 * Where to place a new mapping of the program for which the kernel chooses the address, and what is to be
 * done once it is there; see `place` and `adopt` of struct lz_backing.
 */
uintptr_t lz_backings_place(struct lz_backings *backings, const struct lz_program_mapping *mapping);
enum lz_adopted lz_backings_adopt(
	struct lz_backings *backings, const struct lz_program_mapping *mapping, uintptr_t at);

/* --- calls each backing that has the function; see struct lz_backing --- */

void lz_backings_release_unused(struct lz_backings *backings);
void lz_backings_retire_all(struct lz_backings *backings);
void lz_backings_range_overwritten(struct lz_backings *backings, uintptr_t start, uintptr_t end);
void lz_backings_note_attributes_changed(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, bool has_key);

/* Whether some backing answers this advice differently than plain memory. Needs no lock. */
bool lz_backings_any_handles_advice(int advice);

/*
 * Samples the resident bytes of each backing, if statistics are written to a file. Called before memory is
 * released.
 */
void lz_backings_sample_resident(struct lz_backings *backings, bool now);

#endif
