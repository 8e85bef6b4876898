/*
 * A budget group: processes that share one budget (LAZYZERO_BUDGET_SCOPE). Each publishes its charge, that is
 * the bytes of page tables that count against the budget, in a System V shared memory segment; the sum of all
 * charges decides.
 *
 * A System V segment, not a file: it cannot be truncated under its users (SIGBUS), needs no descriptor, which
 * programs close, and vanishes with its last user, because it is marked for destruction as soon as it exists.
 * A file below /dev/shm holds the id of the segment for groups that are found by name.
 *
 * Invariants:
 *  - There is no lock. A member writes its own charge; sums are taken over all of them, so a process that is
 *    killed at any point leaves no wrong sum. At most twice a second one of the members looks at all others
 *    (lz_group_scan): it frees the slots of those that are gone, and notes the VmPTE of those that make no
 *    calls.
 *  - A process is identified by its PID namespace, its pid and its start time. A member of another namespace
 *    cannot be looked at; its slot is freed by a member of its own namespace, or when the segment has fewer
 *    users than slots and no member of another namespace can be left.
 *  - A slot that is freed wrongly is claimed again at the next publication.
 *
 * Joining and publishing must not run in two threads at once: callers hold the lock of the books. Other
 * processes may do anything at any time. Nothing allocates from the heap.
 */
#ifndef LZ_SUPPORT_GROUP_H
#define LZ_SUPPORT_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "os/os.h"

/* Members at most. Memory is used for those that exist: 48 bytes each. */
#define LZ_GROUP_MEMBERS 4096u

#define LZ_GROUP_NAME_MAX 64u /* bytes of a name, including the NUL */

struct lz_group_member {
	_Atomic uint32_t pid;           /* in its own PID namespace; 0: the slot is free */
	_Atomic uint32_t counts;        /* 0: it only keeps the group alive, and no memory of it counts */
	_Atomic uint64_t pid_namespace; /* inode number; 0: not known yet */
	_Atomic uint64_t start_time;    /* clock ticks after boot; 0: not known yet */
	/* The start of its stack changes when it executes another program; 0: not known. */
	_Atomic uint64_t stack;
};

struct lz_group_segment {
	char magic[8];
	uint32_t size;        /* of this struct, in bytes */
	_Atomic uint32_t end; /* slots at or above it were never used */
	char name[LZ_GROUP_NAME_MAX];
	_Atomic uint64_t scanned_ms;                 /* time of the last scan */
	_Atomic uint64_t peak;                       /* highest sum that a decision has seen */
	_Atomic uint64_t charge[LZ_GROUP_MEMBERS];   /* as published by the member */
	_Atomic uint64_t observed[LZ_GROUP_MEMBERS]; /* VmPTE, as seen by the last scan */
	struct lz_group_member member[LZ_GROUP_MEMBERS];
};

/* This process's membership. */
struct lz_group {
	const struct lz_os *os;
	struct lz_group_segment *segment; /* NULL: not a member */
	int id;                           /* of the segment (shmat(2)) */
	unsigned slot;
	uint32_t pid; /* process that owns the slot; a forked child has another */
	uint64_t pid_namespace;
};

/* What the members hold together. */
struct lz_group_sum {
	uint64_t bytes;       /* page tables of all members */
	uint64_t largest;     /* of the member that holds most */
	uint32_t largest_pid; /* in its own PID namespace */
	uint32_t members;
};

/*
 * Creates a group and keeps it alive until lz_group_leave; this process does not count as a member. For the
 * command. The name is for messages. Returns 0 or -errno: -ENOSPC beyond kernel.shmmni, -ENOSYS without
 * System V IPC.
 */
int lz_group_create(struct lz_group *group, const struct lz_os *os, const char *name);

/*
 * Joins the group that a scope names: "run:ID" (made by lz_group_create), "group:NAME", or "group": the
 * control group of this process. "process" joins none. Returns 0 or -errno, and then appends a sentence for
 * the user to `why`.
 */
int lz_group_join(struct lz_group *group, const struct lz_os *os, const char *scope, struct lz_text *why);

/* Whether text is a scope as above. */
bool lz_group_scope_is_valid(const char *scope);

/*
 * In a forked child: takes a slot of its own. Until its first publication, the VmPTE that others see counts.
 * Returns whether this process is a child that had no slot yet. Async-signal-safe.
 */
bool lz_group_after_fork(struct lz_group *group);

/* Publishes the bytes of page tables that this process holds. */
void lz_group_publish(struct lz_group *group, uint64_t bytes);

/* The bytes that all other members hold. 0.2 us for 200 members. */
uint64_t lz_group_others(const struct lz_group *group);

/*
 * Looks at all members if the last look was more than `age_ms` milliseconds ago: 20 us for each of them.
 */
void lz_group_scan(struct lz_group *group, uint64_t age_ms);

/* Adds up what all members hold; 0 members without a group. Thread-safe. */
void lz_group_sum(const struct lz_group *group, struct lz_group_sum *sum);

/* The name of the group; "" without one. It may not be written while it is in use. */
const char *lz_group_name(const struct lz_group *group);

/* Number of members; 1 if this process is in no group. Thread-safe. */
unsigned lz_group_count(const struct lz_group *group);

/*
 * Gives this process a slot: the one that it had before exec(2), or a free one. Returns 0, or -EUSERS if
 * there is none. For the files of the group.
 */
int lz_group_claim_slot(struct lz_group *group);

/* Whether [start, end) overlaps the segment. Thread-safe. */
bool lz_group_overlaps(const struct lz_group *group, uintptr_t start, uintptr_t end);

/* The program is about to unmap the segment: this process is a member no more. */
void lz_group_abandon(struct lz_group *group);

/* At exit: frees the slot. */
void lz_group_leave(struct lz_group *group);

#endif
