/*
 * What the examples share: sizes as people write them, and what the kernel says of a process's memory.
 * All sizes are bytes.
 */
#ifndef LZ_EXAMPLES_COMMON_H
#define LZ_EXAMPLES_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

/* A figure the kernel did not give. */
#define UNKNOWN UINT64_MAX

#define SIZE_TEXT 24

/* "4096", "64M", "100G", "512GiB", "1T": powers of 1024. False for anything else, for 0, and on overflow. */
bool parse_size(const char *text, uint64_t *bytes);

/* Like "200.4 MiB", at most 9 characters; returns buffer, so that it can stand in a printf. */
const char *format_size(char buffer[SIZE_TEXT], uint64_t bytes);

/* A field of /proc/PID/status that is given in kB, such as "VmRSS"; pid 0 is this process. */
uint64_t status_bytes(pid_t pid, const char *field);

/* Minor page faults of this process so far. */
uint64_t minor_faults(void);

/* Bytes of a page. */
uint64_t page_bytes(void);

/* Microseconds of the monotonic clock. */
uint64_t now_us(void);

/*
 * Asks for no transparent huge pages in a block, which need not be page-aligned. Where they are always on,
 * one read maps 2 MiB and one write allocates as much, and the numbers tell another story.
 */
void refuse_huge_pages(void *start, uint64_t size);

/* Reads one byte of each page of [start, start + size). */
void read_every_page(const void *start, uint64_t size);

#endif
