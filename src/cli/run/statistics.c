/* Statistics files: their place, and their sum; see tally.h. */
#include "cli/run/statistics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/common/command.h"
#include "cli/process/process.h"
#include "cli/process/stats_file.h"
#include "support/options.h"

#define FILE_PREFIX "lazyzero."

/* What had to be left out: the first by name, the rest by number. */
struct left_out {
	unsigned count;
	char name[64];
	const char *reason;
};

/* Now, as /proc/PID/stat counts the start of processes. */
static uint64_t ticks_after_boot(void)
{
	uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec * per_second / 1000000000u;
}

/* The PID namespace: a process ID means something within it alone, and /tmp may be shared by several. */
static uint64_t pid_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/*
 * Removes a private directory whose command is no more (it was killed), with the files of processes that are
 * no more. Its name tells whose it is: lazyzero.NAMESPACE.PID.START.RANDOM.
 */
static void sweep_directory(int parent, const char *name)
{
	uint64_t of[3]; /* namespace, pid, start time */
	const char *cursor = name + strlen(FILE_PREFIX);
	struct stat status;
	char path[64];
	int fd;

	for (int i = 0; i < 3; i++)
		if (lz_scan_u64(&cursor, &of[i]) != 0 || *cursor++ != '.')
			return;
	if (of[0] != pid_namespace() || of[0] == 0 || of[1] > INT32_MAX ||
		lz_process_start_time("", (pid_t)of[1]) == of[2])
		return;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
		lz_wire_each(path, true, NULL, NULL) == 0)
		unlinkat(parent, name, AT_REMOVEDIR); /* fails while a process of it lives */
	close(fd);
}

static void sweep(const char *parent)
{
	DIR *directory = opendir(parent);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
			sweep_directory(dirfd(directory), entry->d_name);
	if (directory != NULL)
		closedir(directory);
}

static bool make_private(struct lz_stats_place *place, const char *parent)
{
	/* LAZYZERO_STATS takes that much and no more. */
	if (parent == NULL || *parent != '/' ||
		snprintf(place->path, LZ_OPTION_TEXT_MAX - 1,
			"%s/" FILE_PREFIX "%" PRIu64 ".%ld.%" PRIu64 ".XXXXXX", parent, pid_namespace(),
			(long)getpid(), lz_process_start_time("", getpid())) >= (int)LZ_OPTION_TEXT_MAX - 1 ||
		mkdtemp(place->path) == NULL)
		return false;
	sweep(parent);
	place->is_private = true;
	/*
	 * The slash says that it is a directory also when it is gone: a process that outlives the run must
	 * not leave a file of that name.
	 */
	strcat(place->path, "/");
	return true;
}

void lz_stats_place_prepare(struct lz_stats_place *place, const char *given)
{
	char directory[PATH_MAX] = "";

	*place = (struct lz_stats_place){.since = ticks_after_boot()};
	if (given == NULL) {
		if (make_private(place, getenv("XDG_RUNTIME_DIR")) || make_private(place, getenv("TMPDIR")) ||
			make_private(place, "/tmp"))
			return;
		lz_warn("cannot make a directory for statistics in XDG_RUNTIME_DIR, TMPDIR or /tmp: %s",
			strerror(errno));
		place->path[0] = '\0';
		return;
	}
	/* Absolute, since the program may change its directory before it runs others. */
	if (*given != '/' && getcwd(directory, sizeof directory) == NULL)
		directory[0] = '\0';
	if (snprintf(place->path, LZ_OPTION_TEXT_MAX, "%s%s%s", directory, directory[0] != '\0' ? "/" : "",
		    given) >= (int)LZ_OPTION_TEXT_MAX) {
		lz_warn("the path for --stats is too long in this directory; there will be no statistics");
		place->path[0] = '\0';
	}
}

void lz_stats_place_remove(const struct lz_stats_place *place)
{
	struct dirent *entry;
	DIR *directory;

	if (!place->is_private)
		return;
	directory = opendir(place->path);
	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory != NULL)
		closedir(directory);
	rmdir(place->path);
}

static void add(uint64_t *sum, uint64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

/* UINT64_MAX stands for what was never known. */
static void raise_to(uint64_t *peak, uint64_t value)
{
	if (value != UINT64_MAX)
		*peak = lz_max_u64(*peak, value);
}

static void count(struct lz_tally *tally, const struct lz_wire *wire)
{
	tally->processes++;
	if (wire->budget < tally->budget) {
		tally->budget = wire->budget;
		memcpy(tally->budget_source, wire->budget_source, sizeof wire->budget_source);
	}
	raise_to(&tally->committed_peak, wire->committed_peak);
	raise_to(&tally->actual_peak, wire->actual_peak);
	add(&tally->regions, wire->regions_total);
	add(&tally->region_bytes, wire->region_bytes_total);
	add(&tally->mappings, wire->mappings_total);
	add(&tally->mapping_bytes, wire->mapping_bytes_total);
	add(&tally->over_budget, wire->over_budget);
	add(&tally->refused, wire->refused);
	add(&tally->untracked, wire->untracked);
	add(&tally->windowed, wire->windowed);
	add(&tally->window_regions, wire->window_regions_total);
	add(&tally->window_bytes, wire->window_bytes_total);
	raise_to(&tally->window_size, wire->window_size);
	raise_to(&tally->window_resident_peak, wire->window_resident_peak);
}

/* What one reading of a place gathers. */
struct reading {
	struct lz_tally *tally;
	const struct lz_stats_place *place;
	struct left_out left_out;
};

static void take(void *context, const char *name, const struct lz_wire *wire, const char *error)
{
	struct reading *reading = context;
	struct left_out *left_out = &reading->left_out;

	if (wire == NULL) {
		if (left_out->count++ == 0) {
			snprintf(left_out->name, sizeof left_out->name, "%.63s", name);
			left_out->reason = error;
		}
	} else if (reading->place->is_private || wire->start_time == 0 ||
		   wire->start_time >= reading->place->since) {
		/* Without /proc a process does not know when it started. */
		count(reading->tally, wire);
	}
}

void lz_tally_read(struct lz_tally *tally, const struct lz_stats_place *place)
{
	struct reading reading = {.tally = tally, .place = place};
	struct left_out *left_out = &reading.left_out;
	int error;

	*tally = (struct lz_tally){.budget = UINT64_MAX};
	if (place->path[0] == '\0')
		return;
	error = lz_wire_each(place->path, false, take, &reading);
	if (error != 0 && error != -ENOENT)
		take(&reading, place->path, NULL, strerror(-error));
	if (left_out->count == 1)
		lz_warn("left out of the summary: %s: %s", lz_shown(left_out->name).text, left_out->reason);
	else if (left_out->count > 1)
		lz_warn("left out of the summary: %s: %s; and %u more files", lz_shown(left_out->name).text,
			left_out->reason, left_out->count - 1);
}
