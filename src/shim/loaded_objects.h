/*
 * Who else is in the process, where that decides what we may serve. Asked once, at start-up; nothing is
 * searched for in vain.
 */
#ifndef LZ_SHIM_LOADED_OBJECTS_H
#define LZ_SHIM_LOADED_OBJECTS_H

#include <stdbool.h>

/* The name of the sanitizer whose runtime is here; NULL for none. */
const char *lz_loaded_sanitizer(void);

/* Whether two addresses lie in one program or library. */
bool lz_loaded_in_same_object(const void *one, const void *other);

/*
 * Whether C++'s operator new and operator delete come from different places, the latter from the allocator
 * below us, whose malloc is `next_malloc`: it would be given what new had from malloc, and must know it.
 */
bool lz_loaded_mixes_new_delete(const void *next_malloc);

#endif
