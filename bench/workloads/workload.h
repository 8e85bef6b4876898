/*
 * What the workloads of the benchmark share. A workload does one thing between measure_start and
 * measure_stop, and nothing else is timed. Sizes are bytes, times seconds of the monotonic clock.
 *
 * All of it is compiled with -fno-builtin, and what is read or allocated goes through the volatile sinks:
 * a compiler that knows malloc may otherwise drop the work.
 */
#ifndef LZ_BENCH_WORKLOAD_H
#define LZ_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_THREADS 64u

/* --- measure.c: one measurement for each process, printed as one line of JSON --- */

/* Starts clock and fault count. Call it when everything is ready. */
void measure_start(void);

/* Stops them, and takes RSS, PSS and page tables as they are now: call it before freeing what is measured. */
void measure_stop(void);

/* Adds a figure of the workload's own. */
void measure_add(const char *key, double value);

/* Adds the time of each of `count` equal parts of what was measured. After measure_stop. */
void measure_add_each(uint64_t count);

/* Seconds since measure_start. */
double measure_elapsed(void);

/*
 * Ends the program: the allocator would not serve what was asked, which is an answer too and is reported
 * in place of figures.
 */
_Noreturn void measure_refused(const char *what);

void measure_print(void);

/* --- memory.c: how workloads get and touch memory --- */

extern void *volatile pointer_sink;
extern volatile uint64_t value_sink;

/* Zeroed memory by calloc. Ends the program (measure_refused) where there is none. */
char *zeroed(uint64_t size);

/* The same by mmap with MAP_NORESERVE, which the kernel grants beyond the size of RAM. */
char *mapped(uint64_t size);

/*
 * By calloc where that is served, else by mmap as the C library would have done it if the kernel let it: by
 * default Linux grants calloc no more than there is memory, and glibc asks in that way.
 */
char *zeroed_or_mapped(uint64_t size);

/* Reads one byte of each page. */
void read_pages(const char *block, uint64_t size);

/* Writes one byte in each of `count` places, spread evenly over the block and taken in a scattered order. */
void write_scattered(char *block, uint64_t size, uint64_t count);

/* Numbers that look random and are the same in each run; state is the caller's, any start will do. */
uint64_t next_random(uint64_t *state);

/* Runs `body` in so many threads at once, given the number of each from 0; ends when all have. */
void in_threads(unsigned threads, void (*body)(unsigned number));

/* --- the workloads; arguments are what stands behind the name, checked in number --- */

void workload_probe(char **arguments);
void workload_scan(char **arguments);
void workload_curve(char **arguments);
void workload_fork(char **arguments);
void workload_writes(char **arguments);
void workload_dense(char **arguments);
void workload_reuse(char **arguments);
void workload_mixed(char **arguments);
void workload_small(char **arguments);
void workload_grow(char **arguments);
void workload_churn(char **arguments);
void workload_regions(char **arguments);
void workload_many(char **arguments);
void workload_reserve(char **arguments);
void workload_stacks(char **arguments);
void workload_crowd(char **arguments);
void workload_held(char **arguments);
void workload_shared(char **arguments);
void workload_toolarge(char **arguments);
void workload_hugetry(char **arguments);
void workload_vector(char **arguments);
void workload_refill(char **arguments);
void workload_table(char **arguments);

/* An argument that is a size ("64M") or a count; ends the program with a message where it is none. */
uint64_t argument_size(const char *text);

/* An argument that is one of the words, of which the last is NULL; returns its index. */
unsigned argument_word(const char *text, const char *const words[]);

/* An argument that is a number of threads, from 1 to MAX_THREADS. */
unsigned argument_threads(const char *text);

#endif
