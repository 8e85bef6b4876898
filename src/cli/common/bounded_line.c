/* Reads lines of bounded length; see bounded_line.h. */
#include "cli/common/bounded_line.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"

/*
 * Reads a line, including its newline, into *line, which is grown as needed. Returns the length; 0 at the end
 * of the file or on a stream error; -EFBIG if the line is longer than `max` bytes; or -ENOMEM.
 */
static ssize_t read_line(FILE *stream, char **line, size_t *capacity, size_t max)
{
	size_t length = 0;
	int c;

	while ((c = getc_unlocked(stream)) != EOF) {
		if (length == max)
			return -EFBIG;
		if (length == *capacity) {
			char *larger = realloc(*line, *capacity * 2 + 256);

			if (larger == NULL)
				return -ENOMEM;
			*line = larger;
			*capacity = *capacity * 2 + 256;
		}
		(*line)[length++] = (char)c;
		if (c == '\n')
			break;
	}
	return (ssize_t)length;
}

int lz_bounded_lines_each(
	FILE *stream, const char *path, size_t max, lz_bounded_line_visit *visit, void *context)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length = 0;
	int status = 0;

	while (status == 0 && (length = read_line(stream, &line, &capacity, max)) > 0)
		status = visit(context, line, (size_t)length);
	if (status == 0 && length == -EFBIG)
		status = lz_fail(
			"'%s' has a line longer than %s", lz_printable(path).text, lz_size_text(max).text);
	else if (status == 0 && length < 0)
		status = lz_fail_memory();
	else if (status == 0 && ferror(stream))
		status = lz_fail_read(path, errno);
	free(line);
	return status;
}
