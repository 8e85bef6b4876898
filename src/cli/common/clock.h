/* The clocks that intervals are measured with. */
#ifndef LZ_CLI_COMMON_CLOCK_H
#define LZ_CLI_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define LZ_NS_PER_SECOND UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t lz_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * LZ_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* Nanoseconds of processor time of the calling thread. */
static inline uint64_t lz_thread_time_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * LZ_NS_PER_SECOND + (uint64_t)used.tv_nsec;
}

#endif
