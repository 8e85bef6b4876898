/* What a program asks the library syscall_wrapper.c, which is preloaded beside lazyzero; weak, since it may
 * be absent. */
#ifndef HEARING_H
#define HEARING_H

#include <stddef.h>

/* Ranges of this length are the program's own; calls on others may be made by an allocator. */
#define HEARD_LENGTH ((size_t)77 << 20)

/* How many calls of that name were heard so far. */
extern __attribute__((weak)) unsigned hearing_count(const char *name);

/* A range whose pages somebody holds: what unmaps, moves or drops any of it is to be heard. */
extern __attribute__((weak)) void hearing_register(void *address, size_t length);
/* Whether nothing of the kind was heard since. */
extern __attribute__((weak)) int hearing_registered(void);
extern __attribute__((weak)) unsigned hearing_callbacks(void);

#endif
