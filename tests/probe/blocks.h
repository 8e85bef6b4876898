/*
 * Shared by the probes of the malloc family: the settings of this run, markers that show whether contents
 * were preserved, and errno checks around each call.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "probe.h"

extern size_t small, large; /* the two thresholds */
extern bool served;         /* lazyzero is preloaded */
extern bool strict;         /* the allocator below is glibc's, whose errno follows the manual */

/* Value of errno before each call that must not change it. */
#define UNTOUCHED 77

/* Whether a block reads as zero: all of it up to 4 MiB, otherwise its ends and 64 random bytes. */
bool is_zero(const char *p, size_t size);

/*
 * mark: writes markers that encode their position, from `from` on, and the last byte. is_marked: checks them.
 */
void mark(char *p, size_t from, size_t size);
bool is_marked(const char *p, size_t size);

/* Checks that a successful call did not change errno; `ours`: lazyzero served it. */
void check_errno(const char *call, size_t size, bool ours);

/* Calls free and checks that it did not change errno. */
void release(void *p);

/* The parts of the probe. */
void check_reallocs(void);
void check_odd_requests(void);

#endif
