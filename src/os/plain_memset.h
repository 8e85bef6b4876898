/*
 * memset(3) for the library itself. The library interposes memset, so its own calls by that name would come
 * back to it. Small sizes do no harm, but the pages of a region must be cleared through lz_plain_memset.
 */
#ifndef LZ_OS_PLAIN_MEMSET_H
#define LZ_OS_PLAIN_MEMSET_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/*
 * The next definition of memset, which start-up looks up; until then, and in programs that do not interpose
 * memset, lz_memset_standalone. The interposed memset jumps through this pointer, so it is not atomic; it is
 * written once, before there are threads.
 */
extern void *(*lz_plain_memset)(void *p, int byte, size_t size);

/*
 * memset without the C library, for calls that arrive before this library is relocated (IFUNC resolvers of
 * other libraries): refers to nothing that needs a relocation. Thread-safe and async-signal-safe.
 */
void *lz_memset_standalone(void *p, int byte, size_t size);

#pragma GCC visibility pop

#endif
