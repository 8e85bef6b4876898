/* A library that allocates whenever it can: when it is loaded and unloaded, and for each thread that uses it.
 */
#include <stdlib.h>
#include <string.h>

#define MB ((size_t)1 << 20)

char *stress_region(void);

static char *whole;
/* Too large for the room that the C library keeps for such libraries: it is allocated at first use. */
static __thread char per_thread[256 * 1024];

__attribute__((constructor)) static void load(void)
{
	whole = calloc(3, MB);
	if (whole == NULL || whole[MB] != 0)
		abort();
	memset(whole, 1, MB);
}

__attribute__((destructor)) static void unload(void)
{
	char *other = calloc(2, MB);

	if (whole[MB - 1] != 1 || whole[MB] != 0 || other == NULL || other[MB] != 0)
		abort();
	free(whole);
	free(other);
}

char *stress_region(void)
{
	if (per_thread[1000] != 0)
		abort();
	per_thread[1001] = 1;
	return calloc(2, MB);
}
