/*
 * The counters, in the layout of lazyzero/wire.h. They are in a file that other processes can read, or in the
 * library's own memory if LAZYZERO_STATS is not set or its file cannot be used.
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
	struct lz_wire own;
	const char *path; /* LAZYZERO_STATS; "" for none */
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
 * Starts counting in memory, and in the file if path is not "". Returns 0, or -errno if the file cannot be
 * used; counting works in any case. A file that another running process writes is not used.
 */
int lz_stats_open(struct lz_stats *stats, const struct lz_os *os, const char *path, const char *executable);

/* Returns the start time of a process in clock ticks since boot; 0 if there is no such process. */
uint64_t lz_stats_process_start_time(const struct lz_os *os, uint64_t pid);

/* Whether the counters are in a file. */
static inline bool lz_stats_in_file(const struct lz_stats *stats)
{
	return stats->wire != &stats->own;
}

/* In a forked child: starts new counters, in the child's own file if path is a directory. Needs the lock. */
void lz_stats_after_fork(struct lz_stats *stats);

/* At exit: records in the file that the process has ended. */
void lz_stats_close(struct lz_stats *stats);

#endif
