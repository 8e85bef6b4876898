/*
 * The entry point for libFuzzer; its inputs are read as records. The library is linked in instead of
 * preloaded, because libFuzzer traces code that was compiled for it. Settings come from the environment, as
 * always.
 */
#include "fuzz.h"

#include <stdlib.h>

#define RECORDS_AT_MOST 2000

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	(void)count;
	(void)arguments;
	/* libFuzzer keeps inputs that abort. */
	return setenv("FUZZ_ABORT", "1", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct progress progress;
	size_t count = length / sizeof(struct record);

	run_records((const struct record *)bytes, count < RECORDS_AT_MOST ? count : RECORDS_AT_MOST, 1,
		&progress, false);
	return 0;
}
