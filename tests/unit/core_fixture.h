/* Shared by the tests of the core: one core on the fake os table, and short functions to use it. */
#ifndef CORE_FIXTURE_H
#define CORE_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/core.h"
#include "accounting/api.h"
#include "fake_os.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/*
 * AddressSanitizer's shadow memory needs gigabytes of page tables, so a test with a small budget is
 * meaningless.
 */
#ifdef __SANITIZE_ADDRESS__
#define SKIP_WITHOUT_SMALL_BUDGETS() cr_skip_test("the sanitizer's shadow memory exceeds a small budget")
#else
#define SKIP_WITHOUT_SMALL_BUDGETS() ((void)0)
#endif

extern struct lz_core core;

/* Environments: without a log; and also with a budget of 1 MiB and the policy "refuse". */
extern char *const no_log_env[];
extern char *const refuse_env[];

/* Initialises a new core with this environment. */
void start_core(char *const *envp);

/* A calloc, a realloc, and an mmap of private anonymous memory, as the shim requests them. */
int allocate(size_t size, void **out);
int resize(void *p, size_t size, void **out);
intptr_t map_anonymous(void *at, size_t length, int protection, int flags);

/* Committed page tables according to the ledger, bytes. */
uint64_t committed(void);

#endif
