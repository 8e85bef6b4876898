/*
 * os/descriptors.c, os/scratch.c, os/vma.c: persistent descriptors, scratch buffers, and mappings by address.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_os.h"
#include "os/descriptors.h"
#include "os/fork_state.h"
#include "os/procfs.h"
#include "os/scratch.h"
#include "os/vma.h"

static const struct lz_os *os;

static void start(void)
{
	os = fake_os();
	lz_descriptors_open(os);
}

static unsigned count_open(int first, int end)
{
	unsigned count = 0;

	for (int fd = first; fd < end; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Returns the persistent descriptor that serves a path now, or -1. */
static int persistent_fd(const char *path)
{
	struct lz_file file;
	int fd = -1;

	cr_assert_eq(lz_file_open(&file, os, path, false), 0);
	if (lz_file_is_persistent(&file))
		fd = file.fd;
	lz_file_close(&file);
	return fd;
}

static bool status_is_readable(void)
{
	uint64_t bytes = 0;

	return lz_proc_value(os, LZ_STATUS, "VmPTE:", &bytes) == 0 && bytes > 0;
}

Test(descriptors, have_the_highest_numbers_and_close_on_exec)
{
	unsigned low = count_open(0, 512);

	start();
	for (int i = 0; i < 3; i++) {
		int fd = persistent_fd((const char *[]){LZ_PAGEMAP, LZ_MAPS, LZ_STATUS}[i]);

		cr_expect_geq(fd, 960, "%d", fd);
		cr_expect_lt(fd, 1024);
		cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	cr_expect_eq(count_open(0, 512), low);
	cr_expect(status_is_readable());
	/* A second call does nothing. */
	unsigned calls = fake.calls[FAKE_DUPLICATE];

	lz_descriptors_open(os);
	cr_expect_eq(fake.calls[FAKE_DUPLICATE], calls);
	cr_expect_eq(persistent_fd("/proc/version"), -1);
	lz_descriptors_close(os);
	cr_expect_eq(persistent_fd(LZ_MAPS), -1);
	cr_expect(status_is_readable());
	cr_expect_eq(count_open(0, 512), low);
}

Test(descriptors, never_replace_a_number_in_use)
{
	int program_fd = fcntl(1, F_DUPFD, 1023);
	struct lz_file_id before, after;

	os = fake_os();
	os->identify(program_fd, &before);
	lz_descriptors_open(os);
	os->identify(program_fd, &after);
	cr_expect_eq(before.inode, after.inode);
	cr_expect_lt(persistent_fd(LZ_PAGEMAP), 1023);
	cr_expect_gt(persistent_fd(LZ_PAGEMAP), 1000);
}

Test(descriptors, none_is_kept_if_the_limit_is_below_64)
{
	unsigned all = count_open(0, 1024);

	os = fake_os();
	fake.descriptor_limit = 63;
	lz_descriptors_open(os);
	cr_expect_eq(persistent_fd(LZ_MAPS), -1);
	cr_expect_eq(count_open(0, 1024), all);
	cr_expect(status_is_readable());
	cr_expect_eq(lz_descriptors_set_cgroup_usage(os, "/proc/version"), -EMFILE);
}

Test(descriptors, stay_below_a_small_limit)
{
	os = fake_os();
	fake.descriptor_limit = 64;
	lz_descriptors_open(os);
	cr_expect_geq(persistent_fd(LZ_MAPS), 32);
	cr_expect_lt(persistent_fd(LZ_MAPS), 64);
}

Test(descriptors, reopened_after_the_program_closed_them)
{
	int fd;

	start();
	fd = persistent_fd(LZ_STATUS);
	close(fd);
	cr_expect(status_is_readable());
	cr_expect_geq(persistent_fd(LZ_STATUS), 960);
}

Test(descriptors, a_number_reused_by_the_program_is_not_closed)
{
	int fd, program_fd = memfd_create("program_fd", 0);
	struct lz_file_id before, after;

	start();
	fd = persistent_fd(LZ_STATUS);
	dup2(program_fd, fd);
	os->identify(fd, &before);
	cr_expect(status_is_readable());
	cr_expect_neq(persistent_fd(LZ_STATUS), fd);
	cr_expect_neq(persistent_fd(LZ_STATUS), -1);
	lz_descriptors_close(os);
	cr_assert_eq(os->identify(fd, &after), 0);
	cr_expect_eq(before.inode, after.inode);
}

/* A file that cannot be moved to a high number is used once, and moving it is not tried again. */
Test(descriptors, temporary_descriptors_if_no_high_number_is_free)
{
	unsigned all = count_open(0, 1024), calls;

	os = fake_os();
	fake.fail_from[FAKE_DUPLICATE] = 1;
	fake.error = -EMFILE;
	lz_descriptors_open(os);
	calls = fake.calls[FAKE_DUPLICATE];
	for (int i = 0; i < 10; i++)
		cr_expect(status_is_readable());
	cr_expect_eq(persistent_fd(LZ_STATUS), -1);
	cr_expect_eq(count_open(0, 1024), all);
	cr_expect_eq(fake.calls[FAKE_DUPLICATE], calls);
}

Test(descriptors, concurrent_readers_read_independently)
{
	struct lz_line_reader one, two;
	char first[256];
	unsigned lines = 0, low;

	start();
	low = count_open(0, 512);
	cr_assert_eq(lz_line_reader_open(&one, os, LZ_MAPS), 0);
	snprintf(first, sizeof first, "%s", lz_line_reader_next(&one));
	cr_expect_eq(count_open(0, 512), low);
	cr_assert_eq(lz_line_reader_open(&two, os, LZ_MAPS), 0);
	cr_expect_eq(count_open(0, 512), low + 1);
	cr_expect_str_eq(lz_line_reader_next(&two), first);
	while (lz_line_reader_next(&one) != NULL)
		lines++;
	while (lz_line_reader_next(&two) != NULL)
		lines--;
	cr_expect_eq(lines, 0);
	lz_line_reader_close(&two);
	lz_line_reader_close(&one);
	cr_expect_eq(count_open(0, 512), low);
	cr_assert_eq(lz_line_reader_open(&one, os, LZ_MAPS), 0);
	cr_expect_eq(count_open(0, 512), low);
	cr_expect_str_eq(lz_line_reader_next(&one), first);
	lz_line_reader_close(&one);
}

Test(descriptors, forked_child_opens_its_own)
{
	struct lz_file_id parents, now;
	int status, fd;
	pid_t pid;

	start();
	fd = persistent_fd(LZ_MAPS);
	os->identify(fd, &parents);
	pid = fork();
	if (pid == 0) {
		bool own;

		lz_descriptors_after_fork(os);
		fd = persistent_fd(LZ_MAPS);
		own = fd >= 960 && os->identify(fd, &now) == 0 && now.inode != parents.inode;
		_exit(own && status_is_readable() ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(status, 0);
	cr_expect_eq(persistent_fd(LZ_MAPS), fd);
}

Test(descriptors, vfork_child_replaces_nothing)
{
	int status, fd;
	pid_t pid;

	start();
	fd = persistent_fd(LZ_STATUS);
	pid = vfork();
	if (pid == 0) {
		close(fd);
		_exit(status_is_readable() ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(status, 0);
	cr_expect_eq(persistent_fd(LZ_STATUS), fd);
}

Test(descriptors, added_file_is_served_by_its_path)
{
	char path[] = "/tmp/lazyzero-kept.XXXXXX", longest[600];
	int program_fd = mkstemp(path);
	uint64_t value;

	start();
	cr_assert_eq(pwrite(program_fd, "100\n", 4, 0), 4);
	cr_expect_eq(lz_descriptors_set_cgroup_usage(os, path), 0);
	cr_expect_geq(persistent_fd(path), 960);
	cr_expect_eq(lz_proc_number(os, path, &value), 0);
	cr_expect_eq(value, 100);
	cr_assert_eq(pwrite(program_fd, "234\n", 4, 0), 4);
	/* The name is no longer needed. */
	unlink(path);
	cr_expect_eq(lz_proc_number(os, path, &value), 0);
	cr_expect_eq(value, 234);
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	cr_expect_eq(lz_descriptors_set_cgroup_usage(os, longest), -ENAMETOOLONG);
	cr_expect_eq(lz_descriptors_set_cgroup_usage(os, "/no/such"), -ENOENT);
	cr_expect(status_is_readable());
}

/* --- scratch --- */

static void *buffers[8];

static void *take_eight(void *barrier)
{
	for (int i = 0; i < 8; i++)
		buffers[i] = lz_scratch_take(os);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	for (int i = 0; i < 8; i++)
		lz_scratch_release(os, buffers[i]);
	return NULL;
}

Test(scratch, ninth_buffer_is_mapped_and_a_child_reclaims_the_others)
{
	pthread_barrier_t barrier;
	pthread_t thread;
	size_t mapped;
	int status;
	pid_t pid;
	void *p;

	os = fake_os();
	cr_assert_eq(lz_fork_state_init(os), 0);
	mapped = fake.mapped;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, take_eight, &barrier);
	pthread_barrier_wait(&barrier);
	cr_expect_eq(fake.mapped, mapped);
	p = lz_scratch_take(os);
	cr_expect_eq(fake.mapped, mapped + LZ_SCRATCH_BYTES);
	lz_scratch_release(os, p);
	cr_expect_eq(fake.unmapped, LZ_SCRATCH_BYTES);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 8; i++)
			lz_scratch_take(os);
		_exit(fake.mapped == mapped + LZ_SCRATCH_BYTES ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(status, 0);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	cr_expect_eq(lz_scratch_take(os), buffers[0]);
}

/*
 * A buffer that the forking thread itself holds (a handler that forks during a use) stays in use in the
 * child.
 */
Test(scratch, forked_child_keeps_the_buffers_of_its_own_thread)
{
	void *program_fd, *other;
	int status;
	pid_t pid;

	os = fake_os();
	cr_assert_eq(lz_fork_state_init(os), 0);
	program_fd = lz_scratch_take(os);
	pid = fork();
	if (pid == 0) {
		other = lz_scratch_take(os);
		_exit(other != NULL && other != program_fd ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(status, 0);
	lz_scratch_release(os, program_fd);
}

/* --- vma --- */

Test(vma, query_returns_bounds_and_protection_and_detects_holes)
{
	size_t page = (size_t)getpagesize();
	char *p = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct lz_vma vma;
	int error;

	start();
	mprotect(p + 2 * page, page, PROT_READ);
	munmap(p + 4 * page, page);
	error = lz_vma_query(os, (uintptr_t)p + 2 * page, &vma);
	if (error == -ENOTTY)
		cr_skip_test("PROCMAP_QUERY needs Linux 6.11");
	cr_assert_eq(error, 0);
	cr_expect_eq(vma.start, (uintptr_t)p + 2 * page);
	cr_expect_eq(vma.end, (uintptr_t)p + 3 * page);
	cr_expect(vma.readable && !vma.writable && !vma.executable && !vma.shared);
	cr_expect_eq(vma.page_size, page);
	cr_expect_eq(vma.inode, 0);
	cr_expect_eq(vma.device, 0);
	/* Exactly this address, not the next mapping. */
	cr_expect_eq(lz_vma_query(os, (uintptr_t)p + 4 * page, &vma), -ENOENT);
	cr_expect_eq(lz_vma_query(os, (uintptr_t)p + 5 * page - 1, &vma), -ENOENT);
	cr_expect_eq(lz_vma_query(os, (uintptr_t)p + 5 * page, &vma), 0);
	cr_expect_eq(vma.start, (uintptr_t)p + 5 * page);
}

Test(vma, query_returns_file_and_offset)
{
	size_t page = (size_t)getpagesize();
	int fd = memfd_create("file", 0);
	struct lz_file_id id;
	struct lz_vma vma;
	char *p, name[32];
	int error;

	start();
	cr_assert_eq(ftruncate(fd, (off_t)(4 * page)), 0);
	p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);
	error = lz_vma_query(os, (uintptr_t)p + page, &vma);
	if (error == -ENOTTY)
		cr_skip_test("PROCMAP_QUERY needs Linux 6.11");
	cr_assert_eq(error, 0);
	os->identify(fd, &id);
	cr_expect_eq(vma.start, (uintptr_t)p);
	cr_expect_eq(vma.offset, page);
	cr_expect_eq(vma.inode, id.inode);
	cr_expect_eq(vma.device, id.device);
	cr_expect(vma.shared && vma.writable);
	/* The name, if the buffer is large enough. */
	cr_expect_eq(lz_vma_query_named(os, (uintptr_t)p, &vma, name, sizeof name), 0);
	cr_expect_str_eq(name, "/memfd:file (deleted)");
	cr_expect_eq(lz_vma_query_named(os, (uintptr_t)p, &vma, name, 8), -ENAMETOOLONG);
	cr_expect_eq(lz_vma_query_named(os, (uintptr_t)p, &vma, name, 0), 0);
	p = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_expect_eq(lz_vma_query_named(os, (uintptr_t)p, &vma, name, sizeof name), 0);
	cr_expect_str_eq(name, "");
}
