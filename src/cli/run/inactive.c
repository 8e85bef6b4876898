/* Finds the reason; see inactive.h. */
#include "cli/run/inactive.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/options.h"

#define STATS_VARIABLE LZ_OPTION_PREFIX "STATS"

static bool is_set_to(const char *variable, const char *value)
{
	const char *found = getenv(variable);

	return found != NULL && strcmp(found, value) == 0;
}

static const char *nonempty(const char *text)
{
	return text != NULL && *text != '\0' ? text : NULL;
}

const char *lz_inactive_reason(const struct lz_program *executable, const struct lz_stats_location *location)
{
	static char problem[sizeof executable->problem + 32];

	if (location->path[0] == '\0')
		return "there is no place to write statistics, so nothing is known about it";
	if (executable->problem[0] != '\0') {
		snprintf(problem, sizeof problem, "the %s is %s",
			executable->is_script ? "interpreter" : "program", executable->problem);
		return problem;
	}
	if (is_set_to(LZ_OPTION_PREFIX "DISABLE", "1"))
		return LZ_OPTION_PREFIX "DISABLE is 1";
	if (nonempty(getenv(LZ_OPTION_PREFIX "ONLY")) != NULL)
		return LZ_OPTION_PREFIX "ONLY names other programs";
	if (!location->is_private)
		return "LD_PRELOAD did not take effect in the program, or " STATS_VARIABLE
		       " cannot be written";
	return "LD_PRELOAD did not take effect in the program";
}
