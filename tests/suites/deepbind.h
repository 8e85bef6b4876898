/* The functions of a plugin of deepbind.c: those to which its references to malloc are bound. */
#ifndef DEEPBIND_H
#define DEEPBIND_H

#include <stddef.h>

struct deepbind_plugin {
	void (*free)(void *);
	void *(*realloc)(void *, size_t);
	void *(*reallocarray)(void *, size_t, size_t);
	size_t (*malloc_usable_size)(void *);
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*copy)(const void *, size_t);
};

#endif
