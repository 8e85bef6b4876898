/* os/facts.c and os/facts_try.c, on an os table whose calls fail as on other kernels. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_os.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/vma.h"

/* --- an os table on top of the fake one, with more calls that can fail ---
 */

static struct lz_os table;
static int ioctl_error, madvise_error, seal_error;
static unsigned ioctls;
static bool is_hint; /* MAP_FIXED_NOREPLACE is ignored */

static int failing_ioctl(int fd, unsigned long request, void *argument)
{
	ioctls++;
	return ioctl_error != 0 ? ioctl_error : lz_os_linux.ioctl(fd, request, argument);
}

static int failing_seal(int fd)
{
	return seal_error != 0 ? seal_error : lz_os_linux.add_seals(fd);
}

static intptr_t hinting_mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
{
	return lz_os_linux.mmap(
		address, length, protection, is_hint ? flags & ~MAP_FIXED_NOREPLACE : flags, fd, offset);
}

/* An advice that fails because of the memory; the kernel supports it. */
static int memory_refuses(void *address, size_t length, int advice)
{
	(void)address;
	(void)advice;
	fake.calls[FAKE_MADVISE]++;
	return length == 0 ? 0 : madvise_error;
}

static const struct lz_os *start(void)
{
	table = *fake_os();
	table.ioctl = failing_ioctl;
	table.add_seals = failing_seal;
	ioctls = 0;
	is_hint = false;
	ioctl_error = madvise_error = seal_error = 0;
	return &table;
}

static void ignore(void *context, const struct lz_page_run *run)
{
	(void)context;
	(void)run;
}

static int walk(const struct lz_os *os)
{
	uintptr_t page = os->page_size(), here = (uintptr_t)&page & ~(page - 1);

	return lz_pagemap_walk(os, here, here + page, ignore, NULL);
}

Test(facts, every_fact_has_a_row)
{
	for (int i = 0; i < LZ_FACTS; i++) {
		cr_expect(lz_facts[i].id != NULL && lz_facts[i].name != NULL && lz_facts[i].since != NULL &&
				  lz_facts[i].source != NULL,
			"fact %d", i);
		cr_expect_eq(lz_fact_known((enum lz_fact)i), LZ_FACT_UNKNOWN, "fact %d", i);
		for (int other = 0; other < i; other++)
			cr_expect_str_neq(lz_facts[i].id, lz_facts[other].id);
	}
}

Test(facts, every_fact_can_be_tried_here)
{
	const struct lz_os *os = start();

	for (int i = 0; i < LZ_FACTS; i++)
		cr_expect_neq(lz_fact(os, (enum lz_fact)i), LZ_FACT_UNKNOWN, "%s", lz_facts[i].id);
	/* What mremap makes is unmapped, but not counted as mapped. */
	cr_expect_geq(fake.unmapped, fake.mapped);
}

Test(facts, einval_means_unsupported_and_is_not_tried_again)
{
	const struct lz_os *os = start();

	fake.error = -EINVAL;
	fake.fail_from[FAKE_MADVISE] = 1;
	cr_assert_eq(lz_fact(os, LZ_FACT_GUARD_REGIONS), LZ_FACT_UNSUPPORTED);
	cr_assert_eq(lz_fact_error(LZ_FACT_GUARD_REGIONS), 0);
	fake.fail_from[FAKE_MADVISE] = 0;
	fake.calls[FAKE_MADVISE] = fake.calls[FAKE_MMAP] = 0;
	cr_assert_eq(lz_fact(os, LZ_FACT_GUARD_REGIONS), LZ_FACT_UNSUPPORTED);
	cr_assert_eq(lz_fact_madvise(os, LZ_FACT_GUARD_REGIONS, NULL, 0, MADV_GUARD_REMOVE), -EINVAL);
	cr_assert_eq(fake.calls[FAKE_MADVISE] + fake.calls[FAKE_MMAP], 0);
}

