/*
 * The large shared mappings of processes, by the memory object behind them: shared anonymous memory, System V
 * segments, memfds and files on tmpfs. Found in /proc/PID/maps, for processes with and without the library.
 *
 * An object is known by its kind, device and inode; for a System V segment, whose inode is its id, also by
 * the IPC namespace. Of a chosen process every large mapping is recorded, of all other processes those of the
 * same objects. Processes in another PID namespace are seen under their ID in this one; those outside of this
 * namespace are not seen.
 *
 * A chosen process is held by a pidfd, so a later process with its ID is never mistaken for it. The others
 * are known by ID and start time.
 */
#ifndef LZ_CLI_COLLAPSE_SHARING_H
#define LZ_CLI_COLLAPSE_SHARING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process that maps one of the objects. */
struct lz_sharer {
	pid_t pid;
	uint64_t start_time;
	int pidfd;       /* of a chosen process, else -1 */
	bool gone;       /* it has ended; only for chosen processes */
	bool examined;   /* left_alone of its mappings is set (attributes.h) */
	uint64_t locked; /* bytes of VmLck */
	uint64_t tables; /* bytes of VmPTE at the start; LZ_UNKNOWN if it could not be read */
	char name[64];
};

struct lz_shared_mapping {
	size_t sharer; /* index */
	uint64_t start, end, offset;
	const char *left_alone; /* why its blocks are not collapsed; NULL: nothing is known against it */
};

enum lz_shared_kind {
	LZ_SHARED_ANONYMOUS, /* MAP_SHARED|MAP_ANONYMOUS: only the process and its children can have it */
	LZ_SHARED_SYSV,
	LZ_SHARED_MEMFD,
	LZ_SHARED_FILE /* on tmpfs */
};

enum lz_block_state {
	LZ_BLOCK_EMPTY,       /* holds no page */
	LZ_BLOCK_SPARSE,      /* holds less than the density asked for */
	LZ_BLOCK_DENSE,       /* is to be collapsed */
	LZ_BLOCK_HUGE,        /* is a huge page already */
	LZ_BLOCK_UNREACHABLE, /* no chosen process maps it so that it could be huge, or it is left alone */
	LZ_BLOCK_COLLAPSED,
	LZ_BLOCK_CHANGED, /* was dense, but no longer when its turn came */
	LZ_BLOCK_STATES
};

struct lz_block {
	uint16_t pages; /* present */
	uint8_t state;  /* enum lz_block_state */
};

struct lz_shared_object {
	enum lz_shared_kind kind;
	uint64_t device, inode, ipc_namespace;
	char name[128]; /* path in maps */
	uint64_t size;  /* end of its last mapping, bytes */
	struct lz_shared_mapping *mappings;
	size_t mapping_count;
	struct lz_block *blocks; /* each block that some mapping may cover: size / block bytes; NULL: not
				    examined */
	size_t block_count;
	const char *problem; /* why nothing, or not all, is collapsed; NULL: nothing is in the way */
};

struct lz_sharing {
	uint64_t block, page; /* bytes of a huge page and of a small one */
	uint64_t shmem_device;
	struct lz_sharer *sharers;
	size_t sharer_count;
	struct lz_shared_object *objects;
	size_t object_count;
};

/* Returns 0, or -errno after an error message. */
int lz_sharing_init(struct lz_sharing *sharing);
void lz_sharing_free(struct lz_sharing *sharing);

/*
 * Adds a chosen process and the objects it maps. A start time other than 0 must be that of the process.
 * Returns 0 (also if it is known already); -ESRCH if it does not exist, has another start time or has no
 * memory; -EACCES and the like if it cannot be examined; -ENOMEM.
 */
int lz_sharing_add(struct lz_sharing *sharing, pid_t pid, uint64_t start_time);

/* Adds all other processes that map one of the objects. Returns 0, -ENOMEM, or the error of reading /proc. */
int lz_sharing_add_others(struct lz_sharing *sharing);

/* Whether the mapping's address and offset are congruent, so that it can be mapped by huge pages. */
bool lz_shared_mapping_aligned(const struct lz_sharing *sharing, const struct lz_shared_mapping *mapping);

/* Whether the mapping contains the whole of a block of the object. */
bool lz_shared_mapping_covers(
	const struct lz_sharing *sharing, const struct lz_shared_mapping *mapping, size_t block);

/* Whether the process of the mapping was chosen and is alive. */
bool lz_sharer_usable(const struct lz_sharer *sharer);

/* The number of processes that map the object; of those with `aligned`, only in aligned mappings. */
size_t lz_shared_object_sharers(
	const struct lz_sharing *sharing, const struct lz_shared_object *object, bool aligned);

/* The sum of VmPTE at the start of all sharers that were alive at both times, and now; `ended` counts the
 * others. */
struct lz_shared_tables {
	uint64_t before, after;
	size_t processes, ended;
};
struct lz_shared_tables lz_sharing_tables(const struct lz_sharing *sharing);

#endif
