/* The os table for tests; see fake_os.h. */
#include "fake_os.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct fake_state fake;

static struct lz_os table;

static bool fails(enum fake_call call)
{
	unsigned n = ++fake.calls[call];

	return n == fake.fail_at[call] || (fake.fail_from[call] != 0 && n >= fake.fail_from[call]);
}

static intptr_t fake_mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
{
	intptr_t at = fails(FAKE_MMAP) ? fake.error
				       : lz_os_linux.mmap(address, length, protection, flags, fd, offset);

	if (!lz_os_failed(at))
		fake.mapped += length;
	return at;
}

static int fake_munmap(void *address, size_t length)
{
	int error = fails(FAKE_MUNMAP) ? fake.error : lz_os_linux.munmap(address, length);

	if (error == 0)
		fake.unmapped += length;
	return error;
}

static intptr_t fake_mremap(void *address, size_t old_length, size_t new_length, int flags, void *target)
{
	return fails(FAKE_MREMAP) ? fake.error
				  : lz_os_linux.mremap(address, old_length, new_length, flags, target);
}

static int fake_mprotect(void *address, size_t length, int protection)
{
	return fails(FAKE_MPROTECT) ? fake.error : lz_os_linux.mprotect(address, length, protection);
}

static int fake_madvise(void *address, size_t length, int advice)
{
	fake.last_advice = advice;
	return fails(FAKE_MADVISE) ? fake.error : lz_os_linux.madvise(address, length, advice);
}

/* Returns a descriptor from which the content can be read. */
static int open_content(const char *content)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, content, strlen(content)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int fake_open(const char *path, int flags, unsigned mode)
{
	fake.pagemaps += strstr(path, "pagemap") != NULL;
	if (fails(FAKE_OPEN))
		return fake.error;
	for (const struct fake_file *file = fake.files; file != NULL && file->path != NULL; file++)
		if (strcmp(file->path, path) == 0)
			return file->content == NULL ? -ENOENT : open_content(file->content);
	return lz_os_linux.open(path, flags, mode);
}

static ssize_t fake_read(int fd, void *buffer, size_t length)
{
	return fails(FAKE_READ) ? fake.error : lz_os_linux.read(fd, buffer, length);
}

static ssize_t fake_pread(int fd, void *buffer, size_t length, int64_t offset)
{
	return fails(FAKE_READ) ? fake.error : lz_os_linux.pread(fd, buffer, length, offset);
}

static int fake_duplicate(int fd, int lowest)
{
	return fails(FAKE_DUPLICATE) ? fake.error : lz_os_linux.duplicate(fd, lowest);
}

static int fake_rlimit(int resource, uint64_t *bytes)
{
	if (resource != RLIMIT_NOFILE || fake.descriptor_limit == 0)
		return lz_os_linux.rlimit(resource, bytes);
	*bytes = fake.descriptor_limit;
	return 0;
}

static ssize_t fake_write(int fd, const void *bytes, size_t length)
{
	if (fails(FAKE_WRITE))
		return fake.error;
	if (fd != STDERR_FILENO)
		return lz_os_linux.write(fd, bytes, length);
	if (length > sizeof fake.written - 1 - fake.written_length)
		return -ENOSPC;
	memcpy(fake.written + fake.written_length, bytes, length);
	fake.written_length += length;
	fake.written[fake.written_length] = '\0';
	return (ssize_t)length;
}

/* Descriptor 2 counts as writable, whatever the test was started with. */
static int fake_poll_writable(int fd)
{
	return fd == STDERR_FILENO ? 1 : lz_os_linux.poll_writable(fd);
}

static int fake_block_signals(uint64_t *saved)
{
	return fails(FAKE_BLOCK_SIGNALS) ? fake.error : lz_os_linux.block_signals(saved);
}

static uint64_t fake_now_ms(void)
{
	return fake.now_ms != 0 ? fake.now_ms : lz_os_linux.now_ms();
}

static int fake_thp_disabled(void)
{
	return fake.thp_disabled ? 1 : lz_os_linux.thp_disabled();
}

const struct lz_os *fake_os(void)
{
	memset(&fake, 0, sizeof fake);
	fake.error = -ENOMEM;
	table = lz_os_linux;
	table.mmap = fake_mmap;
	table.munmap = fake_munmap;
	table.mremap = fake_mremap;
	table.mprotect = fake_mprotect;
	table.madvise = fake_madvise;
	table.open = fake_open;
	table.read = fake_read;
	table.pread = fake_pread;
	table.duplicate = fake_duplicate;
	table.rlimit = fake_rlimit;
	table.write = fake_write;
	table.poll_writable = fake_poll_writable;
	table.block_signals = fake_block_signals;
	table.now_ms = fake_now_ms;
	table.thp_disabled = fake_thp_disabled;
	return &table;
}
