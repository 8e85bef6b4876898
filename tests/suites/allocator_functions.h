/*
 * What the files of the test of foreign blocks share (allocator_functions.c): how a function is described, so
 * that all of a kind are tried alike. A name that no allocator defines is a null pointer.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

#define WEAK __attribute__((weak))

/* Where a block comes from. */
struct source {
	const char *name;
	void *(*make)(size_t size);
};

struct function {
	const char *name;
	bool present;
	void (*release)(void *p, size_t size); /* one of the three */
	size_t (*size)(void *p);
	void *(*resize)(void *p, size_t size);
	size_t alignment; /* mimalloc keeps the offset from it that a block has: let there be none */
	bool zeroes;
	bool sized; /* it is told a size, which must be that of a block without an alignment */
};

struct family {
	struct source own;
	struct function functions[32];
};

#define FREES(f, shape, ...)                                                                                 \
	{                                                                                                    \
		.name = #f, .present = f != NULL, .release = shape, __VA_ARGS__                              \
	}
#define TELLS(f, shape)                                                                                      \
	{                                                                                                    \
		.name = #f, .present = f != NULL, .size = shape                                              \
	}
#define RESIZES(f, shape, ...)                                                                               \
	{                                                                                                    \
		.name = #f, .present = f != NULL, .resize = shape, __VA_ARGS__                               \
	}

/* --- allocator_functions_mimalloc.c --- */
void each_mimalloc_family(void (*seen)(const struct family *));

#endif
