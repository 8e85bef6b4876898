/*
 * Gives scripts access to the functions of kernel.h.
 *
 *  kernel zero-page WHAT    exits with 0 if reads map the zero page; else prints that WHAT is skipped and
 *                           exits with 1
 *  kernel slow-faults WHAT  exits with 0 if page faults are slow, so that tests which make millions of them
 *                           must be reduced, and prints a line that names WHAT; else exits with 1
 *
 * Without arguments, prints both facts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"

/*
 * A fault takes 0.5 us on real hardware, 1 us under nested paging, and 10 to 25 us in a VM whose page tables
 * are walked in software.
 */
#define SLOW_FAULT_NS 4000u

int main(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "show";

	if (strcmp(action, "slow-faults") == 0 && argc > 2) {
		uint64_t fault = kernel_fault_ns();

		if (fault < SLOW_FAULT_NS)
			return 1;
		printf("reduced: %s: a page fault takes %.1f us here\n", argv[2], (double)fault / 1000);
		return 0;
	}
	if (strcmp(action, "zero-page") == 0 && argc > 2) {
		if (kernel_has_zero_page())
			return 0;
		printf("skipped: %s: this kernel answers reads of untouched memory with memory of its own, "
		       "not the zero page\n",
			argv[2]);
		return 1;
	}
	printf("zero page: %s; a page fault: %" PRIu64 " ns\n", kernel_has_zero_page() ? "yes" : "no",
		kernel_fault_ns());
	return 0;
}
