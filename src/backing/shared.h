/*
 * Shared memory of the program, and what can be done about its page tables: every process that maps it needs
 * its own, so 50 processes over 8 GiB need 800 MiB of them. A huge page needs none (a file's PMD entry; the
 * kernel deposits no table under it, do_set_pmd in mm/memory.c).
 *
 * The memory is the program's: nothing is moved, cleared or dropped. LAZYZERO_SHARED says what is done with a
 * mapping for which the kernel chooses the address, and which is at least one block (a PMD entry's span)
 * large:
 *
 *  - Placement (all but `off`): the address and the offset in the file are congruent modulo the block, which
 * the kernel does not see to unless shmem_enabled allows huge pages (shmem_get_unmapped_area). It costs 3 us.
 *  - `huge`: shared anonymous memory is allocated in huge pages at once, if 64 MiB or 5% of the memory stay
 * free. Where shmem_enabled is `advise`, MADV_HUGEPAGE makes the kernel do that at the first touch of each
 * block.
 *  - `auto` under `lazyzero run`: that process, the driver, makes blocks huge as they fill; see
 *    cli/run/shared_memory.h, and shared_driver.h for the messages. Without a driver it is as `align`.
 *
 * Why the driver is the parent: a process that maps the memory needs no privilege for MADV_COLLAPSE, one that
 * does not needs CAP_SYS_NICE. A thread or child of the program's own would be seen by the program
 * (unshare(2) and setns(2) fail, fork(2) loses it, thread counts change), and its calls that pass the library
 * are few: a PostgreSQL backend makes none while it scans. The parent does it in its own time, on its own
 * processor time.
 *
 * For that, shared anonymous memory becomes a memfd, whose descriptor is handed to the driver and closed
 * here. Both are inodes of the same kernel-internal tmpfs (shmem_zero_setup, shmem_file_setup in mm/shmem.c):
 * fork, mremap, madvise, mincore, core dumps (both are unlinked), charging and swapping are the same. They
 * differ where the memory then stays what it was:
 *  - Overcommit mode 2: anonymous memory is accounted when it is mapped, a memfd page by page, with SIGBUS if
 *    that fails. In the other modes the kernel decides on the plain mapping first, and that decision holds.
 *  - RLIMIT_FSIZE limits the file. MAP_HUGETLB, MAP_LOCKED, MAP_POPULATE, executable mappings.
 * What remains: /proc/PID/maps names it "/memfd:lazyzero-shared", not "/dev/zero".
 *
 * A memfd lives as long as somebody has it, so the driver must let go of it when the program does. For this
 * the memfd is locked (flock(2)) through the open file that all mappings of it refer to: the kernel releases
 * the lock with the last of them, which wakes the driver.
 *
 * Thread-safe and async-signal-safe; no lock is held.
 */
#ifndef LZ_BACKING_SHARED_H
#define LZ_BACKING_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "backing/backing.h"

/* No block is smaller: that of s390x. */
#define LZ_SHARED_MIN ((size_t)1 << 20)

/*
 * A segment was attached at a place where it can be huge: tells the driver. `bytes` is its size.
 */
void lz_shared_note_segment(struct lz_backings *backings, int id, size_t bytes);

/*
 * Returns an address that is congruent with `offset` modulo a block and at which `length` bytes were free a
 * moment ago; 0 if there is none, if that is not asked for, or if the memory is smaller than a block.
 */
uintptr_t lz_shared_hint(struct lz_backings *backings, size_t length, uint64_t offset);

/*
 * The program frees pages of [start, end) (MADV_REMOVE), or, if `permanent`, wants it left as it is (a lock,
 * a memory policy, userfaultfd, MADV_NOHUGEPAGE): tells the driver if some of it is shared memory. To be
 * called before the call is passed on. Errno is preserved.
 */
void lz_shared_restrict(struct lz_backings *backings, uintptr_t start, uintptr_t end, bool permanent);

#endif
