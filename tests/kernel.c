/*
 * Asks for the scripts what kernel.h finds out.
 *
 *  kernel zero-page WHAT    0 where reads map the zero page; else 1, and a line says that WHAT is skipped
 *  kernel slow-faults WHAT  0 where tests that make millions of page faults must do less, and a line names
 *                           WHAT; else 1
 *
 * Alone it prints both.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"

/* Between 0.5 us on real hardware, 1 us under nested paging, and 10 to 25 us where a VM's pages are walked in
 * software. */
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
