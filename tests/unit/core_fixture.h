/* What the tests of the core share: one core on the fake os table, and short names for what they ask of it.
 */
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

/* AddressSanitizer's shadow memory alone would need gigabytes of page tables: small budgets mean nothing
 * there. */
#ifdef __SANITIZE_ADDRESS__
#define SKIP_WITHOUT_SMALL_BUDGETS() cr_skip_test("the sanitizer's shadow memory exceeds a small budget")
#else
#define SKIP_WITHOUT_SMALL_BUDGETS() ((void)0)
#endif

extern struct lz_core core;

/* Environments: nothing is logged; and a budget of 1 MiB that refuses. */
extern char *const no_log_env[];
extern char *const refuse_env[];

/* A new core with this environment. */
void start_core(char *const *envp);

/* A calloc, a realloc, and an mmap of private anonymous memory, as the shim would ask for them. */
int allocate(size_t size, void **out);
int resize(void *p, size_t size, void **out);
intptr_t map_anonymous(void *at, size_t length, int protection, int flags);

/* What the ledger says is committed, bytes. */
uint64_t committed(void);

#endif
