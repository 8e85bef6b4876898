/* Statistics over the runs of a contender; see comparison.h. */
#include "cli/compare/comparison.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

bool lz_spread_of(const struct lz_contender *contender, enum lz_figure figure, struct lz_spread *spread)
{
	double *values = calloc(contender->count + 1, sizeof *values);
	size_t known = 0;

	if (values == NULL)
		return false;
	for (size_t i = 0; i < contender->count; i++)
		if (contender->runs[i].figure[figure] >= 0)
			values[known++] = contender->runs[i].figure[figure];
	qsort(values, known, sizeof *values, ascending);
	if (known > 0)
		*spread = (struct lz_spread){
			(values[(known - 1) / 2] + values[known / 2]) / 2, values[0], values[known - 1]};
	free(values);
	return known > 0;
}

double lz_ratio_to_bare(
	const struct lz_comparison *comparison, const struct lz_contender *contender, enum lz_figure figure)
{
	struct lz_spread own, bare;

	if (!lz_spread_of(contender, figure, &own) ||
		!lz_spread_of(&comparison->contenders[0], figure, &bare) || bare.median <= 0)
		return -1;
	return own.median / bare.median;
}
