/*
 * Whose function it would be without us: what the next allocator calls its own (dallocx, mi_free) and we
 * stand before, in case it is given a block of ours.
 *
 * Mostly that is what RTLD_NEXT finds. But a plugin loaded without RTLD_GLOBAL may bring an allocator that
 * only it sees: its references are bound to us all the same, because the program and what is preloaded come
 * first in every search, and RTLD_NEXT does not look where the plugin would have. So the calling library's
 * own dependencies are searched next. What nobody has is the stand-in's to do.
 *
 * Takes the loader's lock where a caller is seen first, as lazy binding of any function does; allocates only
 * inside the loader.
 */
#ifndef LZ_SHIM_SYMBOL_LOOKUP_H
#define LZ_SHIM_SYMBOL_LOOKUP_H

#include <stdatomic.h>

/* One name. `own` is our function of it, `fallback` does the same by standard means. */
struct lz_symbol {
	const char *name;
	void *own, *fallback;
	void *_Atomic next; /* what RTLD_NEXT finds; NULL as long as it finds nothing */
};

/* The function that a call of that name from `caller` is for. Thread-safe; errno stays. */
void *lz_symbol_find(struct lz_symbol *name, const void *caller) __attribute__((cold));

#endif
