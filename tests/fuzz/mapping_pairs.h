/* Mappings that are made twice and compared. */
#ifndef MAPPING_PAIRS_H
#define MAPPING_PAIRS_H

#include "worker.h"

#define PLACES 64
#define FIXED 3 /* areas at fixed addresses */
#define AREAS 9 /* the others are at addresses that the kernel chooses, one mapping each */
#define RW (PROT_READ | PROT_WRITE)

/* A range that must be equal in both; b is plain memory, the model of a. */
struct area {
	char *a, *b;        /* NULL: not mapped */
	size_t span, grain; /* bytes; grain is the largest unit of addresses and lengths */
	unsigned places, next;
	size_t place[PLACES]; /* addresses that were written or moved to */
};

struct pairs {
	struct area area[AREAS];
	unsigned thread;
	int file[2];
	uint64_t state;
};

/* A part of an area. */
struct part {
	struct area *area;
	size_t offset, length;
};

/* Makes a call in both ways and compares results and errno. */
#define BOTH(first, second)                                                                                  \
	long a, b;                                                                                           \
	int a_error, b_error;                                                                                \
	errno = UNTOUCHED;                                                                                   \
	a = (long)(first);                                                                                   \
	a_error = errno;                                                                                     \
	errno = UNTOUCHED;                                                                                   \
	b = (long)(second);                                                                                  \
	b_error = errno

struct part part_of(struct worker *worker, const struct record *record, size_t most);
/*
 * Compares two results: -1 and errno, or an address as its offset in the area. `refusable`: bytes for which
 * the call may be refused, or 0. Returns true if both succeeded.
 */
bool compare_results(
	struct worker *worker, const struct part *part, long a, int a_error, long b, int b_error);
void compare_at(struct worker *worker, const struct area *area, size_t offset);
void compare_part(struct worker *worker, const struct part *part);
void remember(struct area *area, size_t offset);
/* Forgets the places beyond the area's end. */
void forget_places(struct area *area);
/* Unmaps the area on both sides and forgets it. */
void forget_area(struct worker *worker, struct area *area);
void incomparable(struct worker *worker, struct area *area);
bool has_hole(const struct part *part);

long raw_remap(void *address, size_t length, size_t new_length, int flags, void *target);

#endif
