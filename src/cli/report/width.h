/* The width of the table of `lazyzero report`. */
#ifndef LZ_CLI_REPORT_WIDTH_H
#define LZ_CLI_REPORT_WIDTH_H

#include <stddef.h>

#define LZ_REPORT_WIDTH_ACCEPTED "a number from 80 to 10000"

/*
 * Finds the width in columns: as given (--width), or if NULL that of the terminal, or SIZE_MAX if there is
 * none. Returns 0, or the exit status after an error message.
 */
int lz_report_find_width(size_t *width, const char *given);

#endif
