/* State of the shim; see shim.h. */
#include <stdint.h>

#include "shim/shim.h"

/* A block may be freed before the core is configured: no region is found then. */
struct lz_core lz_core = {.heap = {.books = &lz_core.books}};
size_t lz_calloc_threshold = SIZE_MAX;
size_t lz_malloc_threshold = SIZE_MAX;
size_t lz_memset_threshold;
bool lz_mappings_followed;

void lz_deactivate(void)
{
	lz_calloc_threshold = SIZE_MAX;
	lz_malloc_threshold = SIZE_MAX;
	lz_memset_threshold = SIZE_MAX;
	__atomic_store_n(&lz_mappings_followed, false, __ATOMIC_RELEASE);
	lz_calls_before_seccomp(&lz_core.calls);
	lz_core.active = false;
}
