/*
 * What malloc says of itself, and what huge pages there are, for tunables.sh and as LTP checks it:
 *
 *   told            mallinfo, mallinfo2, malloc_trim and malloc_stats know a large block
 *   told huge BYTES bytes of the calloc'd block that huge pages stand behind when it is full (smaps), and how
 * it looks
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void check(int line, int holds)
{
	if (!holds)
		printf("line %d: wrong\n", line);
}
#define CHECK(condition) check(__LINE__, condition)

/* The flags of smaps (VmFlags) of the mapping that an address is in: "hg" is MADV_HUGEPAGE, "nh" its
 * contrary. */
static void print_advice(const char *p)
{
	char line[512];
	uintptr_t start, end;
	int here = 0;
	FILE *smaps = fopen("/proc/self/smaps", "r");

	while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)p >= start && (uintptr_t)p < end;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			printf("%s\n", strstr(line, " hg") != NULL   ? "huge"
				       : strstr(line, " nh") != NULL ? "never"
								     : "inherit");
	}
	/* What glibc maps has its size before it. */
	printf("%s\n", (uintptr_t)p % 4096 == 0 ? "ours" : "glibc's");
}

static void count(void)
{
	static const size_t sizes[] = {40 * MIB, 64 * MIB, 3000 * MIB};
	struct mallinfo2 before = mallinfo2(), after;
	struct mallinfo old_before = mallinfo(), old_after;
	void *blocks[3];

	for (int i = 0; i < 3; i++)
		blocks[i] = calloc(1, sizes[i]);
	after = mallinfo2();
	old_after = mallinfo();
	CHECK(after.hblks - before.hblks == 3);
	CHECK(after.hblkhd - before.hblkhd >= sizes[0] + sizes[1] + sizes[2]);
	CHECK(after.hblkhd - before.hblkhd < sizes[0] + sizes[1] + sizes[2] + MIB);
	CHECK(old_after.hblks - old_before.hblks == 3);
	/* An int, which wraps. */
	CHECK(old_after.hblkhd == (int)(unsigned)after.hblkhd);
	blocks[0] = realloc(blocks[0], 100 * MIB);
	CHECK(mallinfo2().hblkhd - after.hblkhd >= 60 * MIB && mallinfo2().hblkhd - after.hblkhd < 61 * MIB);
	malloc_stats();
	for (int i = 0; i < 3; i++)
		free(blocks[i]);
	after = mallinfo2();
	CHECK(after.hblks == before.hblks && after.hblkhd == before.hblkhd);
	malloc_trim(0);
	malloc_stats();
	printf("done\n");
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "huge") == 0)
		print_advice(calloc(1, strtoull(argv[2], NULL, 0)));
	else
		count();
	return 0;
}
