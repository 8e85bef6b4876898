/*
 * Reads the statistics files of the library (lazyzero/wire.h). Files may be hostile: contents are returned
 * only if complete and of the supported version, and their texts are NUL-terminated.
 */
#ifndef LZ_CLI_PROCESS_STATS_FILE_H
#define LZ_CLI_PROCESS_STATS_FILE_H

#include <stdbool.h>

#include "lazyzero/wire.h"

/* The state of the process that a file belongs to. */
enum lz_stats_owner {
	LZ_STATS_OWNER_ALIVE,
	LZ_STATS_OWNER_EXITED, /* it exited and recorded that */
	LZ_STATS_OWNER_DEAD    /* it was killed, called _exit(2), or executed a program without the library */
};

/* Names of the library's files in a directory start with this, followed by the pid. */
#define LZ_STATS_FILE_PREFIX "lazyzero."

/* Whether a file name is LZ_STATS_FILE_PREFIX and a pid. */
bool lz_stats_file_is_name(const char *name);

/* Reads a file, relative to the open directory or AT_FDCWD. Returns NULL, or why it cannot be used. */
const char *lz_stats_file_read(int directory, const char *name, struct lz_wire *wire);

/*
 * Finds the owner by its pid and by its start time, which tells it from a later process with that pid. A
 * process of that pid that /proc does not show (hidepid, not mounted) is taken for the owner.
 */
enum lz_stats_owner lz_stats_owner(const struct lz_wire *wire);

/*
 * Calls `visit` (may be NULL) for each statistics file in a directory; if the path is a file, for that file.
 * `wire` is NULL and `error` is set for a file that cannot be used. With `remove_stale`, files of processes
 * that are gone are then removed. Returns 0 or -errno.
 */
typedef void lz_stats_file_visit(
	void *context, const char *name, const struct lz_wire *wire, const char *error);
int lz_stats_file_each(const char *path, bool remove_stale, lz_stats_file_visit *visit, void *context);

#endif
