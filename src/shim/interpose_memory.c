/*
 * Calls that change what memory is like, beside the mmap family: the core is told, and they are passed on to
 * the kernel, as the C library and libnuma pass them on.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "os/mman.h"
#include "shim/answer.h"
#include "shim/shim.h"

#define CALLER __builtin_return_address(0)
#define PASS(number, a, b, c, d, e, f)                                                                       \
	int_answer(lz_os_linux.pass(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))

/* Not in every C library's headers. */
int pkey_mprotect(void *address, size_t length, int protection, int key);
int mlock2(const void *address, size_t length, unsigned flags);
long mbind(void *address, unsigned long length, int mode, const unsigned long *nodes, unsigned long nodes_max,
	unsigned flags);
ssize_t process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags);

static bool active(void)
{
	return lz_configure() && lz_core.active;
}

EXPORT int pkey_mprotect(void *address, size_t length, int protection, int key)
{
	if (followed())
		return int_answer(lz_core_mprotect(&lz_core, address, length, protection, key, CALLER));
	return PASS(SYS_pkey_mprotect, address, length, protection, key, 0, 0);
}

EXPORT int mlock(const void *address, size_t length)
{
	if (followed())
		lz_core_locks(&lz_core, address, length);
	return PASS(SYS_mlock, address, length, 0, 0, 0, 0);
}

EXPORT int mlock2(const void *address, size_t length, unsigned flags)
{
	if (followed())
		lz_core_locks(&lz_core, address, length);
	/* A kernel that lacks it has mlock. */
	return flags == 0 ? PASS(SYS_mlock, address, length, 0, 0, 0, 0)
			  : PASS(SYS_mlock2, address, length, flags, 0, 0, 0);
}

EXPORT int mlockall(int flags)
{
	if (active())
		lz_core_locks_all(&lz_core);
	return PASS(SYS_mlockall, flags, 0, 0, 0, 0, 0);
}

EXPORT long mbind(void *address, unsigned long length, int mode, const unsigned long *nodes,
	unsigned long nodes_max, unsigned flags)
{
	if (active())
		return int_answer(lz_core_mbind(&lz_core, address, length, mode, nodes, nodes_max, flags));
	return PASS(SYS_mbind, address, length, mode, nodes, nodes_max, flags);
}

EXPORT ssize_t process_madvise(
	int pidfd, const struct iovec *ranges, size_t count, int advice, unsigned flags)
{
	if (advice == MADV_WIPEONFORK)
		lz_watch_forks();

	long result =
		active() ? lz_core_process_madvise(&lz_core, pidfd, ranges, count, advice, flags)
			 : lz_os_linux.pass(SYS_process_madvise, pidfd, (long)ranges, (long)count, advice,
				   (long)flags, 0);

	return result < 0 ? int_answer(result) : result;
}

/* One type under two names on 64-bit machines. */
static int limit(pid_t pid, int resource, const void *changed, void *found)
{
	int answer = PASS(SYS_prlimit64, pid, resource, changed, found, 0, 0);

	if (answer == 0 && changed != NULL && active())
		lz_core_limits(&lz_core, resource);
	return answer;
}

EXPORT int prlimit(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit *changed, struct rlimit *found)
{
	return limit(pid, (int)resource, changed, found);
}

EXPORT int prlimit64(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *changed, struct rlimit64 *found)
{
	return limit(pid, (int)resource, changed, found);
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *changed)
{
	return limit(0, (int)resource, changed, NULL);
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *changed)
{
	return limit(0, (int)resource, changed, NULL);
}

