/* A plugin that uses an allocator of its own: linked with one, or containing one. */
#include "plugin.h"

long plugin_work(long rounds)
{
	for (long round = 1; round <= rounds; round++) {
		void *blocks[8];

		for (int i = 0; i < 8; i++) {
			blocks[i] = mi_malloc(100);
			if (blocks[i] == NULL || mi_usable_size(blocks[i]) != 4096 ||
				mi_realloc(blocks[i], 200) != blocks[i])
				return round;
		}
		for (int i = 0; i < 8; i++)
			mi_free(blocks[i]);
		mi_free(NULL);
	}
	return 0;
}
