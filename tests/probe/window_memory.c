/*
 * The memory use of a zero window.
 *
 *   window-memory gone               the window exists while a range is on it, and no longer
 *   window-memory tight USED TIB THEN   uses USED MiB, allocates and frees TIB TiB, then uses THEN MiB
 *   window-memory loops              prints microseconds per pair of calloc and free, and of mmap and munmap
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
#define LARGE (64 * GIB)

static int failed;

/* Counts mappings of any window's file. */
static unsigned windows(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		count += strstr(line, "lazyzero-window") != NULL;
	if (maps != NULL)
		fclose(maps);
	return count;
}

static void expect(const char *what, bool there)
{
	unsigned count = windows();

	if ((count != 0) == there)
		return;
	printf("%s: %u mappings of a window\n", what, count);
	failed = 1;
}

static char *map(size_t length)
{
	char *p = mmap(NULL, length, RW, ANON, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	p[length / 2] = 1;
	expect("mmap", true);
	return p;
}

static void gone(void)
{
	char *p, *q;

	expect("at first", false);
	for (int round = 0; round < 3; round++) {
		p = map(LARGE);
		munmap(p, LARGE);
		expect("munmap", false);
		p = map(LARGE);
		munmap(p, LARGE / 2);
		expect("munmap of a half", true);
		munmap(p + LARGE / 2, LARGE / 2);
		expect("munmap of the rest", false);
		p = calloc(1, LARGE);
		expect("calloc", true);
		free(p);
		expect("free", false);
		p = map(LARGE);
		if (mmap(p, LARGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) != p)
			failed = 1;
		expect("mmap over it", false);
		munmap(p, LARGE);
		/* Released by a mapping moved over it. */
		p = map(LARGE);
		q = mmap(NULL, LARGE, PROT_NONE, ANON, -1, 0);
		if (mremap(q, LARGE, LARGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) != p)
			failed = 1;
		expect("mremap over it", false);
		munmap(p, LARGE);
		/* Two windows of different sizes at once. */
		p = map(LARGE);
		q = map(8 * LARGE);
		munmap(q, 8 * LARGE);
		expect("the larger of two", true);
		munmap(p, LARGE);
		expect("both of two", false);
		p = realloc(calloc(1, LARGE), LARGE / 2);
		expect("realloc", true);
		free(p);
		expect("free after realloc", false);
	}
	/* A small window stays for a second, so that loops do not create it again. */
	p = map(4 * MIB);
	munmap(p, 4 * MIB);
	usleep(1100000);
	munmap(mmap(NULL, 4096, RW, ANON, -1, 0), 4096);
	expect("a second after the last of a small one", false);
}

static void use(size_t mebibytes)
{
	for (size_t i = 0; i < mebibytes * 16; i++) {
		char *p = malloc(65520);

		if (p == NULL) {
			puts("malloc: NULL");
			exit(3);
		}
		memset(p, 1, 65520);
	}
}

static void tight(size_t used, size_t tebibytes, size_t then)
{
	char *volatile p;

	use(used);
	p = calloc(1, tebibytes << 40);
	printf("request: %s, %s\n", p != NULL ? "served" : "NULL",
		windows() != 0 ? "on a window" : "on no window");
	fflush(stdout);
	free(p);
	use(then);
	puts("done");
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static void loops(void)
{
	static const size_t sizes[] = {2 * MIB, 16 * MIB, 256 * MIB, 4 * GIB, 64 * GIB};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		int rounds = sizes[i] < GIB ? 200 : 20;
		double start = now(), middle, end;

		for (int k = 0; k < rounds; k++) {
			char *volatile p = calloc(1, sizes[i]);

			p[0] = 1;
			free(p);
		}
		middle = now();
		for (int k = 0; k < rounds; k++) {
			char *volatile p = mmap(NULL, sizes[i], RW, ANON, -1, 0);

			p[0] = 1;
			munmap(p, sizes[i]);
		}
		end = now();
		printf("%6zu MiB: calloc and free %.1f us, mmap and munmap %.1f us\n", sizes[i] / MIB,
			(middle - start) / rounds, (end - middle) / rounds);
	}
}

int main(int count, char **arguments)
{
	if (count == 2 && strcmp(arguments[1], "gone") == 0)
		gone();
	else if (count == 2 && strcmp(arguments[1], "loops") == 0)
		loops();
	else if (count == 5)
		tight(strtoul(arguments[2], NULL, 10), strtoul(arguments[3], NULL, 10),
			strtoul(arguments[4], NULL, 10));
	else
		return 2;
	return failed;
}
