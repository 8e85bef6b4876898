/*
 * Tells the scripts what this kernel can do: the facts of src/os/facts.h, and what kernel.h finds out.
 *
 *  kernel fact ID           0 where the kernel has it, 1 where it lacks it, 2 where the try failed
 *  kernel facts             all of them, one a line: ID, yes, unsupported or failed
 *  kernel zero-page WHAT    0 where reads map the zero page; else 1, and a line says that WHAT is skipped
 *  kernel slow-faults WHAT  0 where tests that make millions of page faults must do less, and a line names
 *                           WHAT; else 1
 *
 * Alone it prints all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "os/facts.h"

/* Between 0.5 us on real hardware, 1 us under nested paging, and 10 to 25 us where a VM's pages are walked in
 * software. */
#define SLOW_FAULT_NS 4000u

static const char *const states[] = {[LZ_FACT_UNKNOWN] = "unknown",
	[LZ_FACT_YES] = "yes",
	[LZ_FACT_UNSUPPORTED] = "unsupported",
	[LZ_FACT_FAILED] = "failed"};

static int tell(const char *id)
{
	for (int i = 0; i < LZ_FACTS; i++) {
		enum lz_fact_state state;

		if (strcmp(lz_facts[i].id, id) != 0)
			continue;
		state = lz_fact(&lz_os_linux, (enum lz_fact)i);
		if (state == LZ_FACT_FAILED)
			fprintf(stderr, "%s: %s\n", id, strerror(-lz_fact_error((enum lz_fact)i)));
		return state == LZ_FACT_YES ? 0 : state == LZ_FACT_UNSUPPORTED ? 1 : 2;
	}
	fprintf(stderr, "kernel: no fact \"%s\"; \"kernel facts\" lists them\n", id);
	return 2;
}

static void list(void)
{
	for (int i = 0; i < LZ_FACTS; i++)
		printf("%s %s\n", lz_facts[i].id, states[lz_fact(&lz_os_linux, (enum lz_fact)i)]);
}

int main(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "show";

	if (strcmp(action, "fact") == 0 && argc > 2)
		return tell(argv[2]);
	if (strcmp(action, "facts") == 0) {
		list();
		return 0;
	}
	if (strcmp(action, "slow-faults") == 0 && argc > 2) {
		uint64_t fault = kernel_fault_ns();

		if (fault < SLOW_FAULT_NS)
			return 1;
		printf("reduced: %s: a page fault takes %.1f us here\n", argv[2], (double)fault / 1000);
		return 0;
	}
	if (strcmp(action, "zero-page") == 0 && argc > 2) {
		if (lz_fact(&lz_os_linux, LZ_FACT_ZERO_PAGE) != LZ_FACT_UNSUPPORTED)
			return 0;
		printf("skipped: %s: this kernel answers reads of untouched memory with memory of its own, "
		       "not the zero page\n",
			argv[2]);
		return 1;
	}
	list();
	printf("a page fault: %" PRIu64 " ns\n", kernel_fault_ns());
	return 0;
}
