/* Lines of files that may be hostile: one that never ends does not take all memory. */
#ifndef LZ_CLI_LINES_H
#define LZ_CLI_LINES_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/*
 * Reads a line, with its newline if it has one, into *line, which is grown (NULL and 0 to begin with) and to
 * be freed. Returns its length, 0 at the end or where the stream has an error, -EFBIG when it is longer than
 * `most` bytes, or -ENOMEM.
 */
ssize_t lz_bounded_line_read(FILE *stream, char **line, size_t *capacity, size_t most);

#endif
