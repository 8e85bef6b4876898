/*
 * The same calls made twice in the same place: as raw system calls, and through the C library's names, which
 * lazyzero takes over. What each gave, with errno, and the mappings left behind must be equal.
 */
#ifndef TWICE_H
#define TWICE_H

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

/* Where every case works: far from anything the C library or the kernel chooses by itself. */
#define ARENA ((char *)0x200000000000)
#define ARENA_BYTES (64 * GB)
#define AT(offset) (ARENA + (offset))

#define UNTOUCHED 77 /* errno before every call */
#define STEPS 2000   /* results in one case, at most */

/* One way of calling. */
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

/* Notes a result and errno, an address as its place in the arena, or a value; the macros below do it. */
void note(long value, int line);
void *note_pointer(void *p, int line);
void note_value(long value, int line);

/* Makes a call that returns an int, or a pointer, and notes what came of it. */
#define INT(call) (errno = UNTOUCHED, note((call), __LINE__))
#define POINTER(call) (errno = UNTOUCHED, note_pointer((call), __LINE__))

/* Notes a value alone: what finding it left in errno may depend on which thread came first. */
#define VALUE(value) note_value((long)(value), __LINE__)

/* Whether these are the C library's names. */
bool is_named(const struct calls *c);

/* What the notes from here on are about, for who reads of a difference; text that stays. */
void describe(const char *what);

/* Prints every note on stderr as it is made, and what trace is given: arguments. */
void trace_calls(bool on);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Compares what the program asked of its mappings as well (VmFlags in /proc/PID/smaps). */
void compare_flags(bool on);

/* Runs a case both ways, each in an empty arena, and compares. */
void run_case(const char *name, void (*body)(const struct calls *));

#endif
