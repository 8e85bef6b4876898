/*
 * Statistics files (lazyzero/wire.h) as the command reads them: whatever a file holds, what is returned is
 * whole, of a version that is understood, with its texts ended.
 */
#ifndef LZ_CLI_WIRE_FILE_H
#define LZ_CLI_WIRE_FILE_H

#include <stdbool.h>

#include "lazyzero/wire.h"

enum lz_stats_owner {
	LZ_STATS_OWNER_ALIVE,
	LZ_STATS_OWNER_EXITED, /* it exited and said so */
	LZ_STATS_OWNER_DEAD /* it was killed, or left by _exit(2), or became a program without the library */
};

/* Whether a name is one that the library gives in a directory: lazyzero.PID. */
bool lz_stats_file_is_name(const char *name);

/* Reads the file at `name`, relative to the open directory (or AT_FDCWD). Returns NULL, or why it is none. */
const char *lz_stats_file_read(int directory, const char *name, struct lz_wire *wire);

/* Whether its process lives: by its pid, and by the start time that tells it from a later one of that pid. */
enum lz_stats_owner lz_stats_owner(const struct lz_wire *wire);

/*
 * Calls `seen` (may be NULL) for each statistics file in a directory (for a path that is none: for that
 * file); with an error text in place of figures where it cannot be read. A file whose process is no more is
 * removed, if `tidy`, after that. Returns 0 or -errno.
 */
typedef void lz_stats_file_visit(
	void *context, const char *name, const struct lz_wire *wire, const char *error);
int lz_stats_file_each(const char *path, bool remove_stale, lz_stats_file_visit *visit, void *context);

#endif
