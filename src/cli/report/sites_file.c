/* Finds and maps the files of tables of call sites; see sites_file.h. */
#include "cli/report/sites_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/array.h"
#include "sites/sites_file.h"

bool lz_sites_file_is_name(const char *path)
{
	const char *suffix = strrchr(path, '.');

	return suffix != NULL && strcmp(suffix, LZ_SITES_FILE_SUFFIX) == 0;
}

static bool is_valid(const struct lz_site_table *table)
{
	const struct lz_sites_identity *identity = &table->identity;

	return identity->magic == LZ_SITES_FILE_MAGIC && identity->version == LZ_SITES_FILE_VERSION &&
	       identity->bytes == sizeof *table && identity->pid > 0 && identity->pid <= INT_MAX;
}

const struct lz_site_table *lz_sites_file_map(const char *path, int *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct lz_site_table *table = MAP_FAILED;
	struct stat about;

	*error = fd < 0 || fstat(fd, &about) != 0 ? errno : 0;
	if (*error == 0 && S_ISREG(about.st_mode) && about.st_size >= (off_t)sizeof *table) {
		table = mmap(NULL, sizeof *table, PROT_READ, MAP_SHARED, fd, 0);
		*error = table == MAP_FAILED ? errno : 0;
	}
	if (fd >= 0)
		close(fd);
	if (table == MAP_FAILED)
		return NULL;
	if (is_valid(table))
		return table;
	munmap(table, sizeof *table);
	return NULL;
}

void lz_sites_file_unmap(const struct lz_site_table *table)
{
	if (table != NULL)
		munmap((void *)table, sizeof *table);
}

static void add_file(struct lz_sites_files *files, const char *directory, const char *name)
{
	char **paths = lz_array_grow(files->path, files->count, sizeof *paths);
	const struct lz_site_table **tables = lz_array_grow(files->table, files->count, sizeof *tables);
	int error;

	files->path = paths != NULL ? paths : files->path;
	files->table = tables != NULL ? tables : files->table;
	if (paths == NULL || tables == NULL || asprintf(&paths[files->count], "%s/%s", directory, name) < 0)
		return;
	tables[files->count] = lz_sites_file_map(paths[files->count], &error);
	files->count++;
}

void lz_sites_files_map(struct lz_sites_files *files, const char *report)
{
	char directory[PATH_MAX], prefix[NAME_MAX + 2];
	const char *slash = strrchr(report, '/');
	struct dirent **entries = NULL;
	struct stat about;
	int count;

	*files = (struct lz_sites_files){.count = 0};
	if (stat(report, &about) == 0 && S_ISDIR(about.st_mode)) {
		snprintf(directory, sizeof directory, "%s", report);
		snprintf(prefix, sizeof prefix, "lazyzero-report.");
	} else {
		snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - report) + 1 : 1,
			slash != NULL ? report : ".");
		snprintf(prefix, sizeof prefix, "%s.", slash != NULL ? slash + 1 : report);
	}
	count = scandir(directory, &entries, NULL, versionsort);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;

		if (strncmp(name, prefix, strlen(prefix)) == 0 && lz_sites_file_is_name(name))
			add_file(files, directory, name);
		free(entries[i]);
	}
	free(entries);
}

void lz_sites_files_unmap(struct lz_sites_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		lz_sites_file_unmap(files->table[i]);
		free(files->path[i]);
	}
	free(files->path);
	free(files->table);
}
