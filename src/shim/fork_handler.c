/*
 * A fork handler that wipes memory marked MADV_WIPEONFORK on a zero window (backing/window/wipe_on_fork.c).
 * It runs only in the child and takes no lock. Its order matters only for what other handlers see: it is
 * registered when the library starts, before most handlers of the program, or at the first such advice if
 * that is earlier. Registering allocates in the C library, so it is done without the lock of the books.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "shim/shim.h"

/* pthread_atfork(3) calls this function. Weak, because other C libraries lack it. */
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
