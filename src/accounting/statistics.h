/*
 * The counters, in the layout of lazyzero/wire.h. They are in the file that LAZYZERO_STATS names, or in a
 * page of this process's memory that the command finds in /proc/PID/maps (lz_stats_open).
 *
 * Counting is one relaxed atomic operation and needs no lock. Opening, and following a fork, need the lock of
 * the books.
 */
#ifndef LZ_ACCOUNTING_STATISTICS_H
#define LZ_ACCOUNTING_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lazyzero/wire.h"
#include "os/os.h"

struct lz_stats {
	const struct lz_os *os;
	struct lz_wire *wire; /* counters in use: those of the file, or `own` */
	struct lz_wire *own;  /* the page, or `unpublished` */
	struct lz_wire
		unpublished; /* of a process that the library is not active in, or that has no memory */
	const char *path;    /* LAZYZERO_STATS; "" for none */
};

#define lz_stats_add(stats, field, amount) __atomic_fetch_add(&(stats)->wire->field, amount, __ATOMIC_RELAXED)
#define lz_stats_sub(stats, field, amount) __atomic_fetch_sub(&(stats)->wire->field, amount, __ATOMIC_RELAXED)
#define lz_stats_set(stats, field, value) __atomic_store_n(&(stats)->wire->field, value, __ATOMIC_RELAXED)
#define lz_stats_get(stats, field) __atomic_load_n(&(stats)->wire->field, __ATOMIC_RELAXED)

/* Sets a value and updates its maximum. */
#define lz_stats_set_peak(stats, field, value)                                                               \
	do {                                                                                                 \
		uint64_t peak_value = (value);                                                               \
		lz_stats_set(stats, field, peak_value);                                                      \
		if (peak_value > lz_stats_get(stats, field##_peak))                                          \
			lz_stats_set(stats, field##_peak, peak_value);                                       \
	} while (0)

/*
 * Starts counting. If the library is active in this process, the counters are in a page of their own, and in
 * the file if path is not "". Returns 0, or -errno if the file cannot be used; counting works in any case. A
 * file that another running process writes is not used.
 *
 * The page takes 13 us at the start of a process, nothing later. It is private memory: a forked child has a
 * copy with its parent's pid until it takes the lock for the first time.
 */
int lz_stats_open(struct lz_stats *stats, const struct lz_os *os, bool active, const char *path,
	const char *executable);

/* Returns the start time of a process in clock ticks since boot; 0 if there is no such process. */
uint64_t lz_stats_process_start_time(const struct lz_os *os, uint64_t pid);

/* Whether the counters are in a file. */
static inline bool lz_stats_in_file(const struct lz_stats *stats)
{
	return stats->wire != stats->own;
}

/* In a forked child: starts new counters, in the child's own file if path is a directory. Needs the lock. */
void lz_stats_after_fork(struct lz_stats *stats);

/* At exit: records in the file that the process has ended. */
void lz_stats_close(struct lz_stats *stats);

#endif
