/*
 * libFuzzer's door: what it makes up is read as records. The library is linked in rather than preloaded,
 * since libFuzzer follows what was compiled for it. Its settings are taken from the environment, as always.
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
	/* It keeps what aborts. */
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
