/*
 * A fork handler that wipes what was advised MADV_WIPEONFORK on a zero window (core/wipe.h). It runs in the child
 * alone and takes no lock, so it is in nobody's order. Registered when the library starts, before the handlers of
 * the program, so that none of these sees what was to be wiped; registering allocates in the C library, which the
 * call that needs it must not do.
 */
#include <stddef.h>

#include "shim/shim.h"

/* What pthread_atfork(3) calls; looked up weakly, for other C libraries lack it. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
	__attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

static void after_fork(void)
{
	lz_core_forked(&lz_core);
}

__attribute__((constructor)) static void watch_forks(void)
{
	/* Through a volatile pointer: the declaration alone would let the compiler take it for present. */
	if (__register_atfork != NULL)
		__register_atfork(NULL, NULL, after_fork, __dso_handle);
}