Test(facts, another_error_means_failed_and_is_tried_again)
{
	const struct lz_os *os = start();

	fake.error = -EPERM;
	fake.fail_from[FAKE_MADVISE] = 1;
	cr_assert_eq(lz_fact(os, LZ_FACT_WIPE_ON_FORK), LZ_FACT_FAILED);
	cr_assert_eq(lz_fact_error(LZ_FACT_WIPE_ON_FORK), -EPERM);
	cr_assert_not(lz_fact_holds(os, LZ_FACT_WIPE_ON_FORK));
	fake.fail_from[FAKE_MADVISE] = 0;
	cr_assert_eq(lz_fact(os, LZ_FACT_WIPE_ON_FORK), LZ_FACT_YES);
	cr_assert_eq(lz_fact_error(LZ_FACT_WIPE_ON_FORK), 0);
	fake.fail_from[FAKE_MADVISE] = 1;
	fake.calls[FAKE_MADVISE] = 0;
	cr_assert(lz_fact_holds(os, LZ_FACT_WIPE_ON_FORK));
	cr_assert_eq(fake.calls[FAKE_MADVISE], 0);
}

Test(facts, a_try_without_memory_is_a_failure)
{
	const struct lz_os *os = start();

	fake.fail_from[FAKE_MMAP] = 1;
	cr_assert_eq(lz_fact(os, LZ_FACT_MREMAP_MANY), LZ_FACT_FAILED);
	cr_assert_eq(lz_fact_error(LZ_FACT_MREMAP_MANY), -ENOMEM);
}

Test(facts, efault_of_mremap_means_one_mapping_at_a_time)
{
	const struct lz_os *os = start();

	fake.error = -EFAULT;
	fake.fail_from[FAKE_MREMAP] = 1;
	cr_assert_eq(lz_fact(os, LZ_FACT_MREMAP_MANY), LZ_FACT_UNSUPPORTED);
}

Test(facts, locked_memory_does_not_make_an_advice_unsupported)
{
	start();
	table.madvise = memory_refuses;
	madvise_error = -EINVAL;
	cr_assert_eq(lz_fact(&table, LZ_FACT_GUARD_REGIONS), LZ_FACT_FAILED);
	cr_assert_eq(lz_fact_error(LZ_FACT_GUARD_REGIONS), -EINVAL);
}

Test(facts, the_first_einval_of_a_use_is_checked_by_a_try)
{
	const struct lz_os *os = start();

	/* On what is not mapped: ENOMEM, or EINVAL of a kernel that lacks the advice. */
	fake.error = -EINVAL;
	fake.fail_at[FAKE_MADVISE] = 1;
	cr_assert_eq(lz_fact_madvise(os, LZ_FACT_POPULATE, NULL, 4096, MADV_POPULATE_READ), -EINVAL);
	if (lz_fact_known(LZ_FACT_POPULATE) == LZ_FACT_UNSUPPORTED)
		cr_skip_test("this kernel has no MADV_POPULATE_READ");
	cr_assert_eq(lz_fact_known(LZ_FACT_POPULATE), LZ_FACT_YES);
	fake.calls[FAKE_MADVISE] = 0;
	fake.fail_from[FAKE_MADVISE] = 1;
	cr_assert_eq(lz_fact_madvise(os, LZ_FACT_POPULATE, NULL, 4096, MADV_POPULATE_READ), -EINVAL);
	cr_assert_eq(fake.calls[FAKE_MADVISE], 1);
}

Test(facts, two_enotty_in_a_row_mean_unsupported)
{
	const struct lz_os *os = start();

	ioctl_error = -ENOTTY;
	cr_assert_eq(walk(os), -ENOTTY);
	cr_assert_eq(lz_fact_known(LZ_FACT_PAGEMAP_SCAN), LZ_FACT_FAILED);
	cr_assert_eq(walk(os), -ENOTTY);
	cr_assert_eq(lz_fact_known(LZ_FACT_PAGEMAP_SCAN), LZ_FACT_UNSUPPORTED);
	ioctls = 0;
	fake.pagemaps = 0;
	cr_assert_eq(walk(os), -ENOTTY);
	cr_assert_eq(ioctls + fake.pagemaps, 0);
}

