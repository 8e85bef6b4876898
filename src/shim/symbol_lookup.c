/* Finding the function behind ours; see scope.h. */
#include "shim/symbol_lookup.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/shim.h"

/*
 * What was cached for callers that RTLD_NEXT has nothing for: a return address and a name lead to a function.
 * A slot is written without a lock; where two threads wrote at once the comparison fails, since what is
 * compared is kept mixed with the function.
 */
#define CACHE_SLOTS 256u

static struct {
	_Atomic uintptr_t caller, name, function;
} cached[CACHE_SLOTS];

static size_t cache_slot(const struct lz_symbol *name, const void *caller)
{
	uintptr_t key = (uintptr_t)caller ^ (uintptr_t)name << 16;

	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 56) % CACHE_SLOTS;
}

static void *cache_lookup(const struct lz_symbol *name, const void *caller)
{
	size_t slot = cache_slot(name, caller);
	uintptr_t function = atomic_load_explicit(&cached[slot].function, memory_order_relaxed);
	uintptr_t for_caller = atomic_load_explicit(&cached[slot].caller, memory_order_relaxed) ^ function;
	uintptr_t for_name = atomic_load_explicit(&cached[slot].name, memory_order_relaxed) ^ function;

	if (function == 0 || for_caller != (uintptr_t)caller || for_name != (uintptr_t)name)
		return NULL;
	return (void *)function;
}

static void cache_store(const struct lz_symbol *name, const void *caller, void *function)
{
	size_t slot = cache_slot(name, caller);
	uintptr_t mix = (uintptr_t)function;

	atomic_store_explicit(&cached[slot].caller, (uintptr_t)caller ^ mix, memory_order_relaxed);
	atomic_store_explicit(&cached[slot].name, (uintptr_t)name ^ mix, memory_order_relaxed);
	atomic_store_explicit(&cached[slot].function, mix, memory_order_relaxed);
}

/* Not in musl, whose programs may inherit LD_PRELOAD. */
#pragma weak dladdr1

/* The name under which the dynamic linker knows the library of an address; NULL for the program itself: all
 * that it sees, RTLD_NEXT sees. */
static const char *library_of(const void *address)
{
	struct link_map *map = NULL;
	Dl_info info;

	if (dladdr1 == NULL)
		return dladdr(address, &info) != 0 ? info.dli_fname : NULL;
	if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL ||
		*map->l_name == '\0')
		return NULL;
	return map->l_name;
}

/*
 * What the calling library itself or what it was linked with defines. It stays loaded from then on: its
 * return addresses are remembered, and must not become another's.
 */
static void *find_in_library_of(const struct lz_symbol *name, const void *caller)
{
	const char *library = library_of(caller);
	void *handle, *function;

	if (library == NULL)
		return NULL;
	handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	if (handle == NULL)
		return NULL;
	function = dlsym(handle, name->name);
	dlclose(handle);
	return function == name->own ? NULL : function;
}

static void *search(struct lz_symbol *name, const void *caller)
{
	void *function = dlsym(RTLD_NEXT, name->name);

	if (function != NULL) {
		atomic_store(&name->next, function);
		return function;
	}
	function = find_in_library_of(name, caller);
	if (function == NULL)
		function = name->fallback;
	cache_store(name, caller, function);
	return function;
}

void *lz_symbol_find(struct lz_symbol *name, const void *caller)
{
	void *function = cache_lookup(name, caller);
	int saved_errno = errno;

	if (function != NULL)
		return function;
	/* Inside dlsym on behalf of our own start no allocator but the bootstrap arena exists. */
	if (!lz_resolve_next())
		return name->fallback;
	function = search(name, caller);
	/* What was not cached is not for the program to read at its next dlerror. */
	dlerror();
	errno = saved_errno;
	return function;
}
