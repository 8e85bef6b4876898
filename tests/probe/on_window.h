/* Whether memory is on a zero window, as /proc/self/maps shows it. */
#ifndef LZ_TESTS_PROBE_ON_WINDOW_H
#define LZ_TESTS_PROBE_ON_WINDOW_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether a part of the `length` bytes at `at` is on a window. */
static inline bool on_window(const char *at, size_t length)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];
	bool found = false;

	while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		found |= sscanf(line, "%lx-%lx", &start, &end) == 2 && start < (unsigned long)at + length &&
			 end > (unsigned long)at && strstr(line, "lazyzero-window") != NULL;
	if (maps != NULL)
		fclose(maps);
	return found;
}

#endif
