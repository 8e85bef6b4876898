/* Reading reports; see report.h. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/lines.h"
#include "cli/report_lines.h"
#include "sites/report.h"

#define LINE_MAX_BYTES 65536u
#define LINES_MAX 65536u

struct file {
	const char *path;
	struct lz_reading *readings;
	size_t count;
	struct timespec told; /* when it was written */
	bool any;             /* a header was seen */
	size_t not_understood;
};

uint64_t lz_report_number(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value)
									: UINT64_MAX;
}

const char *lz_report_word(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text != NULL ? text : "";
}

void lz_report_bytes(char *text)
{
	unsigned char *to = (unsigned char *)text;

	for (const unsigned char *at = to; *at != 0; at++)
		/* U+0080 to U+00FF take two bytes in UTF-8: 110000xx 10xxxxxx. */
		if ((*at & 0xfc) == 0xc0 && (at[1] & 0xc0) == 0x80) {
			*to++ = (unsigned char)(*at << 6 | (at[1] & 0x3f));
			at++;
		} else {
			*to++ = *at;
		}
	*to = 0;
}

static struct lz_reading *find_reading(struct file *file, uint64_t pid)
{
	for (size_t i = file->count; i-- > 0;)
		if (file->readings[i].pid == pid)
			return &file->readings[i];
	return NULL;
}

static void forget(struct lz_reading *reading)
{
	json_decref(reading->modules);
	json_decref(reading->sites);
	json_decref(reading->regions);
}

/* A header begins anew what its process had to tell. */
static int take_header(struct file *file, const json_t *line)
{
	struct lz_reading fresh = {
		.pid = lz_report_number(line, "pid"), .start_time = lz_report_number(line, "start_time")};
	struct lz_reading *reading = find_reading(file, fresh.pid);

	if (lz_report_number(line, "lazyzero_report") != LZ_REPORT_VERSION)
		return lz_fail("'%s' is a report of version %lld; this command reads version %d",
			lz_shown(file->path).text,
			(long long)json_integer_value(json_object_get(line, "lazyzero_report")),
			LZ_REPORT_VERSION);
	file->any = true;
	fresh.process = (struct lz_reported_process){.pid = fresh.pid,
		.start_time = fresh.start_time,
		.alive = lz_report_number(line, "alive"),
		.left_out = lz_report_number(line, "left_out")};
	snprintf(fresh.process.executable, sizeof fresh.process.executable, "%s",
		lz_report_word(line, "executable"));
	lz_report_bytes(fresh.process.executable);
	snprintf(fresh.process.reason, sizeof fresh.process.reason, "%s", lz_report_word(line, "reason"));
	fresh.told = file->told;
	fresh.modules = json_array();
	fresh.sites = json_array();
	fresh.regions = json_array();
	if (reading != NULL && reading->start_time == fresh.start_time) {
		forget(reading);
		*reading = fresh;
		return 0;
	}
	reading = lz_report_grown(file->readings, file->count, sizeof *reading);
	if (reading == NULL) {
		forget(&fresh);
		return LZ_EXIT_OURS;
	}
	file->readings = reading;
	file->readings[file->count++] = fresh;
	return 0;
}

static int take_line(struct file *file, const char *text, size_t length)
{
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	struct lz_reading *reading = find_reading(file, lz_report_number(line, "pid"));
	json_t *into = NULL;
	int status = 0;

	if (json_is_integer(json_object_get(line, "lazyzero_report")))
		status = take_header(file, line);
	else if (reading != NULL && json_object_get(line, "module") && !json_object_get(line, "site"))
		into = reading->modules;
	else if (reading != NULL && json_object_get(line, "region"))
		into = reading->regions;
	else if (reading != NULL && json_object_get(line, "site"))
		into = reading->sites;
	else if (reading != NULL && json_is_integer(json_object_get(line, "end")))
		reading->process.complete = true;
	else
		file->not_understood++;
	if (into != NULL && json_array_size(into) < LINES_MAX)
		json_array_append(into, line);
	json_decref(line);
	return status;
}

static int read_lines(struct file *file)
{
	FILE *stream = fopen(file->path, "re");
	struct stat about;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length = 0;
	int status = 0;

	if (stream == NULL)
		return lz_fail("cannot read '%s': %s", lz_shown(file->path).text, strerror(errno));
	if (fstat(fileno(stream), &about) == 0)
		file->told = about.st_mtim;
	while (status == 0 && (length = lz_line_read(stream, &line, &capacity, LINE_MAX_BYTES)) > 0)
		status = take_line(file, line, (size_t)length);
	if (status == 0 && length < 0)
		status = length == -EFBIG
				 ? lz_fail("'%s': a line of more than %s is none of a report",
					   lz_shown(file->path).text, lz_shown_size(LINE_MAX_BYTES).text)
				 : lz_fail("out of memory");
	if (status == 0 && ferror(stream))
		status = lz_fail("cannot read '%s': %s", lz_shown(file->path).text, strerror(errno));
	free(line);
	fclose(stream);
	if (status != 0 || file->any)
		return status;
	if (file->not_understood == 0)
		return lz_fail("'%s' is empty: the program still runs, or was killed before it could report; "
			       "LAZYZERO_REPORT_SIGNAL lets it report meanwhile",
			lz_shown(file->path).text);
	return lz_fail("'%s' is not a report of LAZYZERO_REPORT", lz_shown(file->path).text);
}

static int read_file(struct lz_report_read *report, const char *path)
{
	struct file file = {.path = path};
	int status = read_lines(&file);

	for (size_t i = 0; i < file.count; i++) {
		if (status == 0)
			status = lz_report_merge(report, &file.readings[i]);
		forget(&file.readings[i]);
	}
	report->not_understood += file.not_understood;
	free(file.readings);
	return status;
}

static int is_report(const struct dirent *entry)
{
	return strncmp(entry->d_name, "lazyzero-report.", sizeof "lazyzero-report." - 1) == 0;
}

/* The reports in a directory that LAZYZERO_REPORT named. */
static int read_directory(struct lz_report_read *report, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_report, versionsort), status = 0;
	char *file;

	if (count < 0)
		return lz_fail("cannot read '%s': %s", lz_shown(path).text, strerror(errno));
	if (count == 0)
		status = lz_fail("'%s' holds no report: no lazyzero-report.PID", lz_shown(path).text);
	for (int i = 0; i < count; i++) {
		if (status == 0 && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			status = lz_fail("out of memory");
		else if (status == 0) {
			status = read_file(report, file);
			free(file);
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

int lz_report_read_file(struct lz_report_read *report, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return read_directory(report, path);
	return read_file(report, path);
}
