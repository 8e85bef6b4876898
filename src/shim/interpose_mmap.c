/*
 * The interposed mmap family: calls are forwarded to the core, or to the next definition if the family is not
 * handled (next_calls.h).
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/shm.h>

#include "os/mman.h"
#include "shim/interpose.h"
#include "shim/next_calls.h"
#include "shim/shim.h"

#define CALLER __builtin_return_address(0)

/*
 * A signal handler may interrupt a call that has the other name, and a jump out of a handler leaves that name
 * set. So each call sets its own name.
 */
EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	enum lz_called_as before;
	intptr_t result;

	if (!mmap_is_followed())
		return lz_next_calls.mmap(address, length, protection, flags, fd, offset);
	before = lz_next_calls_set_name(LZ_CALLED_BY_STANDARD_NAME);
	result = lz_calls_mmap(&lz_core.calls, address, length, protection, flags, fd, offset, CALLER);
	lz_next_calls_set_name(before);
	if (lz_report_is_active(&lz_core.reporter))
		lz_calls_report_mmap(&lz_core.calls, result, length, flags, CALLER);
	return pointer_result(result);
}

EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	enum lz_called_as before;
	intptr_t result;

	if (!mmap_is_followed())
		return lz_next_calls.mmap64(address, length, protection, flags, fd, offset);
	before = lz_next_calls_set_name(LZ_CALLED_AS_MMAP64);
	result = lz_calls_mmap(&lz_core.calls, address, length, protection, flags, fd, offset, CALLER);
	lz_next_calls_set_name(before);
	if (lz_report_is_active(&lz_core.reporter))
		lz_calls_report_mmap(&lz_core.calls, result, length, flags, CALLER);
	return pointer_result(result);
}

EXPORT int munmap(void *address, size_t length)
{
	if (mmap_is_followed())
		return int_result(lz_calls_munmap(&lz_core.calls, address, length));
	return lz_next_calls.munmap(address, length);
}

EXPORT void *mremap(void *address, size_t old_length, size_t new_length, int flags, ...)
{
	void *target = NULL;
	va_list arguments;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(arguments, flags);
		target = va_arg(arguments, void *);
		va_end(arguments);
	}
	if (mmap_is_followed())
		return pointer_result(lz_calls_mremap(
			&lz_core.calls, address, old_length, new_length, flags, target, CALLER));
	return lz_next_calls.mremap(address, old_length, new_length, flags, target);
}

EXPORT int mprotect(void *address, size_t length, int protection)
{
	enum lz_called_as before;
	int error;

	if (!mmap_is_followed())
		return lz_next_calls.mprotect(address, length, protection);
	before = lz_next_calls_set_name(LZ_CALLED_BY_STANDARD_NAME);
	error = lz_calls_mprotect(&lz_core.calls, address, length, protection, -1, CALLER);
	lz_next_calls_set_name(before);
	return int_result(error);
}

EXPORT int madvise(void *address, size_t length, int advice)
{
	if (advice == MADV_WIPEONFORK)
		lz_register_fork_handler();
	/* Independent of LAZYZERO_INTERCEPT: the advice may be given on a region that calloc served. */
	if (is_active())
		return int_result(lz_calls_madvise(&lz_core.calls, address, length, advice));
	return lz_next_calls.madvise(address, length, advice);
}

EXPORT int mincore(void *address, size_t length, unsigned char *pages)
{
	if (is_active())
		return int_result(lz_calls_mincore(&lz_core.calls, address, length, pages));
	return lz_next_calls.mincore(address, length, pages);
}

/* Only UFFDIO_REGISTER (Documentation/admin-guide/mm/userfaultfd.rst) needs handling. */
EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (is_active() && (request == USERFAULTFD_IOC_NEW || request == UFFDIO_REGISTER))
		lz_calls_stop_zeroing(&lz_core.calls);
	if (is_active() && request == UFFDIO_REGISTER)
		lz_calls_before_userfault(&lz_core.calls, argument);
	return lz_next_calls.ioctl(fd, request, argument);
}

EXPORT void *shmat(int id, const void *address, int flags)
{
	if (mmap_is_followed())
		return pointer_result(lz_calls_shmat(&lz_core.calls, id, address, flags, CALLER));
	return lz_next_calls.shmat(id, address, flags);
}

EXPORT int shmdt(const void *address)
{
	if (mmap_is_followed())
		return int_result(lz_calls_shmdt(&lz_core.calls, address));
	return lz_next_calls.shmdt(address);
}
