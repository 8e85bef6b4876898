/*
 * What every probe shares. A probe is a program whose checks stand in probe_main; probe.c runs that where the
 * environment variable PROBE_WHERE says: in main, in the constructor of another library
 * (early_constructor.c), in a second thread, or in a forked child.
 *
 * Failed checks are counted and described on stderr. What a probe prints on stdout depends on the C library's
 * and the allocator's behaviour alone, so that the scripts can compare it with a run without lazyzero.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define GB ((size_t)1 << 30)
#define TB ((size_t)1 << 40)

/* The checks of this program; the status to exit with. */
int probe_main(void);

extern int probe_argc;
extern char **probe_argv;

/* Whether the library is there (it is not in the run that gives the expected output). */
bool probe_preloaded(void);

/* LAZYZERO_THRESHOLD and LAZYZERO_MALLOC_THRESHOLD as this run has them. */
size_t probe_threshold(void);
size_t probe_malloc_threshold(void);

/* Whether the library may keep what was freed: LAZYZERO_CACHE is not 0. */
bool probe_keeps_freed(void);

/* A value of /proc/self/status ("VmRSS:") in bytes. Allocates nothing. */
size_t probe_status(const char *name);

/* A failed check; ok is returned. */
bool probe_check(bool ok, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool probe_equal(uint64_t got, uint64_t expected, const char *file, int line, const char *what);

/* How many checks failed; 1 as an exit status if any did. */
int probe_status_of_checks(void);

#define CHECK(condition, ...) probe_check(condition, __FILE__, __LINE__, __VA_ARGS__)
#define CHECK_EQUAL(got, expected)                                                                           \
	probe_equal((uint64_t)(got), (uint64_t)(expected), __FILE__, __LINE__, #got)

/* A repeatable random number. */
uint64_t probe_random(void);

/* Keeps the compiler from knowing what a value is: it knows malloc well enough to leave calls out. */
static inline size_t opaque(size_t value)
{
	__asm__ volatile("" : "+r"(value));
	return value;
}

static inline void *opaque_pointer(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

#endif
