/* A core on the fake os table; see core_fixture.h. */
#include "core_fixture.h"

#include "os/descriptors.h"

struct lz_core core;

void start_core(char *const *envp)
{
	const struct lz_os *os = fake_os();

	memset(&core, 0, sizeof core);
	cr_assert_eq(lz_core_init(&core, os, envp, "prog"), 0);
	cr_assert(core.active);
	/* These tests answer /proc from memory, or count how often it is opened, so nothing may stay open. */
	lz_descriptors_close(os);
}

char *const refuse_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_POLICY=refuse", "LAZYZERO_BUDGET=1M",
	"LAZYZERO_BACKING=zeropage", "LAZYZERO_CACHE=0", NULL};
char *const no_log_env[] = {"LAZYZERO_LOG=none", "LAZYZERO_CACHE=0", NULL};

int allocate(size_t size, void **out)
{
	struct lz_request request = {.call = "calloc", .size = size, .caller = __builtin_return_address(0)};

	int error = lz_heap_allocate(&core.heap, &request, 0, out);

	if (error == 0)
		lz_heap_report_allocated(&core.heap, &request, *out);
	return error;
}

int resize(void *p, size_t size, void **out)
{
	struct lz_request request = {.call = "realloc", .size = size, .caller = __builtin_return_address(0)};

	return lz_heap_resize(&core.heap, &request, p, out);
}

uint64_t committed(void)
{
	return lz_ledger_committed(&core.books.ledger);
}

intptr_t map_anonymous(void *at, size_t length, int protection, int flags)
{
	return lz_calls_mmap(&core.calls, at, length, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0, NULL);
}
