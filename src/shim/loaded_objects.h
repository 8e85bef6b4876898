/*
 * Which programs and libraries are in the process, as far as that decides what lazyzero may serve. Checked
 * once, at start-up, without lookups that fail.
 */
#ifndef LZ_SHIM_LOADED_OBJECTS_H
#define LZ_SHIM_LOADED_OBJECTS_H

#include <stdbool.h>

/* The name of the sanitizer whose runtime is loaded; NULL if there is none. */
const char *lz_loaded_sanitizer(void);

/* Whether two addresses are in the same program or library. */
bool lz_loaded_in_same_object(const void *one, const void *other);

/*
 * Whether C++'s operator new and operator delete are defined in different places, and the latter by the
 * allocator below, whose malloc is `next_malloc`: that operator delete would get blocks that operator new
 * took from malloc, and would have to know them.
 */
bool lz_loaded_mixes_new_delete(const void *next_malloc);

#endif
