/* Makes and removes the directory; see location.h. */
#include "cli/run/location.h"

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

#include "base/parse.h"
#include "cli/common/messages.h"
#include "cli/process/proc_stat.h"
#include "cli/process/stats_file.h"
#include "support/options.h"

/* The current time in the unit of the start time in /proc/PID/stat. */
static uint64_t ticks_after_boot(void)
{
	uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec * per_second / 1000000000u;
}

/*
 * The inode of the PID namespace; 0 if unknown. /tmp may be shared by several namespaces, each with its own
 * pids.
 */
static uint64_t pid_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/*
 * Removes a private directory that a killed command has left behind, with the files of processes that are
 * gone. The name of the directory identifies the command: lazyzero.NAMESPACE.PID.START.RANDOM.
 */
static void remove_stale_directory(int parent, const char *name)
{
	uint64_t id[3]; /* namespace, pid, start time */
	const char *cursor = name + strlen(LZ_STATS_FILE_PREFIX);
	struct stat status;
	char path[64];
	int fd;

	for (int i = 0; i < 3; i++)
		if (lz_scan_u64(&cursor, &id[i]) != 0 || *cursor++ != '.')
			return;
	if (id[0] != pid_namespace() || id[0] == 0 || id[1] > INT32_MAX ||
		lz_process_start_time("", (pid_t)id[1]) == id[2])
		return;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
		lz_stats_file_each(path, true, NULL, NULL) == 0)
		unlinkat(parent, name, AT_REMOVEDIR); /* fails while files of living processes remain */
	close(fd);
}

static void remove_stale_directories(const char *parent)
{
	DIR *directory = opendir(parent);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (strncmp(entry->d_name, LZ_STATS_FILE_PREFIX, strlen(LZ_STATS_FILE_PREFIX)) == 0)
			remove_stale_directory(dirfd(directory), entry->d_name);
	if (directory != NULL)
		closedir(directory);
}

static bool make_private(struct lz_stats_location *location, const char *parent)
{
	/* The limit on the length of LAZYZERO_STATS. */
	if (parent == NULL || *parent != '/' ||
		snprintf(location->path, LZ_OPTION_TEXT_MAX - 1,
			"%s/" LZ_STATS_FILE_PREFIX "%" PRIu64 ".%ld.%" PRIu64 ".XXXXXX", parent,
			pid_namespace(), (long)getpid(),
			lz_process_start_time("", getpid())) >= (int)LZ_OPTION_TEXT_MAX - 1 ||
		mkdtemp(location->path) == NULL)
		return false;
	remove_stale_directories(parent);
	location->is_private = true;
	/*
	 * The trailing slash marks the path as a directory: a process that outlives the run must not create a
	 * file of that name once the directory is gone.
	 */
	strcat(location->path, "/");
	return true;
}

void lz_stats_location_prepare(struct lz_stats_location *location, const char *given)
{
	char directory[PATH_MAX] = "";

	*location = (struct lz_stats_location){.started_after = ticks_after_boot()};
	if (given == NULL) {
		if (make_private(location, getenv("XDG_RUNTIME_DIR")) ||
			make_private(location, getenv("TMPDIR")) || make_private(location, "/tmp"))
			return;
		lz_warning("cannot make a directory for statistics in XDG_RUNTIME_DIR, TMPDIR or /tmp: %s",
			strerror(errno));
		location->path[0] = '\0';
		return;
	}
	/* Absolute, since the program may change its directory before it executes others. */
	if (*given != '/' && getcwd(directory, sizeof directory) == NULL)
		directory[0] = '\0';
	if (snprintf(location->path, LZ_OPTION_TEXT_MAX, "%s%s%s", directory, directory[0] != '\0' ? "/" : "",
		    given) >= (int)LZ_OPTION_TEXT_MAX) {
		lz_warning(
			"the path for --stats is too long in this directory; no statistics will be written");
		location->path[0] = '\0';
	}
}

void lz_stats_location_remove(const struct lz_stats_location *location)
{
	struct dirent *entry;
	DIR *directory;

	if (!location->is_private)
		return;
	directory = opendir(location->path);
	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (strncmp(entry->d_name, LZ_STATS_FILE_PREFIX, strlen(LZ_STATS_FILE_PREFIX)) == 0)
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory != NULL)
		closedir(directory);
	rmdir(location->path);
}
