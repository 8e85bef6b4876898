/* The PROCMAP_QUERY ioctl; see vma.h. */
#include "os/vma.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "os/descriptors.h"
#include "os/facts.h"
#include "os/scratch.h"

/*
 * Copied from include/uapi/linux/fs.h of Linux 6.11 under names of our own: older headers lack it, newer ones
 * define it.
 */
struct vma_query {
	uint64_t size, flags, address, start, end, vma_flags, page_size, offset, inode;
	uint32_t device_major, device_minor, name_size, build_id_size;
	uint64_t name, build_id;
};

#define QUERY_REQUEST _IOWR('f', 17, struct vma_query)
#define VMA_IS_READABLE 1u
#define VMA_IS_WRITABLE 2u
#define VMA_IS_EXECUTABLE 4u
#define VMA_IS_SHARED 8u

int lz_vma_begin(struct lz_vma_queries *queries, const struct lz_os *os)
{
	int error = -ENOTTY;

	queries->query = NULL;
	if (lz_fact_known(LZ_FACT_PROCMAP_QUERY) != LZ_FACT_UNSUPPORTED)
		error = lz_file_open(&queries->file, os, LZ_MAPS, false);
	if (error != 0)
		return error;
	queries->query = lz_scratch_take(os);
	if (queries->query != NULL)
		return 0;
	lz_file_close(&queries->file);
	return -ENOMEM;
}

int lz_vma_query_next(
	struct lz_vma_queries *queries, uintptr_t address, struct lz_vma *vma, char *name, size_t size)
{
	struct vma_query *query = queries->query;
	int error;

	/*
	 * Without a flag, the mapping must contain the address. The kernel rejects a name without a size, and
	 * a size without a name, with EINVAL.
	 */
	*query = (struct vma_query){.size = sizeof *query,
		.address = address,
		.name = size != 0 ? (uintptr_t)name : 0,
		.name_size = (uint32_t)size};
	error = queries->file.os->ioctl(queries->file.fd, QUERY_REQUEST, query);
	/* ENOENT is an answer: nothing is mapped there. */
	lz_fact_learn(LZ_FACT_PROCMAP_QUERY, error > 0 || error == -ENOENT ? 0 : error);
	if (error != 0)
		return error > 0 ? -EIO : error;
	if (size != 0 && query->name_size == 0)
		name[0] = '\0';
	*vma = (struct lz_vma){
		.start = query->start,
		.end = query->end,
		.offset = query->offset,
		.device = (uint64_t)query->device_major << 32 | query->device_minor,
		.inode = query->inode,
		.page_size = query->page_size,
		.readable = (query->vma_flags & VMA_IS_READABLE) != 0,
		.writable = (query->vma_flags & VMA_IS_WRITABLE) != 0,
		.executable = (query->vma_flags & VMA_IS_EXECUTABLE) != 0,
		.shared = (query->vma_flags & VMA_IS_SHARED) != 0,
	};
	return 0;
}

void lz_vma_end(struct lz_vma_queries *queries)
{
	if (queries->query == NULL)
		return;
	lz_scratch_release(queries->file.os, queries->query);
	lz_file_close(&queries->file);
}

int lz_vma_query_named(const struct lz_os *os, uintptr_t address, struct lz_vma *vma, char *name, size_t size)
{
	struct lz_vma_queries queries;
	int error = lz_vma_begin(&queries, os);

	if (error == 0)
		error = lz_vma_query_next(&queries, address, vma, name, size);
	lz_vma_end(&queries);
	return error;
}

int lz_vma_query(const struct lz_os *os, uintptr_t address, struct lz_vma *vma)
{
	return lz_vma_query_named(os, address, vma, NULL, 0);
}

int lz_vma_page_size_of(const struct lz_os *os, int fd, uint64_t address, uint64_t *page_size)
{
	struct vma_query query = {.size = sizeof query, .address = address};
	int error = os->ioctl(fd, QUERY_REQUEST, &query);

	if (error == 0)
		*page_size = query.page_size;
	return error;
}
