/*
 * The call sites that allocated regions, and the usage of these regions: a table of fixed size, allocated
 * only if a report is requested (report.h). The table contains no address that is needed to read it, so
 * that it can be in a file which another process reads (sites_file.h).
 *
 * A site is a call stack (stack.h), with the Python frames in it (python.h). Its modules are looked up when
 * the site is first seen, so a module that is unloaded later still has its name. When the table is full,
 * LZ_SITE_OTHER stands for all further sites. Counters are relaxed atomics: no lock, no heap, safe in signal
 * handlers.
 */
#ifndef LZ_SITES_SITES_H
#define LZ_SITES_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagetables/census.h"
#include "os/os.h"
#include "sites/modules.h"
#include "sites/python.h"
#include "sites/python_places.h"
#include "sites/stack.h"

#define LZ_SITES 4096u          /* a power of two */
#define LZ_SITES_LIVE 16384u    /* live regions that are listed; a power of two */
#define LZ_SITES_MAPPINGS 1024u /* mappings of the program itself that are listed */
#define LZ_SITES_LISTED (LZ_SITES_LIVE + LZ_SITES_MAPPINGS)
#define LZ_SITE_CALL_MAX 24u /* bytes of the name of a call, with its terminator */

enum { LZ_SITE_NONE, LZ_SITE_OTHER, LZ_SITE_FIRST };

/* The usage of freed or of live regions, in bytes unless named otherwise. */
struct lz_site_usage {
	uint64_t regions, bytes; /* regions inspected, and their bytes */
	uint64_t unknown_bytes;  /* bytes of regions that could not be inspected */
	uint64_t written, zero;  /* zero: mapped to the zero page or a zero window, never written */
	/*
	 * Of the written bytes, those whose contents were sampled, and the estimate of how many of them hold
	 * only zeros. What is swapped out is not sampled.
	 */
	uint64_t sampled, written_zero;
	uint64_t tables;        /* share of the page tables that these regions need (census.h) */
	uint64_t window_tables; /* tables they would need on a window, for written pages */
	uint64_t full_tables;   /* tables they would need if all pages were touched */
	uint64_t on_window;     /* number of regions on a window */
};

/* How much of each cell was written, and how much was only read: 0 for nothing, 9 for all. */
struct lz_cell_map {
	uint8_t count;
	uint8_t written[LZ_CENSUS_CELLS], zero[LZ_CENSUS_CELLS];
};

/* A frame of a stack: the offset of a return address in a module, or the address. */
struct lz_site_frame {
	uint64_t offset;
	uint16_t module;       /* LZ_MODULE_NONE: unknown */
	uint8_t python_frames; /* Python frames that this call of the interpreter runs */
};

struct lz_site {
	_Atomic uint64_t key; /* hash of the stacks; 0: free entry */
	_Atomic bool known;   /* call and frames are valid */
	char call[LZ_SITE_CALL_MAX];
	_Atomic bool is_shared; /* some of its memory is a file's, or shared with other processes */
	uint32_t frames;
	struct lz_site_frame frame[LZ_STACK_FRAMES]; /* innermost first */
	uint32_t python_frames;
	uint16_t python[LZ_PYTHON_FRAMES]; /* numbers of places, innermost first */
	uint64_t count, requested;     /* regions ever allocated; bytes requested, with realloc's growth */
	uint64_t live, peak;           /* bytes of live regions, now and at the peak */
	struct lz_site_usage freed;    /* usage of freed regions */
	_Atomic uint32_t cells_locked; /* a thread writes the members below */
	uint64_t largest;              /* bytes of the largest freed region */
	struct lz_cell_map cells;      /* usage of its parts */
};

/* A live region or mapping. An entry whose length is 0 is being changed. */
struct lz_listed_region {
	_Atomic uint64_t base; /* 0: a free entry */
	_Atomic uint64_t length;
	uint32_t site;
	bool on_window;
	bool is_shared; /* of a file, or memory that is shared: a page that is present counts as written */
};

/* Whose sites these are, for a reader of the file. Written before anything else is. */
struct lz_sites_identity {
	uint32_t magic, version;
	uint64_t bytes; /* of the whole table, which is the version of its layout */
	uint64_t pid, start_time;
	uint64_t page;       /* bytes; 0: not known yet */
	char geometry[32];   /* "": not known yet */
	char executable[64]; /* name of the executable */
	_Atomic uint64_t memset_bytes,
		memset_written; /* as in the statistics, when a region was last changed */
};

struct lz_site_table {
	struct lz_sites_identity identity;
	struct lz_site site[LZ_SITES];
	struct lz_listed_region live[LZ_SITES_LISTED]; /* regions; from LZ_SITES_LIVE on, mappings */
	struct lz_site_modules modules;
	struct lz_python_places places;
};

struct lz_sites {
	struct lz_site_table *table;
	_Atomic uint32_t mappings_end; /* entries of mappings from here on were never used */
	struct lz_stack_rules rules;
	struct lz_pythons pythons;
};

/* Initialises zeroed memory. `table` must be zeroed, too. */
void lz_sites_init(struct lz_sites *sites, struct lz_site_table *table, const struct lz_os *os);

/*
 * Returns the number of the site of the calling thread's stack from the return address `caller` outwards, and
 * adds it if it is new. `call` is cut to LZ_SITE_CALL_MAX. 5 us, with Python frames 10 us (a calloc and
 * free of 64 MiB take 27 us under a report instead of 17; 25 callers more, 2 us), and 1 to 3 ms for a new
 * site.
 */
unsigned lz_sites_find(struct lz_sites *sites, const void *caller, const char *call);

/*
 * Lists a live region, and takes it off the list. A region for which there is no room is not listed. Of two
 * threads that change the entry of the same base, one must have finished before the other starts.
 */
void lz_sites_list_region(
	struct lz_sites *sites, uint64_t base, uint64_t length, unsigned site, bool on_window);
void lz_sites_unlist_region(struct lz_sites *sites, uint64_t base);

/* Lists a mapping; it is taken off the list by lz_sites_unlist. */
void lz_sites_list_mapping(struct lz_sites *sites, const struct lz_listed_region *mapping);
void lz_sites_unlist(struct lz_listed_region *entry);

/*
 * Counts a region of `bytes` allocated for a request of `asked` bytes; counts the growth of a region by
 * `bytes`.
 */
void lz_sites_note_allocated(struct lz_sites *sites, unsigned site, uint64_t bytes, uint64_t asked);
void lz_sites_note_grown(struct lz_sites *sites, unsigned site, uint64_t bytes);

/* Counts a call that zeroed memory. */
void lz_sites_note_zeroed(struct lz_sites *sites, unsigned site, const struct lz_site_usage *usage);

/* Counts a region, or the tail of one that shrinks, as freed. `cells` may be NULL. */
void lz_sites_note_freed(struct lz_sites *sites, unsigned site, const struct lz_site_usage *usage,
	const struct lz_cell_map *cells);

void lz_site_usage_add(struct lz_site_usage *sum, const struct lz_site_usage *usage);

#endif
