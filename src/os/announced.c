/* Calls that other libraries hear of; see announced.h. */
#include "os/announced.h"

#include <stdbool.h>

/* Initial-exec: see support/lock.c. */
static __thread bool in_call __attribute__((tls_model("initial-exec")));

int lz_announced_munmap(const struct lz_os *os, const struct lz_os *next, uintptr_t start, size_t length)
{
	int error;

	if (in_call)
		return os->munmap((void *)start, length);
	in_call = true;
	error = next->munmap((void *)start, length);
	in_call = false;
	return error;
}

int lz_announced_madvise(
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
