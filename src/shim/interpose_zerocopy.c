/*
 * Calls after which the kernel reads pages of the program for longer than the call lasts: a pipe holds pages
 * until it is read, a socket until its packets were sent. If such memory is freed and cleared in place, the
 * data would change there. So nothing is cached from then on (lz_cache_stop). For
 * registered buffers of io_uring see interpose_syscall.c.
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
		lz_calls_before_kernel_keeps_pages(&lz_core.calls);
	return lz_next_calls.vmsplice(fd, ranges, count, flags);
}

/* Without SO_ZEROCOPY, send(2) ignores MSG_ZEROCOPY (net/ipv4/tcp.c). */
EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	if (is_active() && level == SOL_SOCKET && option == SO_ZEROCOPY)
		lz_calls_before_kernel_keeps_pages(&lz_core.calls);
	return lz_next_calls.setsockopt(fd, level, option, value, length);
}
