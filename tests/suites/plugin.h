/* What a plugin offers, and what it uses. */
#ifndef LZ_TESTS_PLUGIN_H
#define LZ_TESTS_PLUGIN_H

#include <stddef.h>

void *mi_malloc(size_t size);
void mi_free(void *p);
void *mi_realloc(void *p, size_t size);
size_t mi_usable_size(const void *p);

/* Allocates and frees blocks, `rounds` times; 0, or the round that failed. */
long plugin_work(long rounds);

#endif
