/*
 * Makes the same calls twice in the same place: as raw system calls, and through the C library's names, which
 * lazyzero interposes. Results, errno and the mappings afterwards must be equal.
 */
#ifndef RAW_COMPARISON_H
#define RAW_COMPARISON_H

#include "probe.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/types.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* The addresses used by every case, far from those that the C library or the kernel choose. */
#define ARENA ((char *)0x200000000000)
#define ARENA_BYTES (64 * GB)
#define AT(offset) (ARENA + (offset))

#define UNTOUCHED 77 /* errno before every call */
#define STEPS 2000   /* maximum number of results in one case */

/* One way of making calls. */
struct calls {
	void *(*map)(void *, size_t, int, int, int, off_t);
	int (*unmap)(void *, size_t);
	void *(*remap)(void *, size_t, size_t, int, void *);
	int (*protect)(void *, size_t, int);
	int (*advise)(void *, size_t, int);
	void *(*attach)(int, const void *, int);
	int (*detach)(const void *);
	int (*residence)(void *, size_t, unsigned char *);
	int (*control)(int, unsigned long, void *);
};

/* Record a result and errno, an address as its offset in the arena, or a value; used by the macros below. */
void note(long value, int line);
void *note_pointer(void *p, int line);
void note_value(long value, int line);

/* Make a call that returns an int, or a pointer, and record its result. */
#define INT(call) (errno = UNTOUCHED, note((call), __LINE__))
#define POINTER(call) (errno = UNTOUCHED, note_pointer((call), __LINE__))

/* Records only a value; errno may depend on which thread was first. */
#define VALUE(value) note_value((long)(value), __LINE__)

/* Whether these are the C library's names. */
bool is_named(const struct calls *c);

/* Describes the following records, for the message about a difference; the text must stay valid. */
void describe(const char *what);

/* Prints every record on stderr as it is made, and the arguments that trace is given. */
void trace_calls(bool on);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Also compares the VmFlags of /proc/PID/smaps that the program set. */
void compare_flags(bool on);

/* Runs a case in both ways, each in an empty arena, and compares. */
void run_case(const char *name, void (*body)(const struct calls *));

#endif
