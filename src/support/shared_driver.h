/*
 * Messages to the driver of shared memory: the `lazyzero run` that a process was started under, which makes
 * the blocks of shared memory huge as they fill (cli/run/shared_memory.h). A process tells it of each large
 * shared mapping that it makes, and which parts of it must stay as they are.
 *
 * The driver has a datagram socket with an abstract address. Its name and a key are in LAZYZERO_SHARED, 16
 * hexadecimal digits each; a message with another key is ignored, because any process of the machine can see
 * the name, but only those that may read the environment the key. A process keeps no socket and no
 * descriptor: each message opens a socket and closes it.
 *
 * Thread-safe and async-signal-safe; no locks, no heap.
 */
#ifndef LZ_SUPPORT_SHARED_DRIVER_H
#define LZ_SUPPORT_SHARED_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "os/os.h"
#include "support/options.h"

enum lz_shared_message_kind {
	LZ_MESSAGE_MEMORY = 1, /* shared anonymous memory; comes with the descriptor of its memfd */
	LZ_MESSAGE_SEGMENT,    /* a System V segment that was attached; id */
	LZ_MESSAGE_FILE,       /* a memfd or a file of a tmpfs that was mapped; id: the sender's descriptor */
	LZ_MESSAGE_PUNCHED,    /* the program frees pages of the range: fill no hole there any more */
	LZ_MESSAGE_LEAVE       /* never make the range huge; inode 0: no memory of any object */
};

#define LZ_SHARED_KEY_DIGITS (LZ_SHARED_DRIVER_DIGITS / 2)

struct lz_shared_message {
	char key[LZ_SHARED_KEY_DIGITS];
	uint32_t kind; /* enum lz_shared_message_kind */
	int32_t id;
	uint64_t device; /* major << 32 | minor; of the first three kinds */
	uint64_t inode;  /* of a segment: its id, as /proc/PID/maps shows it */
	uint64_t offset; /* of the range, bytes; not for the first three kinds */
	uint64_t bytes;  /* of the memory, or of the range */
};

/* Sets the address of a driver ("32 digits"). Returns its length as bind(2) takes it. */
socklen_t lz_shared_driver_address(const char *driver, struct sockaddr_un *address);

/*
 * Sends a message, whose key is filled in, with a descriptor if fd is not -1. Never waits, unless `wait`:
 * then up to 20 ms for room in the driver's queue. Returns 0 or -errno: -ECONNREFUSED if the driver is gone.
 */
int lz_shared_driver_send(
	const struct lz_os *os, const char *driver, struct lz_shared_message *message, int fd, bool wait);

#endif
