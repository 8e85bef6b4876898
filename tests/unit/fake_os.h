/*
 * An os table for tests: the real kernel, except for files that are answered from memory and calls that are
 * told to fail. One at a time: its state is global, as a table of functions needs.
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
	FAKE_CALLS
};

struct fake_file {
	const char *path;
	const char *content; /* NULL: ENOENT */
};

struct fake_state {
	const struct fake_file *files;  /* ends with path NULL; looked at before the real file system */
	unsigned fail_at[FAKE_CALLS];   /* the nth call from now fails; 0: none */
	unsigned fail_from[FAKE_CALLS]; /* every call from the nth on fails; 0: none */
	int error;                      /* with this, negative */
	unsigned calls[FAKE_CALLS];
	unsigned pagemaps; /* how often a pagemap was opened */
	size_t mapped, unmapped; /* bytes, sums of what succeeded */
	char written[4096];      /* what went to descriptor 2, NUL-terminated */
	size_t written_length;
	uint64_t descriptor_limit; /* RLIMIT_NOFILE, when not 0 */
	uint64_t now_ms; /* the clock, when not 0 */
	int last_advice; /* of madvise */
};

extern struct fake_state fake;

/* Resets the state; the table is the same each time. */
const struct lz_os *fake_os(void);

#endif
