/* System calls through the next definition of their function; see via_next.h. */
#include "os/via_next.h"

#include <stdbool.h>

/* Initial-exec: see support/lock.c. */
static __thread bool in_call __attribute__((tls_model("initial-exec")));

int lz_munmap_via_next(const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length)
{
	int error;

	if (in_call)
		return os->munmap((void *)start, length);
	in_call = true;
	error = next->munmap((void *)start, length);
	in_call = false;
	return error;
}

int lz_madvise_via_next(
	const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length, int advice)
{
	int error;

	if (in_call)
		return os->madvise((void *)start, length, advice);
	in_call = true;
	error = next->madvise((void *)start, length, advice);
	in_call = false;
	return error;
}
