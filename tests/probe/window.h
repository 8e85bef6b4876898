/*
 * Tests that memory on a zero window behaves as anonymous memory: declarations shared by the files of this
 * probe. Each case makes the same calls on plain memory (raw system calls) and on a window (the C library's
 * names, under lazyzero), and compares results, errno, contents, protections and flags, call by call.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include "on_window.h"
#include "raw_comparison.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
#define PAGE ((size_t)4096)

/* Missing in the headers of some C libraries. */
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

/* Maps new memory, and checks that it is on a window where it should be. */
char *fresh(const struct calls *c, char *at, size_t length);

/* Makes a store or a load. Returns 0, or the signal that it raised. */
int store(char *at, uint64_t value);
int load(const char *at, uint64_t *value);

/* Reads a word whatever its protection; -1 if nothing is mapped. */
uint64_t peek(const char *at);

/* Whether the kernel can tell written pages from the window's (PAGEMAP_SCAN, Linux 6.7). */
bool tells_written(void);

/* Creates a temporary file of `length` ascending bytes, open for reading and writing. */
int make_file(size_t length, int flags);

/* --- window_random.c: series of random calls on random ranges --- */
void random_cases(uint64_t first, uint64_t count);

/* --- window_io.c: the kernel as reader and writer, other threads, other processes --- */
void io_cases(void);

#endif
