/*
 * The mmap family as programs call it: forwarded to the core, or straight to the kernel where the family is
 * not followed. Never through dlsym: an allocator beneath us calls these while it starts.
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/shm.h>

#include "os/mman.h"
#include "shim/answer.h"
#include "shim/shim.h"

#define CALLER __builtin_return_address(0)
/* Of a name that may be a macro: a test builds this file under other names. */
#define TEXT(name) TEXT_OF(name)
#define TEXT_OF(name) #name

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (followed())
		return pointer_answer(
			lz_core_mmap(&lz_core, address, length, protection, flags, fd, offset, CALLER));
	return pointer_answer(lz_os_linux.mmap(address, length, protection, flags, fd, offset));
}

EXPORT void *mmap64(void *, size_t, int, int, int, off64_t) __attribute__((alias(TEXT(mmap))));

EXPORT int munmap(void *address, size_t length)
{
	if (followed())
		return int_answer(lz_core_munmap(&lz_core, address, length));
	return int_answer(lz_os_linux.munmap(address, length));
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
	if (followed())
		return pointer_answer(
			lz_core_mremap(&lz_core, address, old_length, new_length, flags, target, CALLER));
	return pointer_answer(lz_os_linux.mremap(address, old_length, new_length, flags, target));
}

EXPORT int mprotect(void *address, size_t length, int protection)
{
	if (followed())
		return int_answer(lz_core_mprotect(&lz_core, address, length, protection, -1, CALLER));
	return int_answer(lz_os_linux.mprotect(address, length, protection));
}

EXPORT int madvise(void *address, size_t length, int advice)
{
	if (advice == MADV_WIPEONFORK)
		lz_watch_forks();
	/* Whatever is followed: the advice may be on a region that calloc served. */
	if (lz_configure())
		return int_answer(lz_core_madvise(&lz_core, address, length, advice));
	return int_answer(lz_os_linux.madvise(address, length, advice));
}

EXPORT int mincore(void *address, size_t length, unsigned char *pages)
{
	if (lz_configure())
		return int_answer(lz_core_mincore(&lz_core, address, length, pages));
	return int_answer(lz_os_linux.mincore(address, length, pages));
}

/*
 * Only UFFDIO_REGISTER (Documentation/admin-guide/mm/userfaultfd.rst) is of interest; all others cost a
 * comparison. The C library adds nothing to the system call on the machines that have a zero window.
 */
EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == UFFDIO_REGISTER && lz_configure())
		lz_core_userfault(&lz_core, argument);
	return int_answer(lz_os_linux.ioctl(fd, request, argument));
}

EXPORT void *shmat(int id, const void *address, int flags)
{
	if (followed())
		return pointer_answer(lz_core_shmat(&lz_core, id, address, flags, CALLER));
	return pointer_answer(lz_os_linux.shmat(id, address, flags));
}

EXPORT int shmdt(const void *address)
{
	if (followed())
		return int_answer(lz_core_shmdt(&lz_core, address));
	return int_answer(lz_os_linux.shmdt(address));
}
