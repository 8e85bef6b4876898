/*
 * What other allocators offer beside the standard functions, where it takes a block: a program that knows
 * jemalloc, mimalloc or tcmalloc beneath us may hand them one that we served. Ours are dealt with here; all
 * others go to the function that the call was for (scope.h).
 *
 * Only functions that take a block stand here, never one that makes a block or tells of the allocator:
 * programs that look whether jemalloc is there look for mallocx or mallctl, and must not find them. Where
 * there is no such allocator, what stands here does what its standard counterpart does, so a program that is
 * content with sdallocx alone is right to use it. And only names that nobody else gives another meaning: not
 * malloc_size, vfree or cfree.
 *
 * C++'s operators are not among them. Whoever defines delete defines new, so it is given its own blocks;
 * where a program mixes the two, malloc is left alone (company.h). And a plugin that brings the C++ library
 * into a program without would pay a look into the table of callers for every delete.
 */
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "core/info.h"
#include "shim/arena.h"
#include "shim/next.h"
#include "shim/scope.h"
#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))
#define SLOW __attribute__((noinline, cold))
#define CALLER __builtin_return_address(0)
#define MAY_BE_OURS(p) (((uintptr_t)(p)&4095) == 0)

/*
 * The function that a call of this name is for, of the same type; after the first call that costs one
 * comparison. A stand-in ignores the arguments it has no parameter for.
 */
