/*
 * Included before src/os/linux.c by the compiler (-include), in test builds only. The system calls of that
 * file then go through lz_hidden_call, which fails as a kernel without some features does.
 *
 * LZ_HIDE_FACTS names the features, separated by commas, as the facts of src/os/facts.h do (`id`).
 */
#ifndef LZ_TESTS_FACTS_HIDE_H
#define LZ_TESTS_FACTS_HIDE_H

#include "os/raw_syscall.h"

/* Makes a system call as a kernel without the hidden features does. Returns its result, or -errno. Safe in
 * signal handlers. */
__attribute__((visibility("hidden"))) long lz_hidden_call(
	long number, long a, long b, long c, long d, long e, long f);

#ifdef LZ_HAVE_RAW_SYSCALL
#define lz_raw_syscall lz_hidden_call
#endif

#endif
