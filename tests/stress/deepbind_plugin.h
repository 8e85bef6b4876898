/* A library that is opened with RTLD_DEEPBIND: its references to the malloc family are bound to the C
 * library's own. */
#ifndef STRESS_PLUGIN_H
#define STRESS_PLUGIN_H

#include <stddef.h>

struct stress_plugin {
	void (*free)(void *);
	void *(*realloc)(void *, size_t);
	size_t (*size)(void *);
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
};

#endif
