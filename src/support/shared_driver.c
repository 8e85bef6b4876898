/* Sends messages to the driver of shared memory; see shared_driver.h. */
#include "support/shared_driver.h"

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define WAIT_US 20000

socklen_t lz_shared_driver_address(const char *driver, struct sockaddr_un *address)
{
	static const char prefix[] = "lazyzero-";
	char *name = address->sun_path + 1; /* an abstract address starts with a NUL byte: unix(7) */

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(name, prefix, sizeof prefix - 1);
	memcpy(name + sizeof prefix - 1, driver, LZ_SHARED_KEY_DIGITS);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof prefix - 1 +
			   LZ_SHARED_KEY_DIGITS);
}

static int send_to(const struct lz_os *os, int socket, const char *driver, struct lz_shared_message *message,
	int fd, bool wait)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct sockaddr_un address;
	struct iovec content = {message, sizeof *message};
	struct msghdr header = {.msg_name = &address,
		.msg_namelen = lz_shared_driver_address(driver, &address),
		.msg_iov = &content,
		.msg_iovlen = 1};
	const struct timeval limit = {.tv_usec = WAIT_US};
	long sent;

	if (fd >= 0) {
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
		header.msg_control = &control;
		header.msg_controllen = sizeof control;
	}
	if (wait)
		os->any_syscall(
			SYS_setsockopt, socket, SOL_SOCKET, SO_SNDTIMEO, (long)&limit, sizeof limit, 0);
	sent = os->any_syscall(
		SYS_sendmsg, socket, (long)&header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT), 0, 0, 0);
	return sent < 0 ? (int)sent : 0;
}

int lz_shared_driver_send(
	const struct lz_os *os, const char *driver, struct lz_shared_message *message, int fd, bool wait)
{
	int socket = (int)os->any_syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0, 0);
	int error;

	if (socket < 0)
		return socket;
	memcpy(message->key, driver + LZ_SHARED_KEY_DIGITS, LZ_SHARED_KEY_DIGITS);
	error = send_to(os, socket, driver, message, fd, wait);
	os->close(socket);
	return error;
}
