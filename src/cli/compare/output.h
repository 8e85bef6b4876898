/* The output of `lazyzero compare`: a table or JSON, and a picture. */
#ifndef LZ_CLI_COMPARE_OUTPUT_H
#define LZ_CLI_COMPARE_OUTPUT_H

#include <stdbool.h>

#include "cli/compare/comparison.h"

struct lz_compare_output {
	bool json;
	const char *svg; /* path of the picture; NULL: none */
};

/* Whether the picture can be drawn, to be called before the runs. Returns 0, or -errno after an error
 * message. */
int lz_compare_output_check(const struct lz_compare_output *output);

/* Returns the exit status. */
int lz_compare_output_write(const struct lz_compare_output *output, const struct lz_comparison *comparison);

#endif
