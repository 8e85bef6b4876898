/*
 * Shared by the parts of the zeroing probe: clearing memory by each of the interposed names, and counting the
 * pages that became resident.
 */
#ifndef PROBE_ZEROING_H
#define PROBE_ZEROING_H

#include <sys/mman.h>

#include "probe.h"

#define PAGE ((size_t)4096)
#define BLOCK (12 * MB)
#define UNTOUCHED 77 /* errno before every call */

/* The interposed names. */
enum name { MEMSET, BZERO, EXPLICIT_BZERO, MEMSET_CHK, EXPLICIT_BZERO_CHK, NAMES };

/* Clears [p, p + size) and checks the result and errno. */
void zero_by(enum name name, void *p, size_t size);

/* Clears by memset, from a call site that only this function has. */
void zero(void *p, size_t size);

/*
 * Whether untouched pages must stay untouched in this run: the library is preloaded, the family is on, and
 * the kernel has PAGEMAP_SCAN.
 */
bool skips_pages(void);

/* LAZYZERO_MEMSET_THRESHOLD of this run. */
size_t memset_threshold(void);

/* Pages of [p, p + size) that have contents of their own, or map the zero page. p is page-aligned. */
size_t present_pages(const void *p, size_t size);

/* Whether all bytes are zero. */
bool all_zero(const char *p, size_t size);

/* The same for memory of which little is present, most of which must stay so. */
bool sparse_zero(const char *p, size_t size);

/* Private anonymous memory; ends the program if there is none. */
char *map_private(size_t size);

/* Runs a check in a child, because it changes the process. Returns whether the child ended well. */
bool in_child_process(void (*check)(void), const char *what);

/* --- zeroing_plain.c: what must be cleared as ever --- */
void check_plain(void);

/* --- zeroing_faults.c: memory that must fault as it does without the library --- */
void check_faults(void);

/* --- zeroing_concurrent.c: threads, signals, forks --- */
void check_concurrent(void);

#endif
