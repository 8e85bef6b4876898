/*
 * Log lines that repeat: events counted by kind and call site, so that the log writes the first few lines of
 * each and sums up the others at exit. A program in a loop would otherwise fill the log with one sentence,
 * and hide what other places of the program do.
 *
 * Fixed in size, no lock: an entry is taken by a compare-and-swap and never released. Events of a place
 * without an entry, when all are in use, are limited by their kind alone. Thread-safe and async-signal-safe.
 */
#ifndef LZ_SUPPORT_LOG_SITES_H
#define LZ_SUPPORT_LOG_SITES_H

#include <stdbool.h>
#include <stdint.h>

#define LZ_LOG_SITES 16u
#define LZ_LOG_SITE_LINES 3u /* lines written for each kind of event of a call site */

struct lz_log_site {
	_Atomic uint64_t key;          /* address and kind; 0: free */
	_Atomic uint64_t count, shown; /* events, and lines written of them */
	_Atomic uint64_t bytes;        /* requested by the events that were not shown */
	const char *call;              /* "calloc" */
	char place[64];                /* "program+0x1257" */
};

struct lz_log_sites {
	struct lz_log_site site[LZ_LOG_SITES];
};

/*
 * Returns the entry of a call site, which is created if `create`; NULL if there is none. `address` is a
 * return address, 0 if unknown; `kind` is below 4.
 */
struct lz_log_site *lz_log_site_find(
	struct lz_log_sites *sites, uint64_t address, unsigned kind, bool create);

/* The kind of the events of an entry. */
unsigned lz_log_site_kind(const struct lz_log_site *site);

/* In a forked child: forgets all. */
void lz_log_sites_reset(struct lz_log_sites *sites);

#endif
