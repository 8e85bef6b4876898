/*
 * Interposed calls outside the mmap family that change properties of memory. The core is notified, and the
 * call is passed on to the next definition (next_calls.h).
 */
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "os/mman.h"
#include "shim/interpose.h"
#include "shim/allocator_fallbacks.h"
#include "shim/next_calls.h"
#include "shim/shim.h"

#define PASS(number, a, b, c, d, e, f)                                                                       \
	long_result(lz_os_linux.any_syscall(                                                                 \
		number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))

/* Not declared by every C library. */
int pkey_mprotect(void *address, size_t length, int protection, int key);
int mlock2(const void *address, size_t length, unsigned flags);
long mbind(void *address, unsigned long length, int mode, const unsigned long *nodes, unsigned long nodes_max,
	unsigned flags);
ssize_t process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags);
int prctl(int option, ...);

EXPORT int pkey_mprotect(void *address, size_t length, int protection, int key)
{
	enum lz_called_as before;
	int error;

	if (key > 0 && is_active())
		lz_calls_stop_zeroing(&lz_core.calls);
	if (!mmap_is_followed())
		return lz_next_calls.pkey_mprotect(address, length, protection, key);
	before = lz_next_calls_set_name(LZ_CALLED_AS_PKEY_MPROTECT);
	error = lz_calls_mprotect(&lz_core.calls, address, length, protection, key, CALLER);
	lz_next_calls_set_name(before);
	return int_result(error);
}

EXPORT int mlock(const void *address, size_t length)
{
	if (mmap_is_followed())
		lz_calls_before_mlock(&lz_core.calls, address, length);
	return lz_next_calls.mlock(address, length);
}

EXPORT int mlock2(const void *address, size_t length, unsigned flags)
{
	if (is_active() && flags != 0)
		lz_calls_stop_zeroing(&lz_core.calls);
	if (mmap_is_followed())
		lz_calls_before_mlock(&lz_core.calls, address, length);
	return lz_next_calls.mlock2(address, length, flags);
}

EXPORT int mlockall(int flags)
{
	if (is_active())
		lz_calls_before_mlockall(&lz_core.calls);
	return lz_next_calls.mlockall(flags);
}

/*
 * mbind is defined by libnuma, which few programs use; process_madvise by glibc since 2.36. They are looked
 * up at the first call: a failed dlsym at start-up would make libc translate a message, possibly while its
 * locks are held (loaded_objects.c).
 */
static long fallback_mbind(void *address, unsigned long length, int mode, const unsigned long *nodes,
	unsigned long nodes_max, unsigned flags)
{
	return PASS(SYS_mbind, address, length, mode, nodes, nodes_max, flags);
}

static ssize_t fallback_process_madvise(
	int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags)
{
	return PASS(SYS_process_madvise, pidfd, ranges, count, advice, flags, 0);
}

static long next_mbind(void *address, unsigned long length, int mode, const unsigned long *nodes,
	unsigned long nodes_max, unsigned flags)
{
	return NEXT(mbind, fallback_mbind)(address, length, mode, nodes, nodes_max, flags);
}

static ssize_t next_process_madvise(
	int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags)
{
	return NEXT(process_madvise, fallback_process_madvise)(pidfd, ranges, count, advice, flags);
}

EXPORT long mbind(void *address, unsigned long length, int mode, const unsigned long *nodes,
	unsigned long nodes_max, unsigned flags)
{
	if (is_active())
		__atomic_store_n(&lz_next_calls.mbind, next_mbind, __ATOMIC_RELAXED);
	if (is_active())
		return long_result(
			lz_calls_mbind(&lz_core.calls, address, length, mode, nodes, nodes_max, flags));
	return next_mbind(address, length, mode, nodes, nodes_max, flags);
}

EXPORT ssize_t process_madvise(
	int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags)
{
	if (advice == MADV_WIPEONFORK)
		lz_register_fork_handler();
	__atomic_store_n(&lz_next_calls.process_madvise, next_process_madvise, __ATOMIC_RELAXED);
	if (is_active())
		return long_result(
			lz_calls_process_madvise(&lz_core.calls, pidfd, ranges, count, advice, flags));
	return next_process_madvise(pidfd, ranges, count, advice, flags);
}

static int after_limit_change(int answer, int resource, const void *changed)
{
	if (answer == 0 && changed != NULL && is_active())
		lz_calls_after_setrlimit(&lz_core.calls, resource);
	return answer;
}

EXPORT int prlimit(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit *changed, struct rlimit *found)
{
	lz_ensure_ready();
	return after_limit_change(
		lz_next_calls.prlimit(pid, resource, changed, found), (int)resource, changed);
}

EXPORT int prlimit64(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *changed, struct rlimit64 *found)
{
	lz_ensure_ready();
	return after_limit_change(
		lz_next_calls.prlimit64(pid, resource, changed, found), (int)resource, changed);
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *changed)
{
	lz_ensure_ready();
	return after_limit_change(lz_next_calls.setrlimit(resource, changed), (int)resource, changed);
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *changed)
{
	lz_ensure_ready();
	return after_limit_change(lz_next_calls.setrlimit64(resource, changed), (int)resource, changed);
}

/*
 * A name (PR_SET_VMA_ANON_NAME) must not remain when the memory is reused. The kernel does not name mappings
 * of a file, such as a window (EBADF); without lazyzero, it would have named the program's memory.
 */
EXPORT int prctl(int option, ...)
{
	unsigned long argument[4];
	bool on_window = false;
	int saved_errno = errno, answer;
	va_list arguments;

	va_start(arguments, option);
	for (int i = 0; i < 4; i++)
		argument[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	if (lz_prctl_restricts_syscalls(option) && is_active())
		lz_deactivate();
	if (is_active() && option == PR_SET_VMA)
		on_window = lz_calls_before_naming(&lz_core.calls, (void *)argument[1], argument[2]);
	answer = lz_next_calls.prctl(option, argument[0], argument[1], argument[2], argument[3]);
	if (answer == -1 && errno == EBADF && on_window) {
		errno = saved_errno;
		return 0;
	}
	return answer;
}