Test(facts, one_enotty_of_another_file_changes_nothing)
{
	const struct lz_os *os = start();

	ioctl_error = -ENOTTY;
	cr_assert_eq(walk(os), -ENOTTY);
	ioctl_error = 0;
	if (walk(os) == -ENOTTY)
		cr_skip_test("this kernel has no PAGEMAP_SCAN");
	cr_assert_eq(lz_fact_known(LZ_FACT_PAGEMAP_SCAN), LZ_FACT_YES);
	ioctl_error = -ENOTTY;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(walk(os), -ENOTTY);
	cr_assert_eq(lz_fact_known(LZ_FACT_PAGEMAP_SCAN), LZ_FACT_YES);
}

Test(facts, denied_ioctls_are_failures)
{
	const struct lz_os *os = start();

	ioctl_error = -EPERM;
	cr_assert_eq(lz_fact(os, LZ_FACT_PROCMAP_QUERY), LZ_FACT_FAILED);
	cr_assert_eq(lz_fact_error(LZ_FACT_PROCMAP_QUERY), -EPERM);
	ioctl_error = -ENOTTY;
	cr_assert_eq(lz_fact(os, LZ_FACT_PROCMAP_QUERY), LZ_FACT_UNSUPPORTED);
}

Test(facts, enoent_of_an_unmapped_address_means_supported)
{
	const struct lz_os *os = start();

	ioctl_error = -ENOENT;
	cr_assert_eq(lz_vma_query(os, 0, &(struct lz_vma){0}), -ENOENT);
	cr_assert_eq(lz_fact_known(LZ_FACT_PROCMAP_QUERY), LZ_FACT_YES);
}

Test(facts, denied_seals_are_failures)
{
	const struct lz_os *os = start();

	seal_error = -EPERM;
	cr_assert_eq(lz_fact(os, LZ_FACT_SEALING), LZ_FACT_FAILED);
	seal_error = -EINVAL;
	cr_assert_eq(lz_fact(os, LZ_FACT_SEALING), LZ_FACT_UNSUPPORTED);
}

Test(facts, noreplace_as_a_hint_returns_eexist)
{
	size_t page = lz_os_linux.page_size();
	intptr_t taken = lz_os_linux.mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), at;

	start();
	table.mmap = hinting_mmap;
	is_hint = true;
	cr_assert_eq(lz_fact(&table, LZ_FACT_FIXED_NOREPLACE), LZ_FACT_UNSUPPORTED);
	at = lz_fact_mmap_at(&table, (void *)taken, page, PROT_NONE, MAP_NORESERVE);
	cr_assert_eq(at, -EEXIST);
	cr_assert_eq(fake.unmapped, 3 * page);
	lz_os_linux.munmap((void *)taken, page);
	cr_assert_eq(lz_fact_mmap_at(&table, (void *)taken, page, PROT_NONE, MAP_NORESERVE), taken);
}

Test(facts, a_child_inherits_all_states)
{
	const struct lz_os *os = start();
	pid_t child;
	int ended = -1;

	fake.error = -EINVAL;
	fake.fail_from[FAKE_MADVISE] = 1;
	cr_assert_eq(lz_fact(os, LZ_FACT_COLLAPSE), LZ_FACT_UNSUPPORTED);
	fake.fail_from[FAKE_MADVISE] = 0;
	child = fork();
	if (child == 0)
		_exit(lz_fact(os, LZ_FACT_COLLAPSE) != LZ_FACT_UNSUPPORTED);
	cr_assert_eq(waitpid(child, &ended, 0), child);
	cr_assert_eq(ended, 0);
}

static void *wait_for(void *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
	return NULL;
}

Test(facts, facts_measured_with_vmpte_fail_with_other_threads)
{
	const struct lz_os *os = start();
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_t thread;

	pthread_mutex_lock(&lock);
	cr_assert_eq(pthread_create(&thread, NULL, wait_for, &lock), 0);
	cr_assert_eq(lz_fact(os, LZ_FACT_PT_RECLAIM), LZ_FACT_FAILED);
	cr_assert_eq(lz_fact_error(LZ_FACT_PT_RECLAIM), -EBUSY);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	cr_assert_neq(lz_fact(os, LZ_FACT_PT_RECLAIM), LZ_FACT_UNKNOWN);
}
