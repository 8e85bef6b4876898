/* Queries to the preloaded library syscall_wrapper.c; weak, since it may be absent. */
#ifndef SYSCALL_WRAPPER_H
#define SYSCALL_WRAPPER_H

#include <stddef.h>

/* Ranges of this length are the program's own; calls on others may be made by an allocator. */
#define PROGRAM_RANGE_LENGTH ((size_t)77 << 20)

/* How many calls of that name were seen so far. */
extern __attribute__((weak)) unsigned wrapper_count(const char *name);

/*
 * Registers a range whose pages are in use by a device: calls that unmap, move or drop a part of it must be
 * seen.
 */
extern __attribute__((weak)) void wrapper_register(void *address, size_t length);
/* Whether no such call was seen since. */
extern __attribute__((weak)) int wrapper_registered(void);
extern __attribute__((weak)) unsigned wrapper_callbacks(void);

#endif
