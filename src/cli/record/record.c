/* Reading a record; see record_read.h. */
#include "cli/record/record.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/command.h"
#include "cli/common/bounded_line.h"
#include "cli/record/recorder.h"

#define LINE_MAX_BYTES (64u << 20) /* 200,000 processes */

static const char *const sizes[LZ_RECORD_SIZES] = {"virtual", "rss", "pss", "shmem", "tables"};

static double number_or_nan(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	double number = json_is_number(value) ? json_number_value(value) : NAN;

	return number >= 0 ? number : NAN;
}

/* Minor faults since the look before, of one process; those of one that is new are all its own. */
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
	struct lz_sample sample = {.t = t};
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
	if (record->count == record->room) {
		struct lz_sample *larger =
			realloc(record->samples, (record->room = record->room * 2 + 256) * sizeof *larger);

		if (larger == NULL)
			return false;
		record->samples = larger;
	}
	record->samples[record->count++] = sample;
	return true;
}

/* Takes the first line. Returns 0, or the exit status after saying why this is no record. */
static int parse_header(struct lz_record *record, const json_t *line, const char *path)
{
	const json_t *version = json_object_get(line, "lazyzero_record");
	const json_t *program = json_array_get(json_object_get(line, "program"), 0);
	const char *slash;

	if (!json_is_integer(version))
		return lz_fail("'%s' is not a record of 'lazyzero run --record'", lz_printable(path).text);
	if (json_integer_value(version) != LZ_RECORD_VERSION)
		return lz_fail("'%s' is a record of version %lld; this command reads version %d",
			lz_printable(path).text, (long long)json_integer_value(version), LZ_RECORD_VERSION);
	if (json_is_string(program)) {
		slash = strrchr(json_string_value(program), '/');
		snprintf(record->program, sizeof record->program, "%s",
			lz_printable(slash != NULL ? slash + 1 : json_string_value(program)).text);
	}
	record->has_header = true;
	return 0;
}

static int parse_line(struct lz_record *record, const char *text, size_t length, const char *path)
{
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *processes = json_object_get(line, "processes");
	double t = number_or_nan(line, "t");
	int status = 0;

	if (!record->has_header)
		status = parse_header(record, line, path);
	else if (!isnan(number_or_nan(line, "end")))
		record->end = number_or_nan(line, "end");
	else if (!json_is_array(processes) || isnan(t) || !add_sample(record, t, processes))
		record->skipped_lines++;
	json_decref(line);
	return status;
}

static int read_lines(struct lz_record *record, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length = 0;
	int status = 0;

	if (file == NULL)
		return lz_fail("cannot read '%s': %s", lz_printable(path).text, strerror(errno));
	while (status == 0 && (length = lz_bounded_line_read(file, &line, &capacity, LINE_MAX_BYTES)) > 0)
		status = parse_line(record, line, (size_t)length, path);
	if (status == 0 && length < 0)
		status = length == -EFBIG
				 ? lz_fail("'%s': a line of more than %s is none of a record",
					   lz_printable(path).text, lz_size_text(LINE_MAX_BYTES).text)
				 : lz_fail("out of memory");
	if (status == 0 && ferror(file))
		status = lz_fail("cannot read '%s': %s", lz_printable(path).text, strerror(errno));
	free(line);
	fclose(file);
	if (status == 0 && !record->has_header)
		status = lz_fail("'%s' is empty", lz_printable(path).text);
	else if (status == 0 && record->count == 0)
		status = lz_fail("'%s' holds no sample: the program ended too soon", lz_printable(path).text);
	return status;
}

int lz_record_read(struct lz_record *record, const char *path)
{
	int status;

	*record = (struct lz_record){.end = -1, .faults_before = json_object()};
	status = read_lines(record, path);
	if (status == 0 && record->skipped_lines > 0)
		lz_warning("%zu line%s of '%s' could not be understood, and %s left out",
			record->skipped_lines, record->skipped_lines == 1 ? "" : "s", lz_printable(path).text,
			record->skipped_lines == 1 ? "is" : "are");
	return status;
}

void lz_record_free(struct lz_record *record)
{
	free(record->samples);
	json_decref(record->faults_before);
}
