/* Runs the rounds; see rounds.h. */
#include "cli/compare/rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/compare/measure.h"

static void show_progress(size_t round, size_t rounds, const char *name)
{
	if (isatty(STDERR_FILENO) == 1)
		fprintf(stderr, "\r\033[K%s%zu of %zu: %s", name != NULL ? "round " : "", round, rounds,
			name != NULL ? lz_printable(name).text : "");
}

int lz_comparison_run(struct lz_comparison *comparison, bool null_stdio)
{
	/* The libraries that the user preloads remain in effect for every contender. */
	const char *preloaded = getenv("LD_PRELOAD");
	char *others = preloaded != NULL ? strdup(preloaded) : NULL;
	bool keep_going = true;
	int status = 0;

	for (size_t round = 0; round < comparison->rounds && keep_going && status == 0; round++)
		for (size_t i = 0; i < comparison->count && keep_going && status == 0; i++) {
			struct lz_contender *contender =
				&comparison->contenders[(round + i) % comparison->count];

			if (contender->problem[0] != '\0')
				continue;
			if (null_stdio)
				show_progress(round + 1, comparison->rounds, contender->name);
			status = lz_contender_run(comparison, contender, null_stdio, others, &keep_going);
		}
	if (null_stdio && isatty(STDERR_FILENO) == 1)
		fputs("\r\033[K", stderr);
	if (!keep_going)
		lz_message("interrupted; the figures are those of the completed runs");
	free(others);
	return status;
}
