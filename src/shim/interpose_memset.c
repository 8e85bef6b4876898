/*
 * The interposed memset, bzero and explicit_bzero. A call below the threshold costs one comparison and one
 * indirect jump; the work is in functions marked noinline.
 *
 * Until start-up the threshold is 0 and every call is made without the C library. That is the only way that
 * works before this library is relocated (ld.so relocates preloaded libraries after those that the program
 * needs, and their IFUNC resolvers may call memset), so it refers to nothing that needs a relocation. An
 * IFUNC of our own would not work there either.
 */
#include <dlfcn.h>
#include <stdint.h>

#include "os/plain_memset.h"
#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))
#define SLOW __attribute__((noinline, cold))
#define CALLER __builtin_return_address(0)

/* Declared here without builtin attributes; <string.h> would make the compiler assume what they do. */
void *memset(void *p, int byte, size_t size);
void bzero(void *p, size_t size);
void explicit_bzero(void *p, size_t size);
void *__memset_chk(void *p, int byte, size_t size, size_t room);
void __explicit_bzero_chk(void *p, size_t size, size_t room);

/* The next definitions. The next memset is lz_plain_memset. */
static struct {
	void (*bzero)(void *, size_t);
	void (*explicit_bzero)(void *, size_t);
	void *(*memset_chk)(void *, int, size_t, size_t);
	void (*explicit_bzero_chk)(void *, size_t, size_t);
} next;

/* Not every C library defines all of these names. */

static void plain_bzero(void *p, size_t size)
{
	lz_plain_memset(p, 0, size);
	__asm__ volatile("" : : "r"(p) : "memory");
}

static void *checked_memset(void *p, int byte, size_t size, size_t room)
{
	if (size > room)
		__builtin_trap();
	return lz_plain_memset(p, byte, size);
}

static void checked_bzero(void *p, size_t size, size_t room)
{
	checked_memset(p, 0, size, room);
}

/* dlsym returns an object pointer; POSIX allows calling it. */
static void *find(const char *name, void *fallback)
{
	void *found = dlsym(RTLD_NEXT, name);

	return found != NULL ? found : fallback;
}

void lz_memset_find(void)
{
	*(void **)&lz_plain_memset = find("memset", (void *)lz_memset_standalone);
	*(void **)&next.bzero = find("bzero", (void *)plain_bzero);
	*(void **)&next.explicit_bzero = find("explicit_bzero", (void *)plain_bzero);
	*(void **)&next.memset_chk = find("__memset_chk", (void *)checked_memset);
	*(void **)&next.explicit_bzero_chk = find("__explicit_bzero_chk", (void *)checked_bzero);
	/* From here on the pointers are used. lz_configure sets the threshold that applies. */
	__atomic_store_n(&lz_memset_threshold, SIZE_MAX, __ATOMIC_RELEASE);
}

static SLOW void *large_memset(void *p, int byte, size_t size, const void *caller)
{
	uint64_t written;

	if (lz_memset_threshold == 0)
		return lz_memset_standalone(p, byte, size);
	if ((unsigned char)byte != 0)
		return lz_plain_memset(p, byte, size);
	written = lz_zeroing_clear(&lz_core.zeroing, p, size, caller);
	if (lz_report_is_active(&lz_core.reporter))
		lz_report_zeroed(&lz_core.reporter, caller, size, written);
	return p;
}

EXPORT void *memset(void *p, int byte, size_t size)
{
	if (__builtin_expect(size >= lz_memset_threshold, 0))
		return large_memset(p, byte, size, CALLER);
	return lz_plain_memset(p, byte, size);
}

EXPORT void bzero(void *p, size_t size)
{
	if (__builtin_expect(size >= lz_memset_threshold, 0))
		large_memset(p, 0, size, CALLER);
	else
		next.bzero(p, size);
}

/* A page that is skipped was never written, so it holds no secret. */
EXPORT void explicit_bzero(void *p, size_t size)
{
	if (__builtin_expect(size >= lz_memset_threshold, 0))
		large_memset(p, 0, size, CALLER);
	else
		next.explicit_bzero(p, size);
}

/* The next definition ends the program if the block is too small (-D_FORTIFY_SOURCE). */

static SLOW void *large_checked_memset(void *p, int byte, size_t size, size_t room, const void *caller)
{
	if (size > room && lz_memset_threshold != 0)
		return next.memset_chk(p, byte, size, room);
	if (size > room)
		__builtin_trap();
	return large_memset(p, byte, size, caller);
}

EXPORT void *__memset_chk(void *p, int byte, size_t size, size_t room)
{
	if (__builtin_expect(size >= lz_memset_threshold, 0))
		return large_checked_memset(p, byte, size, room, CALLER);
	return next.memset_chk(p, byte, size, room);
}

EXPORT void __explicit_bzero_chk(void *p, size_t size, size_t room)
{
	if (__builtin_expect(size >= lz_memset_threshold, 0))
		large_checked_memset(p, 0, size, room, CALLER);
	else
		next.explicit_bzero_chk(p, size, room);
}
