/*
 * Memory whose pages the kernel reads after it was freed: a pipe filled by vmsplice, a socket that sends with
 * MSG_ZEROCOPY, registered buffers of io_uring. What was there when it was freed is what arrives, whatever
 * becomes of the memory.
 *
 *   sharing vmsplice|zerocopy|uring|by-number
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BLOCK (64 * MIB)          /* glibc maps it by itself whatever was freed before */
#define SHARED ((size_t)48 << 10) /* bytes, less than a pipe holds */

static int skip(const char *what)
{
	printf("skipped: %s: %s\n", what, strerror(errno));
	return 77;
}

static char *block_of(char value)
{
	char *p = calloc(1, BLOCK);

	if (p == NULL)
		exit(1);
	memset(p + MIB, value, SHARED);
	return p;
}

/* Freed, and, if the address comes back, used for something else. */
static void recycle(char *p)
{
	char *next;

	free(p);
	next = calloc(1, BLOCK);
	for (size_t i = 0; i < SHARED; i++)
		if (next[MIB + i] != 0) {
			printf("calloc is not zero\n");
			exit(1);
		}
	memset(next + MIB, 'n', SHARED);
	free(next);
}

/* Reads SHARED bytes, all of which must have that value. */
static int holds(int fd, char value)
{
	static char bytes[SHARED];
	size_t got = 0;

	while (got < SHARED) {
		ssize_t more = read(fd, bytes + got, SHARED - got);

		if (more <= 0)
			return 0;
		got += (size_t)more;
	}
	for (size_t i = 0; i < SHARED; i++)
		if (bytes[i] != value) {
			printf("byte %zu arrives as %d\n", i, bytes[i]);
			return 0;
		}
	return 1;
}

static int by_vmsplice(int by_number)
{
	int ends[2];

	if (pipe(ends) != 0)
		return 1;
	for (int round = 0; round < 4; round++) {
		char *p = block_of('v');
		struct iovec range = {p + MIB, SHARED};
		ssize_t sent = by_number ? syscall(SYS_vmsplice, ends[1], &range, 1ul, 0)
					 : vmsplice(ends[1], &range, 1, 0);

		if (sent != (ssize_t)SHARED)
			return sent < 0 && errno == ENOSYS ? skip("vmsplice") : 1;
		recycle(p);
		if (!holds(ends[0], 'v'))
			return 1;
	}
	return 0;
}

static int by_zerocopy(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), from, to, on = 1, room = 4 << 20;

	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
		getsockname(listener, (struct sockaddr *)&address, &length) != 0)
		return skip("a socket on loopback");
	to = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(to, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	if (setsockopt(to, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) != 0)
		return skip("SO_ZEROCOPY");
	if (connect(to, (struct sockaddr *)&address, sizeof address) != 0)
		return skip("connect");
	from = accept(listener, NULL, NULL);
	for (int round = 0; round < 4; round++) {
		char *p = block_of('z');

		if (send(to, p + MIB, SHARED, MSG_ZEROCOPY) != (ssize_t)SHARED)
			return skip("MSG_ZEROCOPY");
		recycle(p);
		if (!holds(from, 'z'))
			return 1;
	}
	return 0;
}

/* One write of the registered buffer, whose pages the kernel holds, to a pipe. */
static int by_uring(void)
{
	struct io_uring_params parameters = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters), ends[2];
	char *p = block_of('u');
	struct iovec buffer = {p + MIB, SHARED};
	struct io_uring_sqe *entries;
	char *queue;
	unsigned *tail, *array;

	if (ring < 0)
		return skip("io_uring_setup");
	if (pipe(ends) != 0)
		return 1;
	queue = mmap(NULL, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, parameters.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || (void *)entries == MAP_FAILED ||
		syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) != 0)
		return skip("io_uring_register");
	recycle(p);
	tail = (unsigned *)(queue + parameters.sq_off.tail);
	array = (unsigned *)(queue + parameters.sq_off.array);
	entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_WRITE_FIXED,
		.fd = ends[1],
		.addr = (uintptr_t)buffer.iov_base,
		.len = (unsigned)SHARED,
		.buf_index = 0};
	array[*tail & (parameters.sq_entries - 1)] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return skip("io_uring_enter");
	return !holds(ends[0], 'u');
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	int status = strcmp(how, "vmsplice") == 0    ? by_vmsplice(0)
		     : strcmp(how, "by-number") == 0 ? by_vmsplice(1)
		     : strcmp(how, "zerocopy") == 0  ? by_zerocopy()
		     : strcmp(how, "uring") == 0     ? by_uring()
						     : 2;

	if (status == 0)
		printf("arrives as it was\n");
	return status;
}
