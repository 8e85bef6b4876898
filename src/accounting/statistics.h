/*
 * The counters, in the layout of lazyzero/wire.h: in a file that others can read while we run, or only in our
 * own memory when LAZYZERO_STATS is not set or its file cannot be had.
 *
 * Counting is one relaxed atomic operation and needs no lock; opening and following a fork happen with the
 * core's lock.
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
	struct lz_wire *wire; /* the file's, or `own` */
	struct lz_wire own;
	const char *path; /* LAZYZERO_STATS; "" for none */
};

#define lz_stats_add(stats, field, amount) __atomic_fetch_add(&(stats)->wire->field, amount, __ATOMIC_RELAXED)
#define lz_stats_sub(stats, field, amount) __atomic_fetch_sub(&(stats)->wire->field, amount, __ATOMIC_RELAXED)
#define lz_stats_set(stats, field, value) __atomic_store_n(&(stats)->wire->field, value, __ATOMIC_RELAXED)
#define lz_stats_get(stats, field) __atomic_load_n(&(stats)->wire->field, __ATOMIC_RELAXED)

/* Sets a value and the highest it ever was. */
#define lz_stats_set_peak(stats, field, value)                                                               \
	do {                                                                                                 \
		uint64_t peak_value = (value);                                                               \
		lz_stats_set(stats, field, peak_value);                                                      \
		if (peak_value > lz_stats_get(stats, field##_peak))                                          \
			lz_stats_set(stats, field##_peak, peak_value);                                       \
	} while (0)

/*
 * Starts counting in memory, and in the file when path is not empty. Returns 0, or -errno when there should
 * be a file and is none; counting works all the same. A file that another living process writes is left to
 * it.
 */
int lz_stats_open(struct lz_stats *stats, const struct lz_os *os, const char *path, const char *executable);

/* When a process started, in clock ticks since boot; 0 when there is none. */
uint64_t lz_stats_process_start_time(const struct lz_os *os, uint64_t pid);

/* Whether the counters stand in a file, for others to read. */
static inline bool lz_stats_in_file(const struct lz_stats *stats)
{
	return stats->wire != &stats->own;
}

/* In a forked child: starts anew, in a file of its own where path is a directory. */
void lz_stats_after_fork(struct lz_stats *stats);

/* At exit: says so in the file. */
void lz_stats_close(struct lz_stats *stats);

#endif
