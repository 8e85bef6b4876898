/* See deepbind_plugin.h. */
#include "deepbind_plugin.h"

#include <malloc.h>
#include <stdlib.h>

extern const struct stress_plugin stress_plugin;
const struct stress_plugin stress_plugin = {
	.free = free,
	.realloc = realloc,
	.size = malloc_usable_size,
	.malloc = malloc,
	.calloc = calloc,
	.memalign = memalign,
};
