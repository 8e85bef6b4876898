/* Who else is in the process; see company.h. */
#include "shim/loaded_objects.h"

#include <dlfcn.h>
#include <stddef.h>

#include "shim/next.h"

/*
 * Weak references instead of dlsym: a search that fails would be harmless, but to take its error from the
 * program's dlerror, the C library translates it, and a process's first allocation may be made while it holds
 * the locks of that (bindtextdomain in a constructor). They are bound as the program's own would be: to the
 * first that defines the name, program first.
 */
#define WEAK __attribute__((weak))

extern WEAK void __asan_init(void);
extern WEAK void __tsan_init(void);
extern WEAK void __msan_init(void);
extern WEAK void __lsan_init(void);
extern WEAK void __hwasan_init(void);

const char *lz_loaded_sanitizer(void)
{
	return __asan_init != NULL     ? "AddressSanitizer"
	       : __tsan_init != NULL   ? "ThreadSanitizer"
	       : __msan_init != NULL   ? "MemorySanitizer"
	       : __lsan_init != NULL   ? "LeakSanitizer"
	       : __hwasan_init != NULL ? "HWAddressSanitizer"
				       : NULL;
}

/* new, new[]; delete, delete[]; and the latter two with a size. */
extern WEAK void *_Znwm(size_t);
extern WEAK void *_Znam(size_t);
extern WEAK void _ZdlPv(void *);
extern WEAK void _ZdaPv(void *);
extern WEAK void _ZdlPvm(void *, size_t);
extern WEAK void _ZdaPvm(void *, size_t);

#ifdef DLFO_STRUCT_HAS_EH_DBASE
/* Not in musl, whose programs may inherit LD_PRELOAD. */
#pragma weak _dl_find_object
#endif

/*
 * Where the program or library that holds an address begins; NULL for none. dladdr, all there is before
 * glibc 2.35 and in musl, looks through the library's symbols on the way: a third of a millisecond for the
 * six of libstdc++.
 */
static const void *object_of(const void *address)
{
	Dl_info info;

	if (address == NULL)
		return NULL;
#ifdef DLFO_STRUCT_HAS_EH_DBASE
	struct dl_find_object found;

	if (_dl_find_object != NULL)
		return _dl_find_object((void *)address, &found) == 0 ? found.dlfo_map_start : NULL;
#endif
	return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

bool lz_loaded_in_same_object(const void *one, const void *other)
{
	return one != NULL && other != NULL && object_of(one) == object_of(other);
}

bool lz_loaded_mixes_new_delete(const void *next_malloc)
{
	const void *const new_functions[] = {(const void *)_Znwm, (const void *)_Znam};
	const void *const delete_functions[] = {
		(const void *)_ZdlPv, (const void *)_ZdaPv, (const void *)_ZdlPvm, (const void *)_ZdaPvm};
	const void *allocator;
	bool allocator_deletes = false, other_allocates = false;

	if (_Znwm == NULL)
		return false;
	allocator = object_of(next_malloc);
	for (size_t i = 0; i < sizeof delete_functions / sizeof *delete_functions; i++)
		allocator_deletes |=
			delete_functions[i] != NULL && object_of(delete_functions[i]) == allocator;
	for (size_t i = 0; i < sizeof new_functions / sizeof *new_functions; i++)
		other_allocates |= new_functions[i] != NULL && object_of(new_functions[i]) != allocator;
	return allocator_deletes && other_allocates;
}
