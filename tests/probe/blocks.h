/*
 * What the probes of the malloc family share: the settings of this run, marks that tell whether contents were
 * kept, and errno checked around each call.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "probe.h"

extern size_t small, large; /* the two thresholds */
extern bool served;         /* lazyzero is there */
extern bool strict;         /* glibc's malloc is below, whose errno is as the manual says */

/* errno before every call that must not change it. */
#define UNTOUCHED 77

/* Whether a block reads as zero: all of it up to 4 MiB, then its ends and 64 random bytes. */
bool is_zero(const char *p, size_t size);

/* Writes marks that tell their place from `from` on, and the last byte; whether they are all there. */
void mark(char *p, size_t from, size_t size);
bool is_marked(const char *p, size_t size);

/* A call that succeeded left errno alone; `ours` tells whether lazyzero served it. */
void check_errno(const char *call, size_t size, bool ours);

/* free, which leaves errno alone. */
void release(void *p);

/* The parts of the probe. */
void check_reallocs(void);
void check_odd_requests(void);

#endif
