/* Lines of bounded length; see lines.h. */
#include "cli/common/bounded_line.h"

#include <errno.h>
#include <stdlib.h>

ssize_t lz_bounded_line_read(FILE *stream, char **line, size_t *capacity, size_t most)
{
	size_t length = 0;
	int c;

	while ((c = getc_unlocked(stream)) != EOF) {
		if (length == most)
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
