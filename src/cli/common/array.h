/* Growing of arrays whose length is kept by the caller. */
#ifndef LZ_CLI_COMMON_ARRAY_H
#define LZ_CLI_COMMON_ARRAY_H

#include <stddef.h>

/*
 * Makes room for one more element in an array of `count` elements of `size` bytes that was grown by this
 * function alone (NULL if empty) and so has room for the next power of two. Returns the array, which may have
 * moved, or NULL if there is no memory; the old array is then still valid.
 */
void *lz_array_grow(void *array, size_t count, size_t size);

#endif
