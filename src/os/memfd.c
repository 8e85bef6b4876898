/* Creates memory files; see memfd.h. */
#include "os/memfd.h"

#include <errno.h>

#include "os/descriptors.h"

int lz_memfd_create_high(const struct lz_os *os, const char *name)
{
	int low = os->memfd_create(name), fd;
	struct lz_file_id id, now;

	if (low < 0)
		return low;
	fd = lz_descriptors_dup_high(os, low);
	if (fd < 0)
		return low; /* no high number is free */
	if (os->identify(fd, &id) != 0 || id.size != 0 || os->get_seals(fd) < 0) {
		os->close(fd);
		return -EAGAIN;
	}
	if (os->identify(low, &now) == 0 && now.device == id.device && now.inode == id.inode)
		os->close(low);
	return fd;
}
