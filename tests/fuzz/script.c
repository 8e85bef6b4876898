/*
 * A sequence as text: a line "threads N", a line for each setting, and one for each operation with its name
 * and fields. Files with another beginning are raw records, as libFuzzer stores them.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "# lazyzero fuzz script"

void script_print(FILE *to, const struct sequence *sequence)
{
	fprintf(to, FIRST_LINE "\nthreads %u\n", sequence->threads);
	for (unsigned i = 0; i < sequence->setting_count; i++)
		fprintf(to, "setting %s\n", sequence->settings[i]);
	for (size_t i = 0; i < sequence->count; i++) {
		const struct record *r = &sequence->records[i];

		fprintf(to, "%s %u %u %u %u %u %u %u\n", operation_of(r)->name, r->thread % sequence->threads,
			r->a, r->b, r->s, r->t, r->x, r->y);
	}
}

static bool read_operation(const char *line, struct record *record)
{
	char name[32];
	unsigned thread, a, b, s, t, x, y;

	if (sscanf(line, "%31s %u %u %u %u %u %u %u", name, &thread, &a, &b, &s, &t, &x, &y) != 8)
		return false;
	for (size_t i = 0; i < operation_count; i++)
		if (strcmp(operations[i].name, name) == 0) {
			*record = (struct record){(uint8_t)i, (uint8_t)thread, (uint8_t)a, (uint8_t)b,
				(uint16_t)s, (uint16_t)t, x, y};
			return true;
		}
	return false;
}

static bool read_line(char *line, struct sequence *sequence)
{
	line[strcspn(line, "\n")] = '\0';
	if (*line == '#' || *line == '\0')
		return true;
	if (sscanf(line, "threads %u", &sequence->threads) == 1)
		return sequence->threads >= 1 && sequence->threads <= THREADS_MAX;
	if (strncmp(line, "setting LAZYZERO_", 17) == 0 && sequence->setting_count < 16) {
		snprintf(sequence->settings[sequence->setting_count++], sizeof sequence->settings[0], "%.95s",
			line + 8);
		return true;
	}
	sequence->records = realloc(sequence->records, (sequence->count + 1) * sizeof *sequence->records);
	return sequence->records != NULL && read_operation(line, &sequence->records[sequence->count++]);
}

bool script_read(const char *path, struct sequence *sequence)
{
	FILE *file = fopen(path, "r");
	char line[256];
	struct record record;
	unsigned number = 1;

	memset(sequence, 0, sizeof *sequence);
	sequence->threads = 1;
	if (file == NULL) {
		fprintf(stderr, "fuzz: cannot read %s\n", path);
		return false;
	}
	if (fgets(line, sizeof line, file) != NULL && strncmp(line, FIRST_LINE, strlen(FIRST_LINE)) == 0) {
		sequence->is_text = true;
		while (fgets(line, sizeof line, file) != NULL) {
			number++;
			if (!read_line(line, sequence)) {
				fprintf(stderr, "fuzz: %s: line %u is no operation: %s\n", path, number,
					line);
				fclose(file);
				return false;
			}
		}
	} else {
		rewind(file);
		while (fread(&record, sizeof record, 1, file) == 1) {
			sequence->records =
				realloc(sequence->records, (sequence->count + 1) * sizeof *sequence->records);
			if (sequence->records == NULL)
				break;
			sequence->records[sequence->count++] = record;
		}
	}
	fclose(file);
	return true;
}
