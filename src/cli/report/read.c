/* Reads report files; see read.h. */
#include "cli/report/read.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/left_report.h"
#include "cli/report/left_tables.h"
#include "cli/report/look.h"
#include "cli/report/parse.h"

/* The lines of a report that its program wrote. NULL after an error message. */
static FILE *open_lines(struct lz_report_file *file)
{
	FILE *stream = fopen(file->path, "re");
	struct stat about;

	if (stream == NULL)
		lz_fail_read(file->path, errno);
	else if (fstat(fileno(stream), &about) == 0)
		file->report_time = about.st_mtim;
	return stream;
}

static int fail_without_report(const struct lz_report_file *file)
{
	if (file->unparsed_lines == 0)
		return lz_fail(
			"'%s' is empty: the program is still running, or was killed before it wrote its "
			"report; LAZYZERO_REPORT_SIGNAL makes a running program write one",
			lz_printable(file->path).text);
	return lz_fail("'%s' is not a report of LAZYZERO_REPORT", lz_printable(file->path).text);
}

static int merge_file(
	struct lz_report *report, struct lz_report_file *file, struct lz_left_tables *left, int status)
{
	for (size_t i = 0; i < file->count; i++) {
		if (status == 0 && !lz_left_tables_supersede(left, &file->processes[i].process))
			status = lz_report_merge(report, &file->processes[i]);
	}
	report->unparsed_lines += file->unparsed_lines;
	lz_report_file_free(file);
	return status;
}

static int read_left(struct lz_report *report, struct lz_left_tables *left)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < left->files.count; i++) {
		const struct lz_site_table *table = left->files.table[i];
		struct lz_report_file file = {.path = left->files.path[i]};
		struct stat about;
		FILE *stream;

		if (left->reason[i] == NULL)
			continue;
		if (stat(file.path, &about) == 0)
			file.report_time = about.st_mtim;
		stream = lz_left_report_open(table, left->reason[i]);
		status = stream != NULL ? lz_report_file_parse(&file, stream) : LZ_EXIT_FAILURE;
		for (size_t j = 0; j < file.count; j++)
			file.processes[j].process.age =
				lz_look_age(table->identity.pid, table->identity.start_time);
		status = merge_file(report, &file, left, status);
	}
	return status;
}

/* --- files and directories --- */

/* A file without a report is an error, unless a process that wrote none left its table. */
static int read_file(struct lz_report *report, struct lz_left_tables *left, const char *path)
{
	struct lz_report_file file = {.path = path};
	FILE *stream = open_lines(&file);
	int status = stream != NULL ? lz_report_file_parse(&file, stream) : LZ_EXIT_FAILURE;

	if (status == 0 && !file.has_header && (left->files.count == 0 || file.unparsed_lines > 0))
		status = fail_without_report(&file);
	return merge_file(report, &file, left, status);
}

static int is_report(const struct dirent *entry)
{
	return strncmp(entry->d_name, "lazyzero-report.", sizeof "lazyzero-report." - 1) == 0;
}

static int read_directory(struct lz_report *report, struct lz_left_tables *left, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_report, versionsort), status = 0;
	char *file;

	if (count < 0)
		return lz_fail_read(path, errno);
	if (count == 0)
		status = lz_fail("'%s' contains no report (lazyzero-report.PID)", lz_printable(path).text);
	for (int i = 0; i < count; i++) {
		if (status == 0 && !lz_sites_file_is_name(entries[i]->d_name)) {
			if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0) {
				status = lz_fail_memory();
			} else {
				status = read_file(report, left, file);
				free(file);
			}
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

int lz_report_read_file(struct lz_report *report, const char *path)
{
	struct stat about;
	struct lz_left_tables left;
	int status = lz_left_tables_map(&left, path);

	if (status == 0 && stat(path, &about) == 0 && S_ISDIR(about.st_mode))
		status = read_directory(report, &left, path);
	else if (status == 0)
		status = read_file(report, &left, path);
	if (status == 0)
		status = read_left(report, &left);
	lz_left_tables_unmap(&left);
	return status;
}
