/* What the runs of the contenders say; see comparison.h. */
#include "cli/compare/comparison.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "cli/common/messages.h"

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

int lz_comparison_check_statuses(struct lz_comparison *comparison)
{
	const struct lz_contender *bare = &comparison->contenders[0];
	int status = 0;

	for (size_t i = 0; i < comparison->count; i++) {
		struct lz_contender *contender = &comparison->contenders[i];

		if (contender->count > 0 && bare->count > 0 && contender->status != bare->status)
			snprintf(contender->problem, sizeof contender->problem,
				WIFSIGNALED(contender->status) ? "it was killed by signal %d"
							       : "it exited with status %d",
				WIFSIGNALED(contender->status) ? WTERMSIG(contender->status)
							       : WEXITSTATUS(contender->status));
		if (contender->problem[0] != '\0')
			status = 1;
	}
	if (bare->count > 0 && bare->status != 0)
		lz_warning("the bare program fails (%s %d); --show-output shows its messages",
			WIFSIGNALED(bare->status) ? "signal" : "status",
			WIFSIGNALED(bare->status) ? WTERMSIG(bare->status) : WEXITSTATUS(bare->status));
	return status;
}
