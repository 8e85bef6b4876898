/*
 * A shared object that a program under `lazyzero run` maps, as the driver holds it (shared_memory.h).
 *
 *  - Memory: shared anonymous memory, which the library made a memfd of. The driver has a descriptor of its
 * own of it, so a thread waits until the program has let go of it (flock, see backing/shared.h), and the
 * memory is freed at once.
 *  - A segment of System V. It is attached for a round, and only while at least two attachments of others
 * exist: with one there is nothing to gain, and a program that wants to know whether it is the last
 * (shm_nattch) is not misled.
 *  - A memory file: a memfd of the program, or a file of a tmpfs. It is opened for a round, by its path or
 *    through the descriptor of the process that mapped it, so that it does not outlive the program.
 *
 * One thread uses an object. It lives only as long as its process runs in the control groups of the driver,
 * because a huge page is charged to the process that collapses.
 */
#ifndef LZ_CLI_RUN_DRIVEN_OBJECT_H
#define LZ_CLI_RUN_DRIVEN_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/run/shared_blocks.h"
#include "support/options.h"
#include "support/shared_driver.h"

struct lz_driven_object {
	enum lz_shared_message_kind kind;
	pid_t process;
	int fd;                        /* of memory; -1 for the other kinds */
	int32_t id;                    /* of a segment; of a file: the descriptor of the process */
	uint64_t device, inode, bytes; /* as its first message said */
	char *path;                    /* of a file, may be stale */
	bool gone;                     /* it cannot be reached, or nobody has it any more */
	bool released;                 /* the thread that waits for that has ended */
	uint64_t seen;      /* how much it had allocated when it was last looked at; UINT64_MAX: never */
	uint64_t next_look; /* CLOCK_MONOTONIC, ns */
	struct lz_shared_blocks blocks;
};

/*
 * Makes an object of a message and the descriptor that came with it (-1: none), which is used or closed.
 * Returns NULL if the message does not describe an object that this process can look at.
 */
struct lz_driven_object *lz_driven_object_create(
	const struct lz_shared_message *message, int fd, pid_t process, size_t block);
void lz_driven_object_free(struct lz_driven_object *object);

/*
 * Looks at the object if it is time to and it has changed, and collapses blocks. `pause` is that of struct
 * lz_shared_round. Sets object->gone if it cannot be reached any more.
 */
void lz_driven_object_look(struct lz_driven_object *object, const struct lz_options *options,
	bool (*pause)(void *context, uint64_t took), void *context);

#endif
