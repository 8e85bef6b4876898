/*
 * A fork handler that wipes what was advised MADV_WIPEONFORK on a zero window
 * (backing/window/wipe_on_fork.c). It runs in the child alone and takes no lock, so its order among others
 * does not matter but for what they see: it is registered when the library starts, before most handlers of
 * the program, or at the first such advice where that comes earlier. Registering allocates in the C library,
 * so it is not done under the core's lock.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "shim/shim.h"

/* What pthread_atfork(3) calls; looked up weakly, for other C libraries lack it. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
	__attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

static void after_fork(void)
{
	lz_core_after_fork(&lz_core);
}

void lz_register_fork_handler(void)
{
	static _Atomic bool registered;

	if (__register_atfork != NULL && !atomic_exchange(&registered, true))
		__register_atfork(NULL, NULL, after_fork, __dso_handle);
}

__attribute__((constructor)) static void register_at_startup(void)
{
	lz_register_fork_handler();
}
