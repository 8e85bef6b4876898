/* Reads statistics files; see stats_file.h. */
#include "cli/process/stats_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/process/proc_stat.h"

bool lz_stats_file_is_name(const char *name)
{
	uint64_t pid;

	return strncmp(name, LZ_STATS_FILE_PREFIX, strlen(LZ_STATS_FILE_PREFIX)) == 0 &&
	       lz_parse_u64(name + strlen(LZ_STATS_FILE_PREFIX), &pid) == 0;
}

/* Returns NULL, or why the contents cannot be used. Terminates the texts. */
static const char *check(struct lz_wire *wire)
{
	if (memcmp(wire->magic, LZ_WIRE_MAGIC, sizeof wire->magic) != 0)
		return "it is not a statistics file";
	if (wire->version != LZ_WIRE_VERSION)
		return "its layout has another version";
	if (wire->size < sizeof *wire || wire->size > LZ_WIRE_FILE_BYTES)
		return "its layout has another size";
	wire->executable[sizeof wire->executable - 1] = '\0';
	wire->budget_source[sizeof wire->budget_source - 1] = '\0';
	return NULL;
}

static const char *read_descriptor(int fd, struct lz_wire *wire)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return "it is not a regular file";
	if (pread(fd, wire, sizeof *wire, 0) != (ssize_t)sizeof *wire)
		return "it is too short";
	return check(wire);
}

const char *lz_stats_file_read(int directory, const char *name, struct lz_wire *wire)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	const char *reason;

	if (fd < 0)
		return strerror(errno);
	reason = read_descriptor(fd, wire);
	close(fd);
	return reason;
}

int lz_stats_page_read(pid_t pid, uint64_t address, struct lz_wire *wire)
{
	struct iovec to = {wire, sizeof *wire}, from = {(void *)(uintptr_t)address, sizeof *wire};

	if (process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)sizeof *wire)
		return errno == EFAULT ? -EINVAL : -errno;
	return check(wire) == NULL ? 0 : -EINVAL;
}

void lz_stats_page_of_child(struct lz_wire *wire, uint64_t pid)
{
	struct lz_wire parent = *wire;

	lz_stats_unknown(wire, pid, parent.executable);
	memset(&wire->regions_total, 0,
		offsetof(struct lz_wire, executable) - offsetof(struct lz_wire, regions_total));
	memset(&wire->windowed, 0, sizeof *wire - offsetof(struct lz_wire, windowed));
	wire->budget = parent.budget;
	memcpy(wire->budget_source, parent.budget_source, sizeof parent.budget_source);
	wire->committed = wire->committed_peak = parent.committed;
	wire->regions = parent.regions;
	wire->region_bytes = parent.region_bytes;
	wire->window_size = parent.window_size;
	wire->window_mappings = parent.window_mappings;
	wire->window_regions = parent.window_regions;
	wire->window_region_bytes = parent.window_region_bytes;
}

void lz_stats_unknown(struct lz_wire *wire, uint64_t pid, const char *executable)
{
	memset(wire, 0xff, sizeof *wire);
	wire->pid = pid;
	wire->state = LZ_WIRE_RUNNING;
	wire->budget_source[0] = '\0';
	snprintf(wire->executable, sizeof wire->executable, "%s", executable);
}

enum lz_stats_owner lz_stats_owner(const struct lz_wire *wire)
{
	struct lz_proc_stat stat;

	if (wire->state == LZ_WIRE_EXITED)
		return LZ_STATS_OWNER_EXITED;
	if (wire->pid == 0 || wire->pid > INT32_MAX)
		return LZ_STATS_OWNER_DEAD;
	if (kill((pid_t)wire->pid, 0) != 0 && errno == ESRCH)
		return LZ_STATS_OWNER_DEAD;
	/* There is a process of that pid. Unless /proc shows that it is another one, it is the owner. */
	if (lz_proc_stat_read("", (pid_t)wire->pid, &stat) != 0)
		return LZ_STATS_OWNER_ALIVE;
	if (stat.state == 'Z' || stat.state == 'X')
		return LZ_STATS_OWNER_DEAD;
	return stat.start_time == wire->start_time || wire->start_time == 0 ? LZ_STATS_OWNER_ALIVE
									    : LZ_STATS_OWNER_DEAD;
}

int lz_stats_file_each(const char *path, bool remove_stale, lz_stats_file_visit *visit, void *context)
{
	DIR *directory = opendir(path);
	int at = directory != NULL ? dirfd(directory) : AT_FDCWD;
	struct dirent *entry = NULL;

	if (directory == NULL && errno != ENOTDIR)
		return -errno;
	while (directory == NULL || (entry = readdir(directory)) != NULL) {
		const char *name = entry != NULL ? entry->d_name : path;
		struct lz_wire wire = {.pid = 0};
		const char *error;

		if (entry != NULL && !lz_stats_file_is_name(name))
			continue;
		errno = 0;
		error = lz_stats_file_read(at, name, &wire);
		if (error != NULL && errno == ENOENT)
			continue;
		if (visit != NULL)
			visit(context, name, error == NULL ? &wire : NULL, error);
		/* Read again before removal: a new process with that pid may have replaced the file. */
		if (remove_stale && error == NULL && lz_stats_owner(&wire) != LZ_STATS_OWNER_ALIVE &&
			lz_stats_file_read(at, name, &wire) == NULL &&
			lz_stats_owner(&wire) != LZ_STATS_OWNER_ALIVE)
			unlinkat(at, name, 0);
		if (directory == NULL)
			break;
	}
	if (directory != NULL)
		closedir(directory);
	return 0;
}
