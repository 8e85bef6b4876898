/*
 * The interposed _exit and _Exit, which run no destructors: children of multiprocessing modules and of
 * servers that fork end by them. A report that was requested is written first; without one, the call costs
 * one test. exit(3) calls _exit inside the C library, where it is not interposed.
 */
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

#define EXPORT __attribute__((visibility("default")))

static void (*next_exit)(int status);

void lz_exit_find(void)
{
	*(void **)&next_exit = dlsym(RTLD_NEXT, "_exit");
}

EXPORT __attribute__((noreturn)) void _exit(int status)
{
	lz_report_write_at_immediate_exit(&lz_core.reporter);
	if (next_exit != NULL)
		next_exit(status);
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORT __attribute__((noreturn)) void _Exit(int status)
{
	_exit(status);
}
