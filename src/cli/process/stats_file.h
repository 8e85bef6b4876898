/*
 * Reads the statistics of the library (lazyzero/wire.h), from files and from the memory of processes. Both
 * may be hostile: contents are returned only if complete and of the supported version, and their texts are
 * NUL-terminated.
 */
#ifndef LZ_CLI_PROCESS_STATS_FILE_H
#define LZ_CLI_PROCESS_STATS_FILE_H

#include <stdbool.h>
#include <sys/types.h>

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
 * Reads the page of statistics at an address in a running process. Returns 0, -EINVAL if there is none, or
 * why it cannot be read: -EPERM for a process of another user, and where kernel.yama.ptrace_scope forbids it.
 */
int lz_stats_page_read(pid_t pid, uint64_t address, struct lz_wire *wire);

/* Turns the copy of its parent's page that a forked child has into the counters of the child. */
void lz_stats_page_of_child(struct lz_wire *wire, uint64_t pid);

/* Statistics of which nothing is known but whose they are: every number is LZ_UNKNOWN. */
void lz_stats_unknown(struct lz_wire *wire, uint64_t pid, const char *executable);

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
