/* Where the processes of a run write their statistics files (lazyzero/wire.h). */
#ifndef LZ_CLI_RUN_LOCATION_H
#define LZ_CLI_RUN_LOCATION_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct lz_stats_location {
	char path[PATH_MAX];    /* a directory or a file; "" if none could be created */
	bool is_private;        /* a directory created for this run and removed after it */
	uint64_t started_after; /* clock ticks after boot; processes that started earlier are ignored */
};

/*
 * Uses the path that the user gave, relative to the current directory, or for NULL creates a private
 * directory and removes those that killed commands have left beside it. On failure prints a warning and sets
 * path to "".
 */
void lz_stats_location_prepare(struct lz_stats_location *location, const char *given);

/* Removes a private directory. */
void lz_stats_location_remove(const struct lz_stats_location *location);

#endif
