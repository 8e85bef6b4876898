/* One measurement for each process; see workload.h. Sums up what the kernel says and prints it as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../examples/common.h"
#include "workload.h"

static struct timespec began;
static uint64_t faults_before, rss_before, tables_before;
static double cpu_before, total; /* total: seconds from measure_start to measure_stop */
static char line[2048] = "{";
static size_t length = 1;

double measure_elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
}

void measure_add(const char *key, double value)
{
	int more = snprintf(
		line + length, sizeof line - length, "%s\"%s\":%.9g", length > 1 ? "," : "", key, value);

	if (more > 0 && length + (size_t)more < sizeof line)
		length += (size_t)more;
	else
		line[length] = '\0';
}

void measure_add_each(uint64_t count)
{
	measure_add("seconds_each", total / (double)count);
}

/* PSS counts a page that is mapped many times once: what the window really costs, and RSS does not tell. */
static uint64_t proportional_bytes(void)
{
	FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
	uint64_t kib = UNKNOWN;
	char text[256];

	while (rollup != NULL && kib == UNKNOWN && fgets(text, sizeof text, rollup) != NULL)
		sscanf(text, "Pss: %" SCNu64, &kib);
	if (rollup != NULL)
		fclose(rollup);
	return kib == UNKNOWN ? UNKNOWN : kib * KIB;
}

/* Of user and system, all threads: unlike the clock, it does not run while others have the processor. */
static double cpu_seconds(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void add_bytes(const char *key, uint64_t bytes)
{
	if (bytes != UNKNOWN)
		measure_add(key, (double)bytes);
}

static void add_growth(const char *key, uint64_t after, uint64_t before)
{
	if (after != UNKNOWN && before != UNKNOWN)
		measure_add(key, after > before ? (double)(after - before) : 0);
}

void measure_start(void)
{
	(void)proportional_bytes(); /* the first reading itself takes memory */
	rss_before = status_bytes(0, "VmRSS");
	tables_before = status_bytes(0, "VmPTE");
	faults_before = minor_faults();
	cpu_before = cpu_seconds();
	clock_gettime(CLOCK_MONOTONIC, &began);
}

void measure_stop(void)
{
	double seconds = measure_elapsed(), cpu = cpu_seconds();
	uint64_t faults = minor_faults(), rss = status_bytes(0, "VmRSS"), tables = status_bytes(0, "VmPTE");

	total = seconds;
	measure_add("seconds", seconds);
	measure_add("cpu", cpu - cpu_before);
	measure_add("faults", (double)(faults - faults_before));
	add_growth("rss_growth", rss, rss_before);
	add_growth("tables_growth", tables, tables_before);
	add_bytes("tables", tables);
	add_bytes("rss_peak", status_bytes(0, "VmHWM"));
	add_bytes("pss", proportional_bytes());
}

void measure_print(void)
{
	printf("%s}\n", line);
}

_Noreturn void measure_refused(const char *what)
{
	printf("{\"refused\":\"%s\"}\n", what);
	exit(0);
}
