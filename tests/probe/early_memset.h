/* A library that the program needs, whose IFUNC resolver calls memset and bzero; see early_memset.c. */
#ifndef PROBE_EARLY_MEMSET_H
#define PROBE_EARLY_MEMSET_H

#include <stdbool.h>

/* Whether these calls did what they must. */
bool early_memset_worked(void);

#endif
