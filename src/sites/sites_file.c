/* The file of the table of call sites; see sites_file.h. */
#include "sites/sites_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Programs that one process executes in turn, each of which leaves a file. */
#define FILES_MAX 9u

static intptr_t map_private(const struct lz_os *os, void *at, int flags)
{
	return os->mmap(at, LZ_SITES_FILE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

intptr_t lz_sites_table_create(const struct lz_os *os)
{
	return map_private(os, NULL, 0);
}

static int open_new(const struct lz_os *os, struct lz_text *path)
{
	size_t length = path->length;
	int fd = -EEXIST;

	for (unsigned i = 1; fd == -EEXIST && i <= FILES_MAX; i++) {
		path->length = length;
		if (i > 1) {
			lz_text_char(path, '.');
			lz_text_u64(path, i);
		}
		lz_text_string(path, LZ_SITES_FILE_SUFFIX);
		if (path->truncated)
			return -ENAMETOOLONG;
		fd = os->open(path->buffer, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, 0600);
	}
	return fd;
}

static int allocate(const struct lz_os *os, int fd)
{
	uint64_t saved;
	int error = os->block_write_signals(&saved);

	if (error)
		return error;
	error = os->fallocate(fd, LZ_SITES_FILE_BYTES);
	os->restore_write_signals(saved);
	return error;
}

int lz_sites_file_create(const struct lz_os *os, struct lz_site_table *table, struct lz_text *path)
{
	int fd = open_new(os, path), error;
	intptr_t at = 0;

	if (fd < 0)
		return fd;
	error = allocate(os, fd);
	if (error == 0)
		at = os->mmap(
			table, LZ_SITES_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (lz_os_failed(at))
		error = (int)at;
	os->close(fd);
	if (error)
		lz_sites_file_remove(os, path->buffer);
	return error;
}

int lz_sites_file_detach(const struct lz_os *os, struct lz_site_table *table)
{
	intptr_t at = map_private(os, table, MAP_FIXED);

	return lz_os_failed(at) ? (int)at : 0;
}

void lz_sites_file_remove(const struct lz_os *os, const char *path)
{
	os->any_syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
}
