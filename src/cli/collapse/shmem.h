/* Tells what kind of shared memory a mapping is of, from its line in /proc/PID/maps. */
#ifndef LZ_CLI_COLLAPSE_SHMEM_H
#define LZ_CLI_COLLAPSE_SHMEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/collapse/sharing.h"
#include "os/procfs.h"

/*
 * The device of the kernel's own tmpfs, as in struct lz_mapping: shared anonymous memory, System V segments
 * and memfds in small pages are on it, those in huge pages are not. Returns 0 or -errno.
 */
int lz_shmem_device(uint64_t *device);

/* Set pid and shmem_device; the rest is 0. The answers about the last device and namespace are kept. */
struct lz_shmem_classifier {
	pid_t pid;
	uint64_t shmem_device;
	uint64_t device; /* asked for last; 0: none */
	bool is_tmpfs;
	uint64_t ipc_namespace; /* of the process; 0: not read yet */
};

/*
 * Sets kind, device, inode, namespace and name of an object for a mapping. Returns false if it is not of one
 * of the kinds, such as a graphics buffer, which only its driver may move.
 */
bool lz_shmem_classify(struct lz_shmem_classifier *classifier, const struct lz_mapping *mapping,
	struct lz_shared_object *object);

#endif
