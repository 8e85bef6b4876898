/*
 * Finds the function that a call would reach without lazyzero, for names that lazyzero interposes in case
 * they are given a region (dallocx, mi_free).
 *
 * In most cases RTLD_NEXT finds it. But a plugin loaded without RTLD_GLOBAL may bring an allocator that only
 * the plugin sees. Its references are bound to lazyzero all the same, because the program and preloaded
 * libraries come first in every search, and RTLD_NEXT does not search the plugin's dependencies. So these are
 * searched next. If nobody defines the name, the fallback is used.
 *
 * Takes the dynamic linker's lock when a caller is seen first, as lazy binding of any function does;
 * allocates only inside the dynamic linker.
 */
#ifndef LZ_SHIM_SYMBOL_LOOKUP_H
#define LZ_SHIM_SYMBOL_LOOKUP_H

#include <stdatomic.h>

/* One name. `own` is lazyzero's function, `fallback` does the same with standard functions. */
struct lz_symbol {
	const char *name;
	void *own, *fallback;
	void *_Atomic next; /* result of RTLD_NEXT; NULL if it found nothing so far */
};

/* The function that a call of this name from `caller` is meant for. Thread-safe; preserves errno. */
void *lz_symbol_find(struct lz_symbol *name, const void *caller) __attribute__((cold));

#endif
