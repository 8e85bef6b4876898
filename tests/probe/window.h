/*
 * Proves that memory on a zero window is anonymous memory to a program: what the files of this probe share.
 * Every case makes the same calls on plain memory (raw system calls) and on a window (the C library's names,
 * under lazyzero), and compares results, errno, contents, protections and flags, call by call.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include "raw_comparison.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
#define PAGE ((size_t)4096)

/* Newer than some C libraries' headers. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

/* Maps fresh memory, and checks that it stands on a window where it should. */
char *fresh(const struct calls *c, char *at, size_t length);

/* Whether some mapping in [at, at + length) is a window's. */
bool on_window(const char *at, size_t length);

/* A store or a load as the program would make it: 0, or the signal it raised. */
int store(char *at, uint64_t value);
int load(const char *at, uint64_t *value);

/* A word at an address whatever its protection; -1 where nothing is mapped. */
uint64_t peek(const char *at);

/* Whether the kernel tells pages that were written from the window's (PAGEMAP_SCAN, since Linux 6.7). */
bool tells_written(void);

/* A temporary file of ascending bytes, `length` of them, open for reading and writing. */
int make_file(size_t length, int flags);

/* --- window_random.c: series of random calls on random ranges --- */
void random_cases(uint64_t first, uint64_t count);

/* --- window_io.c: the kernel as reader and writer, other threads, other processes --- */
void io_cases(void);

#endif
