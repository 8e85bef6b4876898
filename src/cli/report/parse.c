/* Parses the lines of reports; see parse.h. */
#include "cli/report/parse.h"

#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/common/bounded_line.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/line.h"
#include "sites/report_lines.h"

#define LINE_MAX_BYTES 65536u
#define LINES_MAX 65536u

static struct lz_report_lines *find_process(struct lz_report_file *file, uint64_t pid)
{
	for (size_t i = file->count; i-- > 0;)
		if (file->processes[i].process.pid == pid)
			return &file->processes[i];
	return NULL;
}

static void free_lines(struct lz_report_lines *lines)
{
	json_decref(lines->modules);
	json_decref(lines->python);
	json_decref(lines->sites);
	json_decref(lines->regions);
}

/* Starts the report of a process. A later report of the same process replaces the earlier one. */
static int parse_header(struct lz_report_file *file, const json_t *line)
{
	struct lz_report_lines new = {.process = {.age = -1,
					      .pid = lz_report_line_u64(line, "pid"),
					      .start_time = lz_report_line_u64(line, "start_time"),
					      .alive = lz_report_line_u64(line, "alive"),
					      .omitted = lz_report_line_u64(line, "left_out"),
					      .unlisted = lz_report_line_u64(line, "unlisted"),
					      .unlisted_bytes = lz_report_line_u64(line, "unlisted_bytes"),
					      .memset_bytes = lz_report_line_u64(line, "memset_bytes"),
					      .memset_written = lz_report_line_u64(line, "memset_written"),
					      .report_time = file->report_time},
		.report_time = file->report_time};
	struct lz_report_lines *lines = find_process(file, new.process.pid);

	if (lz_report_line_u64(line, "lazyzero_report") != LZ_REPORT_VERSION)
		return lz_fail("'%s' is a report of version %lld; this command reads version %d",
			lz_printable(file->path).text,
			(long long)json_integer_value(json_object_get(line, "lazyzero_report")),
			LZ_REPORT_VERSION);
	file->has_header = true;
	snprintf(new.process.executable, sizeof new.process.executable, "%s",
		lz_report_line_text(line, "executable"));
	lz_report_unescape_bytes(new.process.executable);
	snprintf(new.process.reason, sizeof new.process.reason, "%s", lz_report_line_text(line, "reason"));
	new.modules = json_array();
	new.python = json_array();
	new.sites = json_array();
	new.regions = json_array();
	if (lines != NULL && lines->process.start_time == new.process.start_time) {
		free_lines(lines);
		*lines = new;
		return 0;
	}
	lines = lz_array_grow(file->processes, file->count, sizeof *lines);
	if (lines == NULL) {
		free_lines(&new);
		return lz_fail_memory();
	}
	file->processes = lines;
	file->processes[file->count++] = new;
	return 0;
}

static int parse_line(void *context, const char *text, size_t length)
{
	struct lz_report_file *file = context;
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	struct lz_report_lines *lines = find_process(file, lz_report_line_u64(line, "pid"));
	json_t *into = NULL;
	int status = 0;

	if (json_is_integer(json_object_get(line, "lazyzero_report")))
		status = parse_header(file, line);
	else if (lines != NULL && json_object_get(line, "module") && !json_object_get(line, "site"))
		into = lines->modules;
	else if (lines != NULL && json_object_get(line, "python") && !json_object_get(line, "site"))
		into = lines->python;
	else if (lines != NULL && json_object_get(line, "region"))
		into = lines->regions;
	else if (lines != NULL && json_object_get(line, "site"))
		into = lines->sites;
	else if (lines != NULL && json_is_integer(json_object_get(line, "end")))
		lines->process.complete = true;
	else
		file->unparsed_lines++;
	if (into != NULL && json_array_size(into) < LINES_MAX)
		json_array_append(into, line);
	json_decref(line);
	return status;
}

int lz_report_file_parse(struct lz_report_file *file, FILE *stream)
{
	int status = lz_bounded_lines_each(stream, file->path, LINE_MAX_BYTES, parse_line, file);

	fclose(stream);
	return status;
}

void lz_report_file_free(struct lz_report_file *file)
{
	for (size_t i = 0; i < file->count; i++)
		free_lines(&file->processes[i]);
	free(file->processes);
	file->processes = NULL;
	file->count = 0;
}
