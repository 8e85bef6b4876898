/*
 * Finds the functions, files and lines of addresses in the files of their modules and in separate debug files
 * (elfutils): by build-id and .gnu_debuglink.
 *
 * Reports contain return addresses; the call is at the byte before. A file with another build-id than the
 * program had is not used; if there is no build-id, neither is one that has changed since the report was
 * written. debuginfod is not queried, so that no report waits for the network.
 */
#ifndef LZ_CLI_REPORT_SYMBOLS_H
#define LZ_CLI_REPORT_SYMBOLS_H

#include "cli/report/model.h"

struct lz_symbol_paths {
	const char *debug;   /* directories of separate debug files, separated by colons; NULL: only the usual
				ones */
	const char *sysroot; /* directory of the files of another machine; NULL: this one's */
};

/* Sets the places of every address, where they can be found. Returns 0, or the exit status after a message.
 */
int lz_report_resolve(struct lz_report *report, const struct lz_symbol_paths *paths);

#endif
