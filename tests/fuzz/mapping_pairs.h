/* Mappings made twice, and compared. */
#ifndef PAIRS_H
#define PAIRS_H

#include "worker.h"

#define PLACES 64
#define FIXED 3 /* areas at addresses of our own */
#define AREAS 9 /* and such as the kernel places, one mapping each */
#define RW (PROT_READ | PROT_WRITE)

/* A range that is alike in both: b is plain memory, the model of a. */
struct area {
	char *a, *b;        /* NULL: nothing is mapped */
	size_t span, grain; /* bytes; what addresses and lengths are made of, at most */
	unsigned places, next;
	size_t place[PLACES]; /* where something was stored or moved to */
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

/* Makes a call in both ways, with what each gave and its errno. */
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
/* Both answered; -1 and an errno, or a place in the area. `refusable`: bytes the call may be refused for, or
 * 0. true where it went well in both. */
bool compare_results(
	struct worker *worker, const struct part *part, long a, int a_error, long b, int b_error);
void compare_at(struct worker *worker, const struct area *area, size_t offset);
void compare_part(struct worker *worker, const struct part *part);
void remember(struct area *area, size_t offset);
/* Those beyond the area's end. */
void forget_places(struct area *area);
/* Nothing is mapped there any more, in both. */
void forget_area(struct worker *worker, struct area *area);
void incomparable(struct worker *worker, struct area *area);
bool has_hole(const struct part *part);

long raw_remap(void *address, size_t length, size_t new_length, int flags, void *target);

#endif
