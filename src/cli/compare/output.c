/* Chooses the form of the output; see output.h. */
#include "cli/compare/output.h"

#include "cli/common/command.h"
#include "cli/common/gnuplot.h"
#include "cli/compare/draw.h"
#include "cli/compare/print.h"

int lz_compare_output_check(const struct lz_compare_output *output)
{
	return output->svg != NULL ? lz_gnuplot_check(output->svg) : 0;
}

int lz_compare_output_write(const struct lz_compare_output *output, const struct lz_comparison *comparison)
{
	int status = 0;

	if (output->json)
		status = lz_compare_print_json(comparison);
	else
		lz_compare_print_text(comparison);
	if (output->svg != NULL && lz_compare_draw(comparison, output->svg) != 0)
		status = LZ_EXIT_FAILURE;
	return status;
}
