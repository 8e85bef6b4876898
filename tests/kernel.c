/*
 * Gives scripts access to the facts of src/os/facts.h and the functions of kernel.h.
 *
 *  kernel fact ID           exits with 0 if the kernel has the feature, 1 if it lacks it, 2 if the try failed
 *  kernel facts             prints all facts, one in a line: ID, then yes, unsupported or failed
 *  kernel zero-page WHAT    exits with 0 if reads map the zero page; else prints that WHAT is skipped and
 *                           exits with 1
 *  kernel slow-faults WHAT  exits with 0 if page faults are slow, so that tests which make millions of them
 *                           must be reduced, and prints a line that names WHAT; else exits with 1
 *
 * Without arguments, prints all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "os/facts.h"

/*
 * A fault takes 0.5 us on real hardware, 1 us under nested paging, and 10 to 25 us in a VM whose page tables
 * are walked in software.
 */
#define SLOW_FAULT_NS 4000u

static const char *const states[] = {[LZ_FACT_UNKNOWN] = "unknown",
	[LZ_FACT_YES] = "yes",
	[LZ_FACT_UNSUPPORTED] = "unsupported",
	[LZ_FACT_FAILED] = "failed"};

static int print_fact(const char *id)
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

static void print_facts(void)
{
	for (int i = 0; i < LZ_FACTS; i++)
		printf("%s %s\n", lz_facts[i].id, states[lz_fact(&lz_os_linux, (enum lz_fact)i)]);
}

int main(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "show";

	if (strcmp(action, "fact") == 0 && argc > 2)
		return print_fact(argv[2]);
	if (strcmp(action, "facts") == 0) {
		print_facts();
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
	print_facts();
	printf("a page fault: %" PRIu64 " ns\n", kernel_fault_ns());
	return 0;
}
