/*
 * Preloaded behind the library: makes the program's own calls, and those that it makes with syscall(2), fail
 * as hide.c makes the library's fail. Otherwise the kernel would do for the program's plain mappings what it
 * cannot do for those that the library serves, and comparisons would differ.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hide.h"

#ifdef LZ_HAVE_RAW_SYSCALL
static long answer(long result)
{
	if ((unsigned long)result <= -4096ul)
		return result;
	errno = (int)-result;
	return -1;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return (void *)answer(
		lz_hidden_call(SYS_mmap, (long)address, (long)length, protection, flags, fd, offset));
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
	__attribute__((alias("mmap")));

void *mremap(void *address, size_t old_length, size_t new_length, int flags, ...)
{
	void *target;
	va_list arguments;

	va_start(arguments, flags);
	target = va_arg(arguments, void *);
	va_end(arguments);
	return (void *)answer(lz_hidden_call(
		SYS_mremap, (long)address, (long)old_length, (long)new_length, flags, (long)target, 0));
}

int madvise(void *address, size_t length, int advice)
{
	return (int)answer(lz_hidden_call(SYS_madvise, (long)address, (long)length, advice, 0, 0, 0));
}

#ifdef SYS_process_madvise
ssize_t process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags)
{
	return answer(
		lz_hidden_call(SYS_process_madvise, pidfd, (long)ranges, (long)count, advice, flags, 0));
}
#endif

long syscall(long number, ...)
{
	long argument[6];
	va_list arguments;

	va_start(arguments, number);
	for (unsigned i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	return answer(lz_hidden_call(
		number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]));
}
#endif
