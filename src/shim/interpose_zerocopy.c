/*
 * Calls by which the kernel reads pages of the program for longer than a call lasts: a pipe holds them until
 * it is read, a socket until its packets were sent. Freed and cleared in place they would change there; so
 * the core is told that there are such pages (pages_shared_with_kernel). io_uring's registered buffers:
 * interpose_syscall.c.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shim/interpose.h"
#include "shim/next_calls.h"
#include "shim/shim.h"

EXPORT ssize_t vmsplice(int fd, const struct iovec *ranges, size_t count, unsigned flags)
{
	if (is_active())
		lz_calls_before_sharing_pages(&lz_core.calls);
	return lz_next_calls.vmsplice(fd, ranges, count, flags);
}

/* Without SO_ZEROCOPY, MSG_ZEROCOPY of send(2) is ignored (net/ipv4/tcp.c). */
EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	if (is_active() && level == SOL_SOCKET && option == SO_ZEROCOPY)
		lz_calls_before_sharing_pages(&lz_core.calls);
	return lz_next_calls.setsockopt(fd, level, option, value, length);
}
