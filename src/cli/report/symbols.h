/*
 * Finds function, file and line of call sites in the symbol tables and debug information of files (elfutils).
 *
 * Reports contain return addresses; the call is at the byte before. Files that have changed since the report
 * was written are not used. debuginfod is not queried, so that no report waits for the network.
 */
#ifndef LZ_CLI_REPORT_SYMBOLS_H
#define LZ_CLI_REPORT_SYMBOLS_H

#include "cli/report/model.h"

/* Sets function, file and line of every site, where they can be found. */
void lz_report_resolve(struct lz_report *report);

#endif
