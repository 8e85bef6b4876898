/* The public API of lazyzero.h, implemented by the core. */
#include "lazyzero.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "config.h"
#include "accounting/api.h"
#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))

/* Converts an internal result to the C convention: 0, or -1 and errno. */
static int libc_result(int error)
{
	if (error == 0)
		return 0;
	errno = -error;
	return -1;
}

static struct lz_core *ready_core(void)
{
	lz_resolve_next();
	return &lz_core;
}

EXPORT const char *lz_version(void)
{
	return PACKAGE_VERSION;
}

EXPORT uint64_t lz_cost(const void *address, size_t size)
{
	return lz_accounting_range_cost(&ready_core()->books, address, size);
}

EXPORT int lz_stats(struct lz_statistics *statistics, size_t size)
{
	struct lz_statistics all;

	if (size == 0)
		return libc_result(-EINVAL);
	lz_accounting_statistics(&ready_core()->books, &all);
	memset(statistics, 0, size);
	memcpy(statistics, &all, size < sizeof all ? size : sizeof all);
	return 0;
}

EXPORT int lz_set_budget(uint64_t bytes)
{
	return libc_result(lz_accounting_set_budget(&ready_core()->books, bytes));
}

EXPORT void *lz_alloc(size_t size, enum lz_backing_kind backing)
{
	/* Both enumerations have the same values. */
	struct lz_request request = {.call = "lz_alloc",
		.size = size,
		.caller = __builtin_return_address(0),
		.zeroed = true,
		.backing = (enum lz_backing_choice)backing};
	void *block = NULL;

	static_assert(
		(int)LZ_WINDOW == (int)LZ_BACKING_WINDOW && (int)LZ_ZEROPAGE == (int)LZ_BACKING_ZEROPAGE,
		"a backing is the same number in the API and in the options");
	if (size == 0 || (backing != LZ_AUTO && backing != LZ_ZEROPAGE && backing != LZ_WINDOW)) {
		errno = EINVAL;
		return NULL;
	}
	if (lz_heap_allocate(&ready_core()->heap, &request, 0, &block) != 0) {
		errno = ENOMEM;
		return NULL;
	}
	lz_heap_report_allocated(&ready_core()->heap, &request, block);
	return block;
}

EXPORT int lz_free(void *pointer)
{
	if (pointer == NULL)
		return 0;
	return libc_result(lz_heap_free(&ready_core()->heap, pointer) == 0 ? 0 : -EINVAL);
}

EXPORT int lz_region_info(const void *pointer, struct lz_region *info)
{
	return libc_result(lz_heap_region_info(&ready_core()->heap, pointer, info));
}

EXPORT int lz_zero(void *pointer, size_t size)
{
	return libc_result(lz_heap_zero(&ready_core()->heap, pointer, size));
}
