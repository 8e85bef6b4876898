/* Reads a record; see record.h. */
#include "cli/record/record.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/common/bounded_line.h"
#include "cli/common/messages.h"
#include "cli/record/format.h"

#define LINE_MAX_BYTES (64u << 20) /* a sample of 200,000 processes */

static const char *const sizes[LZ_RECORD_SIZES] = {"virtual", "rss", "pss", "shmem", "tables"};

static double number_or_nan(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	double number = json_is_number(value) ? json_number_value(value) : NAN;

	return number >= 0 ? number : NAN;
}

/* Minor faults of one process since the sample before; all of its faults if the process is new. */
static double new_faults(struct lz_record *record, const json_t *process)
{
	double now = number_or_nan(process, "minflt"), before;
	char pid[32];

	if (isnan(now))
		return 0;
	snprintf(pid, sizeof pid, "%.0f", number_or_nan(process, "pid"));
	before = number_or_nan(record->faults_before, pid);
	json_object_set_new(record->faults_before, pid, json_real(now));
	return isnan(before) ? now : now > before ? now - before : 0;
}

static bool add_sample(struct lz_record *record, double t, const json_t *processes)
{
	const struct lz_sample *last = record->count > 0 ? &record->samples[record->count - 1] : NULL;
	struct lz_sample sample = {.t = t}, *samples;
	double faults = 0;
	size_t i;
	json_t *process;

	if (last != NULL && !(t > last->t))
		return false;
	for (size_t j = 0; j < LZ_RECORD_SIZES; j++)
		sample.size[j] = NAN;
	json_array_foreach(processes, i, process)
	{
		for (size_t j = 0; j < LZ_RECORD_SIZES; j++) {
			double value = number_or_nan(process, sizes[j]);

			if (!isnan(value))
				sample.size[j] = isnan(sample.size[j]) ? value : sample.size[j] + value;
		}
		faults += new_faults(record, process);
	}
	sample.faults = last != NULL ? faults / (t - last->t) : t > 0 ? faults / t : NAN;
	samples = lz_array_grow(record->samples, record->count, sizeof *samples);
	if (samples == NULL)
		return false;
	record->samples = samples;
	record->samples[record->count++] = sample;
	return true;
}

/* Parses the first line. Returns 0, or the exit status after an error message. */
static int parse_header(struct lz_record *record, const json_t *line, const char *path)
{
	const json_t *version = json_object_get(line, "lazyzero_record");
	const json_t *program = json_array_get(json_object_get(line, "program"), 0);

	if (!json_is_integer(version))
		return lz_fail("'%s' is not a record of 'lazyzero run --record'", lz_printable(path).text);
	if (json_integer_value(version) != LZ_RECORD_VERSION)
		return lz_fail("'%s' is a record of version %lld; this command reads version %d",
			lz_printable(path).text, (long long)json_integer_value(version), LZ_RECORD_VERSION);
	if (json_is_string(program))
		snprintf(record->program, sizeof record->program, "%s",
			lz_printable(lz_base_name(json_string_value(program))).text);
	record->header = json_deep_copy(line);
	record->has_header = true;
	return 0;
}

/* The record that is being read, and its path for messages. */
struct reader {
	struct lz_record *record;
	const char *path;
};

static int parse_line(void *context, const char *text, size_t length)
{
	const struct reader *reader = context;
	struct lz_record *record = reader->record;
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *processes = json_object_get(line, "processes");
	double t = number_or_nan(line, "t");
	int status = 0;

	if (!record->has_header) {
		status = parse_header(record, line, reader->path);
	} else if (!isnan(number_or_nan(line, "end"))) {
		record->end = number_or_nan(line, "end");
		json_decref(record->last);
		record->last = json_incref(line);
	} else if (!json_is_array(processes) || isnan(t) || !add_sample(record, t, processes)) {
		record->skipped_lines++;
	}
	json_decref(line);
	return status;
}

static int read_lines(struct lz_record *record, const char *path)
{
	struct reader reader = {record, path};
	FILE *file = fopen(path, "re");
	int status;

	if (file == NULL)
		return lz_fail_read(path, errno);
	status = lz_bounded_lines_each(file, path, LINE_MAX_BYTES, parse_line, &reader);
	fclose(file);
	if (status == 0 && !record->has_header)
		status = lz_fail("'%s' is empty", lz_printable(path).text);
	return status;
}

int lz_record_read(struct lz_record *record, const char *path)
{
	int status;

	*record = (struct lz_record){.end = -1, .faults_before = json_object()};
	status = read_lines(record, path);
	if (status == 0 && record->skipped_lines > 0)
		lz_warning("skipped %zu line%s of '%s' that could not be parsed", record->skipped_lines,
			record->skipped_lines == 1 ? "" : "s", lz_printable(path).text);
	return status;
}

void lz_record_free(struct lz_record *record)
{
	free(record->samples);
	json_decref(record->faults_before);
	json_decref(record->header);
	json_decref(record->last);
}
