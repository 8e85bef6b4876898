/* What the examples share; see common.h. */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

bool parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGTPE";
	const char *unit = NULL;
	char *end;

	/* strtoull itself would take a sign and leading space. */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (errno != 0 || *bytes == 0)
		return false;
	if (*end != '\0')
		unit = strchr(units, *end >= 'a' ? *end - ('a' - 'A') : *end);
	if (unit != NULL) {
		int shift = 10 * (int)(unit - units + 1);

		if (*bytes > UINT64_MAX >> shift)
			return false;
		*bytes <<= shift;
		end++;
	}
	return *end == '\0' || strcmp(end, "iB") == 0 || strcmp(end, "B") == 0;
}

const char *format_size(char buffer[SIZE_TEXT], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		value /= 1024;
		unit++;
	}
	/* "100 GiB", but "200.4 MiB"; and "1020 MiB", for the columns of tables. */
	snprintf(buffer, SIZE_TEXT, "%.*f %s", value >= 1000 || value == (double)(uint64_t)value ? 0 : 1,
		value, units[unit]);
	return buffer;
}

uint64_t status_bytes(pid_t pid, const char *field)
{
	char path[40] = "/proc/self/status";
	size_t length = strlen(field);
	uint64_t kib = UNKNOWN;
	char line[256];
	FILE *status;

	if (pid != 0)
		snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	if (status == NULL)
		return UNKNOWN;
	while (kib == UNKNOWN && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, field, length) == 0 && line[length] == ':')
			sscanf(line + length + 1, "%" SCNu64, &kib);
	fclose(status);
	return kib == UNKNOWN ? UNKNOWN : kib * KIB;
}

uint64_t minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void refuse_huge_pages(void *start, uint64_t size)
{
	uint64_t skip = -(uintptr_t)start & (page_bytes() - 1);

	if (size > skip)
		madvise((char *)start + skip, size - skip, MADV_NOHUGEPAGE);
}

void read_every_page(const void *start, uint64_t size)
{
	const volatile char *bytes = start;

	for (uint64_t offset = 0; offset < size; offset += page_bytes())
		(void)bytes[offset];
}
