/*
 * Reads the tables of call sites that processes left in files (sites/sites_file.h), because they were killed,
 * executed another program, or are still running. A file may be truncated or hostile.
 */
#ifndef LZ_CLI_REPORT_SITES_FILE_H
#define LZ_CLI_REPORT_SITES_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "sites/sites.h"

/* Whether a path names such a file. */
bool lz_sites_file_is_name(const char *path);

/*
 * Maps the table of a file, read-only. Returns NULL if the file is not one of this version, with *error 0, or
 * cannot be read, with its errno.
 */
const struct lz_site_table *lz_sites_file_map(const char *path, int *error);
void lz_sites_file_unmap(const struct lz_site_table *table);

/* The files that belong to a report. */
struct lz_sites_files {
	char **path;
	const struct lz_site_table **table; /* NULL if it cannot be mapped */
	size_t count;
};

/*
 * Maps the files beside a report file, or in a directory of reports. No files are found if there is no memory
 * or the directory cannot be read.
 */
void lz_sites_files_map(struct lz_sites_files *files, const char *report);
void lz_sites_files_unmap(struct lz_sites_files *files);

#endif
