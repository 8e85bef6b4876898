/*
 * Other processes: whether they exist, and what identifies them. All functions go through the os table, are
 * thread-safe and async-signal-safe, and take no lock. Sources: proc(5), kill(2), namespaces(7).
 */
#ifndef LZ_OS_PROCESS_H
#define LZ_OS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct lz_process_id {
	uint64_t start_time; /* clock ticks after boot */
	/* Start of its stack, which another program has elsewhere; 0 if it may not be read. */
	uint64_t stack;
};

/*
 * Reads what identifies a process of this PID namespace. Returns 0; -ESRCH if there is none, or only a zombie
 * that its parent has not waited for; or the error of reading /proc/PID/stat. Takes about 8 us.
 */
int lz_process_identify(const struct lz_os *os, uint64_t pid, struct lz_process_id *id);

/* The page tables of a process of this PID namespace in bytes (VmPTE); 0 if they cannot be read. */
uint64_t lz_process_page_tables(const struct lz_os *os, uint64_t pid);

/* The inode number of a namespace of this process ("pid", "ipc", "cgroup"); 0 if it cannot be read. */
uint64_t lz_process_namespace(const struct lz_os *os, const char *type);

#endif