#define NEXT(function, stand_in_function)                                                                    \
	({                                                                                                   \
		static struct lz_name entry = {                                                              \
			.name = #function, .own = (void *)(function), .stand_in = (void *)(stand_in_function)};  \
		void *next = atomic_load_explicit(&entry.next, memory_order_relaxed);                        \
		(__typeof__(&(function)))(next != NULL ? next : lz_scope_find(&entry, CALLER));              \
	})

static SLOW bool is_aligned_ours(const void *p)
{
	size_t length;

	return p != NULL && (lz_arena_owns(p) || lz_core_size(&lz_core, p, &length) == 0);
}

static SLOW bool freed_aligned_ours(void *p, const void *caller)
{
	if (p == NULL)
		return false;
	if (lz_arena_owns(p) || lz_core_free(&lz_core, p) == 0)
		return true;
	lz_stop_misuse("free", p, caller);
	return false;
}

static inline bool is_ours(const void *p)
{
	return MAY_BE_OURS(p) && is_aligned_ours(p);
}

static inline __attribute__((always_inline)) bool freed_ours(void *p)
{
	return MAY_BE_OURS(p) && freed_aligned_ours(p, CALLER);
}

/*
 * --- the same by standard means: for our blocks, and for all where nobody defines the name ---
 *
 * By global names, which need not be ours: where another allocator stands before us, its blocks come here.
 */

static void plain_free(void *p)
{
	free(p);
}

static size_t plain_size(const void *p)
{
	return malloc_usable_size((void *)p);
}

static void *plain_realloc(void *p, size_t size)
{
	return is_ours(p) ? lz_realloc(p, size, CALLER) : realloc(p, size);
}

/* In place, as far as it is large already. */
static void *plain_expand(void *p, size_t size)
{
	return p != NULL && size <= malloc_usable_size(p) ? p : NULL;
}

/* What a block grew by reads as zero; where that is much, it is not touched. */
static void *with_zero_tail(void *p, size_t old_length)
{
	size_t length = p != NULL ? malloc_usable_size(p) : 0;

	if (length > old_length && lz_core_zero(&lz_core, (char *)p + old_length, length - old_length) != 0)
		memset((char *)p + old_length, 0, length - old_length);
	return p;
}

static void *plain_rezalloc(void *p, size_t size)
{
	size_t length = malloc_usable_size(p);

	return with_zero_tail(plain_realloc(p, size), length);
}

static void *plain_recalloc(void *p, size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? NULL : plain_rezalloc(p, bytes);
}

static void *plain_reallocf(void *p, size_t size)
{
	void *moved = plain_realloc(p, size);

	/* To nothing, realloc has freed it. */
	if (moved == NULL && size != 0)
		free(p);
	return moved;
}

/* To an alignment that realloc does not promise, by a copy. p stays where that fails. */
static void *copied_to(void *p, size_t size, size_t alignment)
{
	void *block;

	if (posix_memalign(&block, lz_max_u64(alignment, sizeof(void *)), size) != 0)
		return NULL;
	if (p != NULL)
		memcpy(block, p, lz_min_u64(malloc_usable_size(p), size));
	free(p);
	return block;
}

/* A region is resized on page boundaries; others are copied, for what realloc moved could not be moved back. */
static void *plain_realloc_aligned(void *p, size_t size, size_t alignment)
{
	struct lz_request request = {.call = "realloc", .size = size, .caller = CALLER};
	void *block;

	if (alignment <= _Alignof(max_align_t))
		return plain_realloc(p, size);
	if (MAY_BE_OURS(p) && alignment <= 4096 && size >= lz_malloc_threshold &&
		lz_core_resize(&lz_core, &request, p, &block) == 0)
		return block;
	return copied_to(p, size, alignment);
}

/* jemalloc(3): of the flags, the low six bits are the binary logarithm of an alignment, and one asks for
 * zeros. */
static void *plain_rallocx(void *p, size_t size, int flags)
{
	size_t length = malloc_usable_size(p);

	p = plain_realloc_aligned(p, size, (size_t)1 << (flags & 63));
	return flags & 0x40 ? with_zero_tail(p, length) : p;
}

static int plain_trim(size_t pad)
{
	(void)pad;
	return 0;
}

/* --- the C library: its own entrance, for programs that bring a malloc --- */

void __libc_free(void *p);
void *__libc_realloc(void *p, size_t size);

EXPORT void __libc_free(void *p)
{
	if (!freed_ours(p))
		NEXT(__libc_free, plain_free)(p);
}

EXPORT void *__libc_realloc(void *p, size_t size)
{
	return is_ours(p) ? plain_realloc(p, size) : NEXT(__libc_realloc, plain_realloc)(p, size);
}

/* It asks for memory back, and some of it is what we keep. */
EXPORT int malloc_trim(size_t pad)
{
	bool gave_back = lz_recycle_flush(&lz_core);

	return NEXT(malloc_trim, plain_trim)(pad) != 0 || gave_back;
}

/* --- jemalloc --- */

void dallocx(void *p, int flags);
void sdallocx(void *p, size_t size, int flags);
void *rallocx(void *p, size_t size, int flags);
size_t xallocx(void *p, size_t size, size_t extra, int flags);
size_t sallocx(const void *p, int flags);

EXPORT void dallocx(void *p, int flags)
{
	if (!freed_ours(p))
		NEXT(dallocx, plain_free)(p, flags);
}

EXPORT void sdallocx(void *p, size_t size, int flags)
{
	if (!freed_ours(p))
		NEXT(sdallocx, plain_free)(p, size, flags);
}

EXPORT void *rallocx(void *p, size_t size, int flags)
{
	return is_ours(p) ? plain_rallocx(p, size, flags) : NEXT(rallocx, plain_rallocx)(p, size, flags);
}

/* The size it has is an answer that the caller must be prepared for. */
EXPORT size_t xallocx(void *p, size_t size, size_t extra, int flags)
{
	return is_ours(p) ? plain_size(p) : NEXT(xallocx, plain_size)(p, size, extra, flags);
}

EXPORT size_t sallocx(const void *p, int flags)
{
	return is_ours(p) ? plain_size(p) : NEXT(sallocx, plain_size)(p, flags);
}

/* --- mimalloc --- */

void mi_free(void *p);
void mi_cfree(void *p);
void mi_free_size(void *p, size_t size);
void mi_free_size_aligned(void *p, size_t size, size_t alignment);
void mi_free_aligned(void *p, size_t alignment);
size_t mi_usable_size(const void *p);
size_t mi_malloc_size(const void *p);
size_t mi_malloc_usable_size(const void *p);
void *mi_expand(void *p, size_t size);
void *mi_realloc(void *p, size_t size);
void *mi_reallocf(void *p, size_t size);
void *mi_reallocn(void *p, size_t count, size_t size);
void *mi_reallocarray(void *p, size_t count, size_t size);
void *mi_rezalloc(void *p, size_t size);
void *mi_recalloc(void *p, size_t count, size_t size);
void *mi_realloc_aligned(void *p, size_t size, size_t alignment);

EXPORT void mi_free(void *p)
{
	if (!freed_ours(p))
		NEXT(mi_free, plain_free)(p);
}

EXPORT void mi_cfree(void *p)
{
	if (!freed_ours(p))
		NEXT(mi_cfree, plain_free)(p);
}

EXPORT void mi_free_size(void *p, size_t size)
{
	if (!freed_ours(p))
		NEXT(mi_free_size, plain_free)(p, size);
}

EXPORT void mi_free_size_aligned(void *p, size_t size, size_t alignment)
{
	if (!freed_ours(p))
		NEXT(mi_free_size_aligned, plain_free)(p, size, alignment);
}

EXPORT void mi_free_aligned(void *p, size_t alignment)
{
	if (!freed_ours(p))
		NEXT(mi_free_aligned, plain_free)(p, alignment);
}

EXPORT size_t mi_usable_size(const void *p)
{
	return is_ours(p) ? plain_size(p) : NEXT(mi_usable_size, plain_size)(p);
}

EXPORT size_t mi_malloc_size(const void *p)
{
	return is_ours(p) ? plain_size(p) : NEXT(mi_malloc_size, plain_size)(p);
}

EXPORT size_t mi_malloc_usable_size(const void *p)
{
	return is_ours(p) ? plain_size(p) : NEXT(mi_malloc_usable_size, plain_size)(p);
}

EXPORT void *mi_expand(void *p, size_t size)
{
	return is_ours(p) ? plain_expand(p, size) : NEXT(mi_expand, plain_expand)(p, size);
}

EXPORT void *mi_realloc(void *p, size_t size)
{
	return is_ours(p) ? plain_realloc(p, size) : NEXT(mi_realloc, plain_realloc)(p, size);
}

EXPORT void *mi_reallocf(void *p, size_t size)
{
	return is_ours(p) ? plain_reallocf(p, size) : NEXT(mi_reallocf, plain_reallocf)(p, size);
}

EXPORT void *mi_reallocn(void *p, size_t count, size_t size)
{
	return is_ours(p) ? reallocarray(p, count, size) : NEXT(mi_reallocn, reallocarray)(p, count, size);
}

EXPORT void *mi_reallocarray(void *p, size_t count, size_t size)
{
	return is_ours(p) ? reallocarray(p, count, size)
			  : NEXT(mi_reallocarray, reallocarray)(p, count, size);
}

EXPORT void *mi_rezalloc(void *p, size_t size)
{
	return is_ours(p) ? plain_rezalloc(p, size) : NEXT(mi_rezalloc, plain_rezalloc)(p, size);
}

EXPORT void *mi_recalloc(void *p, size_t count, size_t size)
{
	return is_ours(p) ? plain_recalloc(p, count, size)
			  : NEXT(mi_recalloc, plain_recalloc)(p, count, size);
}

EXPORT void *mi_realloc_aligned(void *p, size_t size, size_t alignment)
{
	return is_ours(p) ? plain_realloc_aligned(p, size, alignment)
			  : NEXT(mi_realloc_aligned, plain_realloc_aligned)(p, size, alignment);
}

/* --- tcmalloc (gperftools) --- */

void tc_free(void *p);
void tc_cfree(void *p);
void tc_free_sized(void *p, size_t size);
size_t tc_malloc_size(void *p);
void *tc_realloc(void *p, size_t size);

EXPORT void tc_free(void *p)
{
	if (!freed_ours(p))
		NEXT(tc_free, plain_free)(p);
}

EXPORT void tc_cfree(void *p)
{
	if (!freed_ours(p))
		NEXT(tc_cfree, plain_free)(p);
}

EXPORT void tc_free_sized(void *p, size_t size)
{
	if (!freed_ours(p))
		NEXT(tc_free_sized, plain_free)(p, size);
}

EXPORT size_t tc_malloc_size(void *p)
{
	return is_ours(p) ? plain_size(p) : NEXT(tc_malloc_size, plain_size)(p);
}

EXPORT void *tc_realloc(void *p, size_t size)
{
	return is_ours(p) ? plain_realloc(p, size) : NEXT(tc_realloc, plain_realloc)(p, size);
}
