/*
 * An os table for tests: the running kernel, except for files that are answered from memory and calls that
 * are made to fail. Its state is global, because the table consists of plain functions; so there can be only
 * one at a time.
 */
#ifndef FAKE_OS_H
#define FAKE_OS_H

#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

enum fake_call {
	FAKE_MMAP,
	FAKE_MUNMAP,
	FAKE_MREMAP,
	FAKE_MPROTECT,
	FAKE_MADVISE,
	FAKE_OPEN,
	FAKE_READ, /* and pread */
	FAKE_WRITE,
	FAKE_DUPLICATE,
	FAKE_BLOCK_SIGNALS, /* as often as a lock is taken */
	FAKE_CALLS
};

struct fake_file {
	const char *path;
	const char *content; /* NULL: ENOENT */
};

struct fake_state {
	const struct fake_file *files;  /* ends with path NULL; searched before the real file system */
	unsigned fail_at[FAKE_CALLS];   /* the nth call from now fails; 0: none */
	unsigned fail_from[FAKE_CALLS]; /* every call from the nth on fails; 0: none */
	int error;                      /* the error of these calls, negative */
	unsigned calls[FAKE_CALLS];
	unsigned pagemaps;       /* how often a pagemap was opened */
	size_t mapped, unmapped; /* bytes, summed over successful calls */
	char written[4096];      /* what was written to descriptor 2, NUL-terminated */
	size_t written_length;
	uint64_t descriptor_limit; /* RLIMIT_NOFILE, if not 0 */
	uint64_t now_ms;           /* the current time, if not 0 */
	int last_advice;           /* of the last madvise */
	bool thp_disabled;         /* as by prctl PR_SET_THP_DISABLE: no window can be made */
};

extern struct fake_state fake;

/* Resets the state. Returns the same table each time. */
const struct lz_os *fake_os(void);

#endif
