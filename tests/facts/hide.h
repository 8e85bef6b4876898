/*
 * Put before src/os/linux.c by the compiler (-include): its system calls go through lz_hidden_call, which
 * answers as a kernel without some features would. Of test builds only.
 *
 * LZ_HIDE_FACTS names the features, separated by commas, as the facts of src/os/facts.h do (`id`).
 */
#ifndef LZ_TESTS_FACTS_HIDE_H
#define LZ_TESTS_FACTS_HIDE_H

#include "os/raw_syscall.h"

/* A system call of a kernel that lacks what is hidden: a result, or -errno. Safe in signal handlers. */
__attribute__((visibility("hidden"))) long lz_hidden_call(
	long number, long a, long b, long c, long d, long e, long f);

#ifdef LZ_HAVE_RAW_SYSCALL
#define lz_raw_syscall lz_hidden_call
#endif

#endif
