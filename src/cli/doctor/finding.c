/* Formats the texts of a finding; see finding.h. */
#include "cli/doctor/finding.h"

#include <stdarg.h>
#include <stdio.h>

/* A macro, since va_start is valid only in the variadic function itself. */
#define FILL(text, format)                                                                                   \
	do {                                                                                                 \
		va_list values;                                                                              \
                                                                                                             \
		va_start(values, format);                                                                    \
		vsnprintf(text, sizeof(text), format, values);                                               \
		va_end(values);                                                                              \
	} while (0)

void lz_finding_set(struct lz_finding *finding, enum lz_health health, const char *found, ...)
{
	finding->health = health;
	FILL(finding->found, found);
}

void lz_finding_set_meaning(struct lz_finding *finding, const char *format, ...)
{
	FILL(finding->meaning, format);
}

void lz_finding_set_fix(struct lz_finding *finding, const char *format, ...)
{
	FILL(finding->fix, format);
}
