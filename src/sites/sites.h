/*
 * The call sites that made regions, and what became of these: a table of fixed size, made only where a report
 * is asked for (report.h).
 *
 * A site is a return address in the program; its module is looked up when it is first seen, so that one which
 * is unloaded later still has its name. Where the table is full, LZ_SITE_OTHER stands for the rest. Counting
 * is relaxed atomic additions: no lock, no heap, safe in signal handlers.
 */
#ifndef LZ_SITES_SITES_H
#define LZ_SITES_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagetables/census.h"
#include "os/os.h"
#include "os/procfs.h"

#define LZ_SITES 1024u       /* a power of two */
#define LZ_SITE_MODULES 128u /* beyond them a site is an address */

enum { LZ_SITE_NONE, LZ_SITE_OTHER, LZ_SITE_FIRST };

/* What was seen of regions when they ended, or of those alive; bytes. */
struct lz_site_usage {
	uint64_t regions, bytes; /* looked at */
	uint64_t unknown_bytes;  /* of these bytes, in regions that could not be looked into */
	uint64_t written, zero;  /* zero: mapped to the zero page or a zero window, and never written */
	uint64_t tables;         /* its share of the page tables that these need (census.h) */
	uint64_t window_tables;  /* that they would need on a window, for what was written */
	uint64_t full_tables;    /* that they would need if all were touched */
	uint64_t on_window;      /* regions that stood on a window */
};

/* How much of each cell was written and read: 0 for nothing, 9 for all. */
struct lz_cell_map {
	uint8_t count;
	uint8_t written[LZ_CENSUS_CELLS], zero[LZ_CENSUS_CELLS];
};

struct lz_site {
	_Atomic uintptr_t caller; /* 0: no site */
	_Atomic bool known;       /* what follows is there */
	uint16_t module;          /* its number plus 1; 0: unknown */
	const char *call;
	uint64_t offset;               /* in the module, else the address */
	uint64_t count, requested;     /* regions ever made; bytes asked for, realloc's growth included */
	uint64_t live, peak;           /* bytes of regions alive, now and at most */
	struct lz_site_usage freed;    /* of regions that are gone */
	_Atomic uint32_t cells_locked; /* somebody writes what follows */
	uint64_t largest;              /* bytes of the largest region that is gone */
	struct lz_cell_map cells;      /* and its picture */
};

struct lz_sites {
	const struct lz_os *os;
	struct lz_site site[LZ_SITES];
	_Atomic uint32_t modules; /* numbers given */
	struct {
		_Atomic bool known;
		struct lz_module module;
	} module[LZ_SITE_MODULES];
};

/* The site of a return address; `call` is a constant. */
unsigned lz_sites_find(struct lz_sites *sites, const void *caller, const char *call);

/* A region of that many bytes was made, for a request of `asked` bytes; or one grew by that many. */
void lz_sites_note_allocated(struct lz_sites *sites, unsigned site, uint64_t bytes, uint64_t asked);
void lz_sites_note_grown(struct lz_sites *sites, unsigned site, uint64_t bytes);

/* A region, or the end of one that shrinks, goes; its usage and, or NULL, its picture. */
void lz_sites_note_freed(struct lz_sites *sites, unsigned site, const struct lz_site_usage *usage,
	const struct lz_cell_map *cells);

void lz_site_usage_add(struct lz_site_usage *sum, const struct lz_site_usage *usage);

/* In a forked child: what was counted is the parent's. */
void lz_sites_reset(struct lz_sites *sites);

#endif
