/*
 * The interposed malloc family. Small requests cost one comparison and one indirect jump. All other work is
 * in functions marked noinline, so that the fast path needs no stack frame.
 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "backing/sparse_copy.h"
#include "shim/arena.h"
#include "shim/next.h"
#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))
#define SLOW __attribute__((noinline, cold))
#define CALLER __builtin_return_address(0)

/*
 * Regions and arena blocks start on a page boundary; so does one in 256 of other blocks. 4 KiB is the
 * smallest page size.
 */
#define IS_PAGE_ALIGNED(p) (((uintptr_t)(p)&4095) == 0)

void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t alignment, size_t size);

/*
 * A request for memory that need not be zeroed; the kernel applies its overcommit rules, as without lazyzero.
 */
#define ACCOUNTED_REQUEST(function, bytes, by)                                                               \
	(&(struct lz_request){.call = function, .size = bytes, .caller = by, .accounted = true})

static _Atomic bool layout_checked;

/*
 * Checks once whether glibc takes a region for one of its own mmapped chunks, as the header page says
 * (backing/region_header.h). The layout is internal to glibc and may change.
 */
static SLOW void check_glibc_layout(void *block)
{
	size_t length;

	if (atomic_exchange_explicit(&layout_checked, true, memory_order_relaxed) ||
		lz_heap_size(&lz_core.heap, block, &length) != 0 ||
		lz_next.malloc_usable_size(block) == length)
		return;
	atomic_store_explicit(&lz_core.backings.header.layout_differs, true, memory_order_relaxed);
	lz_header_write(&lz_core.backings.header, (uintptr_t)block, length);
	lz_log_note(&lz_core.log,
		"this C library's blocks have another layout than those of glibc 2.26 to 2.41: do not "
		"pass blocks of 1 MiB and more to a plugin that calls its free directly "
		"(RTLD_DEEPBIND)");
}

/* 0 and a block, or ENOMEM, or -EAGAIN: call the next allocator. */
static int allocate_region(const struct lz_request *request, size_t alignment, void **out)
{
	int error;

	if (request->size > PTRDIFF_MAX || !lz_configure())
		return -EAGAIN;
	error = lz_heap_allocate(&lz_core.heap, request, alignment, out);
	if (error == 0 && lz_next.is_glibc && !atomic_load_explicit(&layout_checked, memory_order_relaxed))
		check_glibc_layout(*out);
	if (error == 0)
		lz_heap_report_allocated(&lz_core.heap, request, *out);
	return error == -EAGAIN ? -EAGAIN : error ? ENOMEM : 0;
}

static SLOW void *large_malloc(size_t size, const void *caller)
{
	void *block;
	int error = allocate_region(ACCOUNTED_REQUEST("malloc", size, caller), 0, &block);

	if (error == 0)
		return block;
	if (error == -EAGAIN)
		return LZ_NEXT(malloc)(size);
	errno = error;
	return NULL;
}

EXPORT void *malloc(size_t size)
{
	if (__builtin_expect(size >= lz_malloc_threshold, 0))
		return large_malloc(size, CALLER);
	return LZ_NEXT(malloc)(size);
}

static SLOW void *large_calloc(size_t count, size_t size, const void *caller)
{
	struct lz_request request = {
		.call = "calloc", .size = count * size, .caller = caller, .zeroed = true};
	void *block;
	int error = allocate_region(&request, 0, &block);

	if (error == 0)
		return block;
	if (error == -EAGAIN)
		return LZ_NEXT(calloc)(count, size);
	errno = error;
	return NULL;
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	/* The next allocator refuses an overflow. */
	if (!__builtin_mul_overflow(count, size, &bytes) && __builtin_expect(bytes >= lz_calloc_threshold, 0))
		return large_calloc(count, size, CALLER);
	return LZ_NEXT(calloc)(count, size);
}

void lz_abort_on_misuse(const char *call, const void *p, const void *caller)
{
	uintptr_t base = 0;
	size_t length = 0;
	enum lz_misuse misuse = lz_heap_classify(&lz_core.heap, p, &base, &length);

	if (misuse == LZ_MISUSE_NONE)
		return;
	lz_heap_log_misuse(&lz_core.heap, call, p, caller, misuse, base, length);
	abort();
}

static SLOW void free_aligned(void *p, const void *caller)
{
	if (p == NULL || lz_arena_owns(p) || lz_heap_free(&lz_core.heap, p) == 0)
		return;
	lz_abort_on_misuse("free", p, caller);
	lz_next.free(p);
}

EXPORT void free(void *p)
{
	if (__builtin_expect(IS_PAGE_ALIGNED(p), 0))
		free_aligned(p, CALLER);
	else
		lz_next.free(p);
}

/*
 * C23. The sizes are hints that are not needed. Calls free by its global name, for the reason given in
 * reallocarray.
 */
EXPORT void free_sized(void *p, size_t size)
{
	(void)size;
	free(p);
}

EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size)
{
	(void)alignment;
	(void)size;
	free(p);
}

static SLOW size_t usable_size_of_aligned(void *p)
{
	size_t bytes;

	if (p == NULL)
		return 0;
	if (lz_arena_owns(p))
		return lz_arena_usable_size(p);
	return lz_heap_size(&lz_core.heap, p, &bytes) == 0 ? bytes : lz_next.malloc_usable_size(p);
}

EXPORT size_t malloc_usable_size(void *p)
{
	return IS_PAGE_ALIGNED(p) ? usable_size_of_aligned(p) : lz_next.malloc_usable_size(p);
}

/* --- realloc --- */

/* Allocates a block and copies the first `keep` bytes of p to it; p stays allocated. */
static void *copy_to_new_block(const void *p, size_t keep, size_t size)
{
	void *block = LZ_NEXT(malloc)(size);

	if (block != NULL)
		memcpy(block, p, lz_min_u64(keep, size));
	return block;
}

/* The result depends on the next allocator: glibc frees the block and returns NULL, others return a block. */
static void *realloc_to_zero(void *p)
{
	void *small = LZ_NEXT(malloc)(1);

	if (small == NULL)
		return NULL;
	lz_heap_free(&lz_core.heap, p);
	return LZ_NEXT(realloc)(small, 0);
}

static void *realloc_region(void *p, size_t length, size_t size, const void *caller)
{
	struct lz_request request = {.call = "realloc", .size = size, .caller = caller, .accounted = true};
	void *block;
	int error = -EAGAIN;

	if (size == 0)
		return realloc_to_zero(p);
	/*
	 * A block that has become small goes to the next allocator; a region costs at least a page and a page
	 * table.
	 */
	if (size >= lz_min_u64(lz_core.options.threshold, lz_core.options.malloc_threshold))
		error = lz_heap_resize(&lz_core.heap, &request, p, &block);
	if (error == -EAGAIN) {
		block = copy_to_new_block(p, length, size);
		if (block != NULL) {
			lz_heap_free(&lz_core.heap, p);
			return block;
		}
		/* No memory for a copy; shrinking in place always works. */
		error = size <= length ? lz_heap_resize(&lz_core.heap, &request, p, &block) : -ENOMEM;
	}
	if (error == 0)
		return block;
	errno = ENOMEM;
	return NULL;
}

/*
 * Moves a block of the next allocator that grows beyond the threshold to a region. That copies once, and less
 * than the threshold. Pages that were never written are skipped if they can be recognised.
 */
static void *move_to_region(void *p, size_t size, const void *caller)
{
	struct lz_request request = {.call = "realloc",
		.size = size,
		.caller = caller,
		.zeroed = lz_next.is_glibc,
		.accounted = true};
	size_t length;
	void *block;
	int error;

	if (lz_next.known_size == NULL)
		return LZ_NEXT(realloc)(p, size);
	length = lz_next.known_size(p);
	if (length >= lz_malloc_threshold)
		return LZ_NEXT(realloc)(p, size);
	error = allocate_region(&request, 0, &block);
	if (error == -EAGAIN)
		return LZ_NEXT(realloc)(p, size);
	if (error != 0) {
		errno = error;
		return NULL;
	}
	length = lz_min_u64(length, size);
	if (lz_next.is_glibc)
		lz_sparse_copy(&lz_core.backings, p, length, block);
	else
		memcpy(block, p, length);
	lz_next.free(p);
	return block;
}

SLOW void *lz_realloc(void *p, size_t size, const void *caller)
{
	size_t length;

	if (p == NULL)
		return size >= lz_malloc_threshold ? large_malloc(size, caller)
						   : LZ_NEXT(realloc)(NULL, size);
	if (lz_arena_owns(p))
		return copy_to_new_block(p, lz_arena_usable_size(p), size);
	if (IS_PAGE_ALIGNED(p)) {
		if (lz_heap_size(&lz_core.heap, p, &length) == 0)
			return realloc_region(p, length, size, caller);
		lz_abort_on_misuse("realloc", p, caller);
	}
	return size >= lz_malloc_threshold ? move_to_region(p, size, caller) : LZ_NEXT(realloc)(p, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	if (__builtin_expect(IS_PAGE_ALIGNED(p) || size >= lz_malloc_threshold, 0))
		return lz_realloc(p, size, CALLER);
	return LZ_NEXT(realloc)(p, size);
}

EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	/* Calls the global name: a program may define realloc without this function. */
	return realloc(p, bytes);
}

/* --- the aligned family --- */

/* The next allocator handles alignments that are not powers of two. */
static bool is_large_aligned(size_t alignment, size_t size)
{
	return size >= lz_malloc_threshold && lz_is_power_of_two(alignment);
}

static void *block_result(int error, void *block)
{
	if (error == 0)
		return block;
	errno = error;
	return NULL;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	void *block = NULL;
	int error = is_large_aligned(alignment, size)
			    ? allocate_region(ACCOUNTED_REQUEST("memalign", size, CALLER), alignment, &block)
			    : -EAGAIN;

	return error == -EAGAIN ? lz_next.memalign(alignment, size) : block_result(error, block);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	void *block = NULL;
	int error =
		is_large_aligned(alignment, size)
			? allocate_region(ACCOUNTED_REQUEST("aligned_alloc", size, CALLER), alignment, &block)
			: -EAGAIN;

	return error == -EAGAIN ? lz_next.aligned_alloc(alignment, size) : block_result(error, block);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block = NULL;
	int error = -EAGAIN;

	if (is_large_aligned(alignment, size) && alignment % sizeof(void *) == 0)
		error = allocate_region(ACCOUNTED_REQUEST("posix_memalign", size, CALLER), alignment, &block);
	if (error == -EAGAIN)
		return lz_next.posix_memalign(out, alignment, size);
	if (error == 0)
		*out = block;
	return error;
}

EXPORT void *valloc(size_t size)
{
	void *block = NULL;
	int error = size >= lz_malloc_threshold
			    ? allocate_region(ACCOUNTED_REQUEST("valloc", size, CALLER), 0, &block)
			    : -EAGAIN;

	return error == -EAGAIN ? lz_next.valloc(size) : block_result(error, block);
}

EXPORT void *pvalloc(size_t size)
{
	void *block = NULL;
	int error = size >= lz_malloc_threshold
			    ? allocate_region(ACCOUNTED_REQUEST("pvalloc", size, CALLER), 0, &block)
			    : -EAGAIN;

	return error == -EAGAIN ? lz_next.pvalloc(size) : block_result(error, block);
}
